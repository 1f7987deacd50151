/** The record is compared with what a host shows although nothing has changed there: somebody else may have changed the record. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { environment } from '../../activities/environment';
import type { Ports } from '../../activities/ports';
import { compareVms } from '../../activities/watch-vms';
import { WatchedCluster } from '../../activities/watched-cluster';
import type { VmId } from '../../domain/ids';
import type { RecoverySystem } from '../support/recovery-system';
import { systems } from '../support/story';

const begin = systems();
const second = 1_000;

/** The comparison of one quiet host at times of the test's own; answers whether records were read. */
async function comparing(
  system: RecoverySystem,
  changed: (inventory: Ports['inventory']) => Ports['inventory'],
) {
  const [cluster] = system.fleet.clusters;
  const host = cluster!.hosts[0]!;
  let reads = 0;
  const inventory = changed(system.inventory);
  const counted: Ports['inventory'] = {
    ...inventory,
    vms: (filter) => {
      reads += 1;
      return inventory.vms(filter);
    },
  };
  const nobody = () => Promise.reject(new Error('nothing is to be recovered here'));
  const supervision = { recoveries: { recoverHost: nobody, restartMissingVm: nobody }, owner: undefined };
  const env = environment({ ...system.ports, inventory: counted }, system.fleet);
  const watch = new WatchedCluster(env, cluster!, supervision);
  const record = await system.inventory.host(host.id);
  const list = await system.ports.hypervisor.list(host.id, new AbortController().signal);
  const at = async (seconds: number): Promise<'read' | 'not read'> => {
    const before = reads;
    await new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(() =>
      compareVms(watch, host, record!, list, { begunMs: seconds * second, changed: seconds === 0 }),
    );
    return reads > before ? 'read' : 'not read';
  };
  return { at, suspicions: () => [...watch.memory(host.id).suspicions.values()].map((s) => s.finding) };
}

const dontWant = async (system: RecoverySystem, vm: VmId): Promise<void> => {
  const record = await system.inventory.vm(vm);
  await system.inventory.updateVm(vm, record!.version, { desired: 'stopped' });
};

it('reads no record of a quiet host while none has changed, and each once one has', async () => {
  const system = await begin();
  const { at, suspicions } = await comparing(system, (inventory) => inventory);
  expect([await at(0), await at(31), await at(62)]).toEqual(['read', 'not read', 'not read']);
  const [vm] = system.vmsOf('a');
  await dontWant(system, vm!);
  expect(await at(93)).toBe('read');
  expect(suspicions()).toEqual(['started']);
  // What is suspicious is looked at in every round.
  expect(await at(95)).toBe('read');
});

it('reads them every few minutes although nothing has changed by any mark', async () => {
  const system = await begin();
  const blind = (inventory: Ports['inventory']) => ({ ...inventory, vmsMark: () => Promise.resolve('same') });
  const { at, suspicions } = await comparing(system, blind);
  expect(await at(0)).toBe('read');
  const [vm] = system.vmsOf('a');
  await dontWant(system, vm!);
  // Here the mark does its work: one that never changes hides the change for a while.
  expect(await at(31)).toBe('not read');
  expect(suspicions()).toEqual([]);
  expect(await at(305)).toBe('read');
  expect(suspicions()).toEqual(['started']);
});
