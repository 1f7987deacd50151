/** One VMedic owns a fleet: a second one is told who has it, and does nothing by itself. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { environment } from '../../activities/environment';
import { isTheirs } from '../../activities/host-marks';
import { WatchedCluster } from '../../activities/watched-cluster';
import { connectTemporal } from '../../client/temporal';
import { findHost } from '../../domain/fleet';
import { judge } from '../support/judge';
import { temporalAddress } from '../support/servers';
import { actsOn, eventually, systems, watchRounds } from '../support/story';
import { supervise } from '../../workers/supervise';

const begin = systems();

it('acts for no fleet that belongs to another VMedic', async () => {
  const owner = { id: 'second', name: 'the second one' };
  const system = await begin({ owner });
  const first = { id: 'first', name: 'vmedic-1, Temporal 10.0.0.1:7233' };
  await system.inventory.claimFleet(first, new Date().toISOString(), 60_000);
  await system.watch();
  system.controls.cutPower(system.host('a'));
  const alert = await eventually('the report', async () =>
    (await system.inventory.alerts({ open: true })).find((r) => r.key.startsWith('observed:')),
  );
  expect(alert.sentence).toContain('belongs to another VMedic');
  expect(alert.sentence).toContain('vmedic-1, Temporal 10.0.0.1:7233');
  expect(alert.nextCommand).toMatch(
    /^not here, but where vmedic-1, Temporal 10\.0\.0\.1:7233 runs: vmedic host recover /,
  );
  expect(await system.inventory.incidents()).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

it('acts on no host of a cluster in which another VMedic, with an inventory of its own, has left its mark', async () => {
  const system = await begin({ owner: { id: 'second', name: 'the second one' } });
  const first = { id: 'first', name: 'vmedic-1, Temporal 10.0.0.1:7233' };
  system.controls.markByHand(system.host('b'), first);
  await system.watch();
  const told = await eventually('the other one told of', async () =>
    (await system.inventory.alerts({ open: true })).find((r) => r.key.startsWith('foreign:')),
  );
  expect(told).toMatchObject({ severity: 'critical' });
  expect(told.sentence).toContain(first.name);
  system.controls.cutPower(system.host('a'));
  const alert = await eventually('the report', async () =>
    (await system.inventory.alerts({ open: true })).find((r) => r.key.startsWith('observed:')),
  );
  expect(alert.sentence).toContain('vmedic-1, Temporal 10.0.0.1:7233');
  expect(alert.nextCommand).toMatch(
    /^not here, but where vmedic-1, Temporal 10\.0\.0\.1:7233 runs: vmedic host recover /,
  );
  expect(await system.inventory.incidents()).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

it('goes by no mark that nobody has renewed: an installation that is gone holds nobody back', async () => {
  const owner = { id: 'second', name: 'the second one' };
  const system = await begin({ owner, discover: false });
  await system.inventory.claimFleet(owner, new Date().toISOString(), 60_000);
  const gone = { id: 'first', name: 'vmedic-1, Temporal 10.0.0.1:7233' };
  system.controls.markByHand(system.host('b'), gone, 60_000);
  await system.watch();
  await eventually(
    'each host seen by this one',
    async () => (await system.inventory.hosts()).filter((h) => h.lastSeenAt !== undefined).length === 3,
  );
  system.controls.cutPower(system.host('a'));
  await eventually('its incident closed', async () =>
    (await system.inventory.incidents()).find((i) => i.closedAt !== undefined),
  );
  const told = (await system.inventory.alerts()).filter((a) => a.key.startsWith('foreign:'));
  expect(told).toEqual([]);
  await judge(system);
});

it('leaves no mark of a VMedic that only observes: it would keep the one that acts from acting', async () => {
  const system = await begin({ owner: { id: 'second', name: 'the second one' }, mode: 'observe' });
  await system.watch();
  await watchRounds(system, 'b');
  expect(system.world.host(system.host('b')).mark).toBeUndefined();
});

it('takes no further host while another VMedic is known to have one', async () => {
  const system = await begin();
  const [first, second] = ['first', 'second'].map((id) => ({ id, name: id }));
  system.controls.markByHand(system.host('b'), first);
  const [cluster] = system.fleet.clusters;
  const supervision = { owner: second, recoveries: undefined as never };
  const env = environment(system.ports, system.fleet);
  const watch = new WatchedCluster(env, cluster!, supervision);
  const ask = (letter: string): Promise<boolean> =>
    new MockActivityEnvironment().run(() => isTheirs(watch, findHost(system.fleet, system.host(letter))!));
  expect(await ask('b')).toBe(true);
  expect(await ask('c')).toBe(true);
  expect(system.world.host(system.host('c')).mark).toBeUndefined();
});

it('refuses to take a fleet that another VMedic runs, and names that one', async () => {
  const system = await begin();
  const first = { id: 'first', name: 'vmedic-1, Temporal 10.0.0.1:7233' };
  await system.inventory.claimFleet(first, new Date().toISOString(), 60_000);
  const session = await connectTemporal({ address: temporalAddress(), namespace: 'default' });
  try {
    await expect(supervise({ configPath: 'b.yaml' }, system, session)).rejects.toThrow(
      /belongs to another VMedic since .*: vmedic-1, Temporal 10\.0\.0\.1:7233/,
    );
  } finally {
    await session.close();
  }
});
