import type { Environment } from '../../../activities/environment';
import { whenSilent } from '../../../activities/watch-silence';
import { compareVms } from '../../../activities/watch-vms';
import { WatchedCluster } from '../../../activities/watched-cluster';
import { fleet, host } from '../../support/command-line';

const [cluster] = fleet.clusters;
const [hvA] = cluster!.hosts;
const key = 'left-alone:0000-web:hv-a';

function watching() {
  const over: string[] = [];
  const inventory = {
    alerts: () => Promise.resolve([{ key }]),
    clearAlert: (cleared: string) => Promise.resolve(void over.push(cleared)),
  };
  const supervision = { recoveries: {}, owner: undefined } as never;
  const watch = new WatchedCluster({ inventory } as unknown as Environment, cluster!, supervision);
  return { over, watch };
}

it.each(['maintenance', 'fenced'] as const)(
  'says no more of a VM that is left alone once its host is %s, whether it answers or not',
  async (standing) => {
    const answering = watching();
    const look = { begunMs: 0, changed: false };
    await compareVms(answering.watch, hvA!, host('hv-a', { standing }), { vms: [] } as never, look);
    expect(answering.over).toEqual([key]);
    const silent = watching();
    await whenSilent(silent.watch, hvA!, host('hv-a', { standing }), 0);
    expect(silent.over).toEqual([key]);
  },
);

it('goes on saying it while a host that is kept out misses a look', async () => {
  const { over, watch } = watching();
  await whenSilent(watch, hvA!, host('hv-a', { standing: 'quarantined' }), 0);
  expect(over).toEqual([]);
});
