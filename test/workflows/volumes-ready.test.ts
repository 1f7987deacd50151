/** Founding incident S4: storage made ready by identity before any start, and what happens where it cannot be. */
import { workflowIds } from '../../domain/ids';
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import { discover } from '../support/recovery-system';
import { failureOf, systems } from '../support/story';

const begin = systems();
const lvm = { storage: 'lvm' } as const;

const pathOf = (s: RecoverySystem, name: string): string =>
  s.spec.vms.find((v) => v.name === name)?.disks[0]?.path ?? '';
const activeOn = (s: RecoverySystem, path: string): string[] =>
  s.controls
    .snapshot()
    .disks.find((d) => d.path === path)
    ?.activeOn.map((x) => x.hostId) ?? [];
const activations = (s: RecoverySystem): string[] =>
  s.controls
    .journal()
    .flatMap((e) =>
      e.kind === 'effect' && e.effect === 'storage-activated' ? [`${e.path} on ${e.hostId}`] : [],
    );
/** Ends the VM where it runs, and the volume's activation with it, as a host does that came back from a reboot. */
function stopped(s: RecoverySystem, name: string): void {
  s.controls.destroyByHand(s.host('a'), s.vm(name));
  s.controls.setActive(pathOf(s, name), s.host('a'), false);
}

it('a host that rebooted by itself gets the volumes of its own VMs activated, one by one, and no others', async () => {
  const s = await begin(lvm);
  const a = s.host('a');
  s.controls.cutPower(a);
  s.controls.powerOn(a);
  const own = s.spec.vms.filter((v) => v.hostId === a).map((v) => v.disks[0]?.path ?? '');
  for (const path of own) expect(activeOn(s, path)).toEqual([]);
  const result = await (await s.recoverHost('a')).result();
  expect(result).toMatchObject({ outcome: 'recovered' });
  expect(activations(s).sort()).toEqual(own.map((p) => `${p} on ${a}`).sort());
  await judge(s);
});

it('a failed host’s volumes are activated on the new host of each VM, exactly there', async () => {
  const s = await begin(lvm);
  s.controls.cutPower(s.host('a'));
  const result = await (await s.recoverHost('a')).result();
  expect(result).toMatchObject({ outcome: 'recovered' });
  for (const vm of result.vms) expect(activeOn(s, pathOf(s, vm.name))).toEqual([vm.target]);
  await judge(s);
});

it('an image that one host cannot open keeps its VM from that host, and from no other', async () => {
  const s = await begin({ storage: 'nfs' });
  for (const vm of ['vm-001', 'vm-004']) s.controls.setDiskOn(s.host('b'), pathOf(s, vm), 'unreadable');
  s.controls.cutPower(s.host('a'));
  const result = await (await s.recoverHost('a')).result();
  expect(result.vms.map((v) => [v.phase, v.target])).toEqual([
    ['running', s.host('c')],
    ['running', s.host('c')],
  ]);
  await judge(s);
});

it('storage that is silent everywhere is waited for once, not on one host after another', async () => {
  const s = await begin({ storage: 'nfs' });
  for (const host of ['b', 'c'] as const) s.controls.setDiskOn(s.host(host), pathOf(s, 'vm-001'), 'hung');
  s.controls.cutPower(s.host('a'));
  const result = await (await s.recoverHost('a')).result();
  expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({
    phase: 'blocked',
    fault: { code: 'STORAGE_NOT_READY' },
  });
  const { events } = await s.client.workflow.getHandle(workflowIds.vm(s.vm('vm-001'))).fetchHistory();
  const waits = (events ?? []).filter(
    (e) => e.activityTaskScheduledEventAttributes?.activityType?.name === 'prepareStart',
  );
  expect(waits).toHaveLength(1);
});

it('locks that nobody released are released when a VM is to be started, and its host is proven off', async () => {
  const s = await begin({ storage: 'nfs', policy: { storageDeadlineMs: 20_000 } });
  await (await s.fenceHost('a')).result();
  await expect((await s.restartVm('vm-001')).result()).resolves.toMatchObject({ phase: 'running' });
  await judge(s, { down: [s.vm('vm-004')] });
});

it('a start that is asked for before its storage is there waits, and does not fail', async () => {
  const s = await begin({ ...lvm, policy: { storageDeadlineMs: 20_000 } });
  const path = pathOf(s, 'vm-001');
  stopped(s, 'vm-001');
  s.controls.setDisk(path, 'missing');
  const run = await s.restartVm('vm-001', { target: s.host('a') });
  setTimeout(() => s.controls.setDisk(path, 'usable'), 1_500);
  await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: s.host('a') });
  await judge(s);
});

it.each<[string, string, (s: RecoverySystem, path: string) => void]>([
  ['missing', 'is missing', (s, path) => s.controls.setDisk(path, 'missing')],
  ['another one of the same name', 'is another volume now', (s, path) => s.controls.replaceDisk(path)],
  ['active on another host', 'is active on', (s, path) => s.controls.setActive(path, s.host('c'), true)],
])(
  'a VM whose volume is %s is not started, is told why, and nothing of it is changed',
  async (_, why, plant) => {
    const s = await begin(lvm);
    const path = pathOf(s, 'vm-001');
    stopped(s, 'vm-001');
    plant(s, path);
    const before = s.controls.snapshot().disks.find((d) => d.path === path)?.writes.length;
    const failure = await failureOf(await s.restartVm('vm-001', { target: s.host('a') }));
    expect(failure.message).toContain(why);
    expect(activations(s)).toEqual([]);
    expect(s.controls.snapshot().disks.find((d) => d.path === path)?.writes.length).toBe(before);
  },
);

it('what was activated for a start that does not come about is deactivated, although nobody was told that it had been', async () => {
  const s = await begin(lvm);
  const path = pathOf(s, 'vm-001');
  stopped(s, 'vm-001');
  s.controls.addRule({
    ...{ id: 'refused', port: 'hypervisor', call: 'define', target: s.host('b') },
    then: { kind: 'fail-before', fault: { code: 'DEFINE_REFUSED' } },
  });
  await failureOf(await s.restartVm('vm-001', { target: s.host('b') }));
  expect(activations(s)).toContain(`${path} on ${s.host('b')}`);
  expect(activeOn(s, path)).toEqual([]);
});

it('what a volume is, is learnt while its VM runs, and kept when another one takes its name afterwards', async () => {
  const s = await begin(lvm);
  const path = pathOf(s, 'vm-001');
  const recorded = async () => (await s.inventory.vm(s.vm('vm-001')))?.shape.disks[0]?.volume?.volume;
  const first = await recorded();
  expect(first).toMatch(/^volume-\d+$/);
  stopped(s, 'vm-001');
  s.controls.replaceDisk(path);
  await discover(s.ports, s.fleet);
  expect(await recorded()).toBe(first);
});
