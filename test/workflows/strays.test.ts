/** VMs that run where the record does not put them: the record follows what is proven, and nothing else. */
import type { VmId } from '../../domain/ids';
import { judge } from '../support/judge';
import { discover, quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { eventually, runsOn, systems } from '../support/story';

const begin = systems();

const look = (system: RecoverySystem): Promise<void> => discover(system.ports, system.fleet);

async function openAlerts(system: RecoverySystem): Promise<string[]> {
  const alerts = await system.inventory.alerts({ open: true });
  return alerts.map((a) => `${a.severity} ${a.key.split(':')[0] ?? ''}`).sort();
}

async function migrated(system: RecoverySystem): Promise<VmId> {
  const [vm] = system.vmsOf('a');
  if (vm === undefined) throw new Error('no VM on a');
  system.controls.migrateByHand(system.host('a'), system.host('b'), vm);
  return vm;
}

it('follows a VM that somebody else migrated, says so once, and brings it back when its new host dies', async () => {
  const system = await begin();
  const vm = await migrated(system);
  await look(system);
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: system.host('b'), desired: 'running' });
  expect(await openAlerts(system)).toEqual(['info moved']);
  system.controls.cutPower(system.host('b'));
  const result = await (await system.recoverHost('b')).result();
  expect(result.vms.map((v) => v.vmId)).toContain(vm);
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 3 VMs run again' });
  await judge(system);
});

it('follows one whose old host keeps its definition at rest', async () => {
  const system = await begin();
  const [vm] = system.vmsOf('a');
  const [a, b] = [system.host('a'), system.host('b')];
  const text = (await system.inventory.definition(vm as VmId))?.text ?? '';
  system.controls.migrateByHand(a, b, vm as VmId);
  system.controls.defineByHand(a, vm as VmId, 'vm-001', text);
  await look(system);
  expect(await system.inventory.vm(vm as VmId)).toMatchObject({ hostId: b });
});

it('follows nobody while the old host does not answer: silence accounts for nothing', async () => {
  const system = await begin();
  const vm = await migrated(system);
  const a = system.host('a');
  system.controls.setNetwork(a, 'cut');
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: a });
  expect(await openAlerts(system)).toEqual([]);
  system.controls.setNetwork(a, 'up');
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: system.host('b') });
});

it('takes neither copy of a VM that runs twice, alerts once, and clears that when one has ended', async () => {
  const system = await begin({ storage: 'lvm' });
  const [vm] = system.vmsOf('a');
  const [a, b] = [system.host('a'), system.host('b')];
  const path = system.spec.vms.find((v) => v.id === vm)?.disks[0]?.path ?? '';
  const text = (await system.inventory.definition(vm as VmId))?.text ?? '';
  system.controls.setActive(path, b, true);
  expect(system.controls.createByHand(b, text)).toBe(true);
  await look(system);
  await look(system);
  expect(await system.inventory.vm(vm as VmId)).toMatchObject({ hostId: a });
  expect(await openAlerts(system)).toEqual(['critical twice']);
  system.controls.destroyByHand(b, vm as VmId);
  await look(system);
  expect(await system.inventory.vm(vm as VmId)).toMatchObject({ hostId: a });
  expect(await openAlerts(system)).toEqual([]);
});

it('lets a VM go on where somebody moved it, although its disk paused it there before anybody had looked', async () => {
  const system = await begin({ policy: { watch: { ...quickPolicy.watch, onIoError: 'resume' } } });
  const vm = await migrated(system);
  system.controls.pauseGuest(system.host('b'), vm, 'io-error');
  await system.watch();
  await eventually('it runs', async () => {
    const record = await system.inventory.vm(vm);
    return record?.hostId === system.host('b') && runsOn(system, vm).join() === system.host('b');
  });
  const boots = system.controls
    .snapshot()
    .processes.filter((p) => p.vmId === vm)
    .map((p) => p.boot);
  expect(new Set(boots).size).toBe(1);
  expect((await system.inventory.vm(vm))?.desired).toBe('running');
  await judge(system);
});

it('does not follow a paused VM while its old host does not answer, nor one that a person has paused', async () => {
  const system = await begin();
  const vm = await migrated(system);
  const [a, b] = [system.host('a'), system.host('b')];
  system.controls.pauseGuest(b, vm, 'io-error');
  system.controls.setNetwork(a, 'cut');
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: a });
  system.controls.setNetwork(a, 'up');
  system.controls.pauseGuest(b, vm, 'user');
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: a });
  // The control: what kept the record where it was are the silence and the person.
  system.controls.pauseGuest(b, vm, 'io-error');
  await look(system);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: b, desired: 'running' });
});

it('tells of a copy that stands paused beside the one that runs: both hold the same disk', async () => {
  const system = await begin({ storage: 'lvm' });
  const [vm] = system.vmsOf('a') as [VmId];
  const b = system.host('b');
  const path = system.spec.vms.find((v) => v.id === vm)?.disks[0]?.path ?? '';
  system.controls.setActive(path, b, true);
  expect(system.controls.createByHand(b, (await system.inventory.definition(vm))?.text ?? '')).toBe(true);
  system.controls.pauseGuest(b, vm, 'io-error');
  await look(system);
  expect(await openAlerts(system)).toEqual(['critical twice']);
  expect(await system.inventory.vm(vm)).toMatchObject({ hostId: system.host('a') });
});

it('keeps the record through a storm of looks while VMedic itself moves the VM', async () => {
  const system = await begin();
  const [vm] = system.vmsOf('a');
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  const looking = (async () => {
    for (let i = 0; i < 5; i++) await look(system);
  })();
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await looking;
  expect((await openAlerts(system)).filter((a) => a.includes('moved') || a.includes('twice'))).toEqual([]);
  expect((await system.inventory.vm(vm as VmId))?.hostId).not.toBe(system.host('a'));
  await judge(system);
});
