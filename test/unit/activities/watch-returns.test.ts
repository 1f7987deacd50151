import { tellReturned } from '../../../activities/watch-returns';
import type { WatchedCluster } from '../../../activities/watched-cluster';
import { hostId } from '../../../domain/ids';

const host = { id: hostId('hv-a') };

function watching(supervision: object | undefined) {
  const told: string[] = [];
  const inventory = {
    raiseAlert: ({ key, nextCommand }: { key: string; nextCommand: string }) => {
      told.push(`${key}: ${nextCommand}`);
      return Promise.resolve('already');
    },
    clearAlert: (key: string) => {
      told.push(`over ${key}`);
      return Promise.resolve('already');
    },
  };
  const alerted = new Set<string>();
  const watch = { supervision, env: { inventory }, alerted: () => Promise.resolve(alerted) };
  return { told, watch: watch as unknown as WatchedCluster };
}

it('tells once of a host that answers after it was fenced, with the command, and takes it back once it takes VMs again', async () => {
  const { told, watch } = watching({});
  for (const standing of ['fenced', 'quarantined', 'quarantined', 'in-service', 'in-service'] as const)
    await tellReturned(watch, host, { standing });
  expect(told).toEqual(['returned:hv-a: vmedic host readmit hv-a --reason "..."', 'over returned:hv-a']);
});

it('tells nobody while it only learns', async () => {
  const { told, watch } = watching(undefined);
  await tellReturned(watch, host, { standing: 'quarantined' });
  expect(told).toEqual([]);
});

it('takes back in the next round what could not be written in this one', async () => {
  const { told, watch } = watching({});
  const { inventory } = watch.env;
  await tellReturned(watch, host, { standing: 'quarantined' });
  const { clearAlert } = inventory;
  inventory.clearAlert = () => Promise.reject(new Error('the inventory broke off'));
  await expect(tellReturned(watch, host, { standing: 'in-service' })).rejects.toThrow('broke off');
  inventory.clearAlert = clearAlert;
  await tellReturned(watch, host, { standing: 'in-service' });
  expect(told.at(-1)).toBe('over returned:hv-a');
});
