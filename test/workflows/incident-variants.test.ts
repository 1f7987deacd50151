/** Variants of the founding incidents S2 and S5 that have no home elsewhere. */
import type { VmId } from '../../domain/ids';
import { judge } from '../support/judge';
import { actsOn, eventually, runsOn, systems, watchRounds } from '../support/story';

const begin = systems();

it('S2: acts on a VM that stopped after it was seen a single time', async () => {
  const system = await begin({ discover: false });
  await system.watch();
  const [vm] = system.vmsOf('a') as [VmId];
  await eventually('it is known', async () => (await system.inventory.vm(vm)) !== undefined);
  system.controls.destroyByHand(system.host('a'), vm);
  await eventually('it runs again', () => runsOn(system, vm).length === 1, 30_000);
  await eventually(
    'its incident is over',
    async () => (await system.inventory.incidents({ open: true })).length === 0,
  );
  await judge(system);
});

it('S2: makes nothing of VMs that were off before anybody looked: nobody knows that they were to run', async () => {
  const system = await begin({ discover: false });
  const [vm] = system.vmsOf('a') as [VmId];
  system.controls.destroyByHand(system.host('a'), vm);
  await system.watch();
  await watchRounds(system, 'a', 12);
  expect((await system.inventory.vm(vm))?.desired).toBe('stopped');
  expect(await system.inventory.incidents()).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

it('S2: touches nothing when a daemon is restarted while its guests run on', async () => {
  const system = await begin();
  await system.watch();
  const a = system.host('a');
  for (let i = 0; i < 3; i += 1) {
    system.controls.killDaemon(a);
    await watchRounds(system, 'a', 1);
    system.controls.startDaemon(a);
    await watchRounds(system, 'a', 2);
  }
  expect(actsOn(system)).toEqual([]);
  for (const vm of system.vmsOf('a')) expect(runsOn(system, vm)).toEqual([a]);
  const all = await system.inventory.incidents();
  expect(all.filter((i) => i.closedAt !== undefined && i.outcome !== 'dismissed')).toEqual([]);
});

it('S5: tells everything once although the workers are renewed in the middle of the recovery', async () => {
  const system = await begin({ hosts: 3, vmsPerHost: 4 });
  await system.watch();
  const a = system.host('a');
  system.controls.cutPower(a);
  await eventually(
    'it has begun',
    async () => (await system.inventory.incidents({ hostId: a })).length === 1,
  );
  for (let i = 0; i < 2; i += 1) {
    await system.stopWorker();
    await system.startWorker();
    await watchRounds(system, 'a', 1);
  }
  const incident = await eventually(
    'its end',
    async () => (await system.inventory.incidents({ hostId: a })).find((i) => i.closedAt !== undefined),
    30_000,
  );
  expect(incident).toMatchObject({ outcome: 'recovered', epoch: 1 });
  await watchRounds(system, 'a', 8);
  expect(await system.inventory.incidents()).toHaveLength(1);
  const starts = actsOn(system).filter((act) => act.startsWith('hypervisor.start'));
  expect(new Set(system.vmsOf('a').flatMap((vm) => runsOn(system, vm))).has(a)).toBe(false);
  expect(starts.length).toBeGreaterThanOrEqual(4);
  await judge(system);
});
