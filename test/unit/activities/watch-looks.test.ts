/** What keeps a watch from looking is given up and told: its heartbeats would go on all the same. */
import { MockActivityEnvironment } from '@temporalio/testing';
import type { Environment } from '../../../activities/environment';
import { toItsEnd, untilItEnds } from '../../../activities/watch-looks';
import { type Supervision, WatchedCluster } from '../../../activities/watched-cluster';
import { DriverFault } from '../../../domain/faults';
import { fleet } from '../../support/command-line';

const [cluster] = fleet.clusters;
const [host] = cluster?.hosts ?? [];
if (cluster === undefined || host === undefined) throw new Error('the sample fleet has no host');

function watched() {
  const open = new Map<string, { key: string; sentence: string }>();
  const inventory = {
    alerts: () => Promise.resolve([...open.values()]),
    raiseAlert: (alert: { key: string; sentence: string }) => {
      open.set(alert.key, alert);
      return Promise.resolve('raised');
    },
    clearAlert: (key: string) => Promise.resolve(open.delete(key) ? 'cleared' : 'not-open'),
  };
  const env = { inventory, notifier: { deliver: () => Promise.resolve() } } as unknown as Environment;
  return { open, watch: new WatchedCluster(env, cluster!, {} as Supervision) };
}

const within = (work: () => Promise<unknown>): Promise<unknown> => new MockActivityEnvironment().run(work);
const fails = () => Promise.reject(new DriverFault('RECOVERY_NOT_ASKED', { what: host.id, detail: 'busy' }));

it('gives up a look that makes no step forward, and waits for one that makes some', async () => {
  const { watch } = watched();
  const hangs = new Promise<never>(() => undefined);
  await expect(within(() => toItsEnd(watch, host, () => hangs, 20))).rejects.toThrow(
    /did not come to its end/,
  );
  const steps = async (): Promise<void> => {
    for (let i = 0; i < 6; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      watch.memory(host.id).progressMs = Date.now();
    }
  };
  await within(() => toItsEnd(watch, host, steps, 80));
});

it('tells of a host whose looks have failed for a minute, with the cause, until one comes to its end', async () => {
  const { watch, open } = watched();
  const look = (): Promise<unknown> => within(() => toItsEnd(watch, host, fails));
  await expect(look()).rejects.toThrow('busy');
  expect([...open.keys()]).toEqual([]);
  watch.memory(host.id).failingSinceMs = Date.now() - 61_000;
  await expect(look()).rejects.toThrow('busy');
  expect([...open.keys()]).toEqual([`watch-fails:${host.id}`]);
  expect(open.get(`watch-fails:${host.id}`)?.sentence).toMatch(/for 61 s.*could not be asked for: busy/);
  await within(() => toItsEnd(watch, host, () => Promise.resolve()));
  expect([...open.keys()]).toEqual([]);
});

it('tells what ended the watch, and ends all the same', async () => {
  const { watch, open } = watched();
  const run = (): Promise<void> => Promise.reject(new TypeError('no such column'));
  await expect(within(() => untilItEnds(watch, run))).rejects.toThrow(TypeError);
  expect([...open.values()].map((a) => a.sentence)).toEqual([expect.stringContaining('no such column')]);
});
