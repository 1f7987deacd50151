/** Every kind of fault is first shown absent, then found, then cured; and the report is what the command line shows. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities';
import { checkReadiness } from '../../client/readiness';
import { fenceDeviceId } from '../../domain/ids';
import type { Fleet } from '../../domain/fleet';
import { type ReadinessCheck, readinessChecks, type ReadinessReport } from '../../domain/readiness';
import type { VmRecord } from '../../domain/records';
import type { HostOddities } from '../../drivers/simulated/world-state';
import { type RecoverySystem, recoverySystem } from '../support/recovery-system';

type Storage = 'nfs' | 'lvm';
type Plant = (s: RecoverySystem) => unknown;

interface Case {
  readonly storage?: Storage;
  readonly plant: Plant;
  readonly cure: Plant;
  /** The declared side, where the fault is in the config. */
  readonly fleet?: (fleet: Fleet) => Fleet;
  /** Whether vm-001, which runs on hv-a, would not come back because of it. */
  readonly blocks?: true;
}

const nothing: Plant = () => undefined;
const bmc = (s: RecoverySystem) => fenceDeviceId(`${s.host('a')}-bmc`);
const poolOf = (s: RecoverySystem) => s.spec.pools[0]!;
const failing = (port: 'survey' | 'storageLocks' | 'storageAccess', call: string) => (s: RecoverySystem) =>
  s.controls.addRule({
    ...{ id: 'planted', port, call },
    then: {
      kind: 'fail-before',
      fault: { code: 'HOST_COMMAND_FAILED', facts: { detail: 'no route to host' } },
    },
  });
const noRules: Plant = (s) => s.controls.clearRules();
const odd = (
  letter: string,
  oddities: (s: RecoverySystem) => HostOddities,
): Pick<Case, 'plant' | 'cure'> => ({
  plant: (s) => s.controls.setOddities(s.host(letter), oddities(s)),
  cure: (s) => s.controls.setOddities(s.host(letter), {}),
});
const mounted = (...options: string[]) =>
  odd('b', (s) => ({ mounts: { [poolOf(s).id]: { options: ['rw', ...options] } } }));
const strategy =
  (lockStrategy: Fleet['pools'][number]['lockStrategy']) =>
  (fleet: Fleet): Fleet => ({ ...fleet, pools: fleet.pools.map((p) => ({ ...p, lockStrategy })) });

/** What the watch would have stored of vm-001, changed. */
async function recordAs(s: RecoverySystem, change: (vm: VmRecord) => VmRecord): Promise<void> {
  const { inventory } = s;
  const all = await inventory.vms({ hostId: s.host('a') });
  const list = await s.ports.hypervisor.definitions(s.host('a'), undefined, new AbortController().signal);
  const vms = all.map((vm) => {
    const {
      version: _v,
      definitionVersion: _d,
      epoch: _e,
      desired: _w,
      ...seen
    } = vm.name === 'vm-001' ? change(vm) : vm;
    return { vm: seen, definitionText: list.find((d) => d.vmId === vm.vmId)?.text };
  });
  await inventory.recordDiscovery(s.host('a'), new Date().toISOString(), vms);
}
const diskAs = (change: object): Pick<Case, 'plant' | 'cure'> => ({
  plant: (s) =>
    recordAs(s, (vm) => ({
      ...vm,
      shape: { ...vm.shape, disks: vm.shape.disks.map((d) => ({ ...d, ...change })) },
    })),
  cure: (s) =>
    recordAs(s, (vm) => ({
      ...vm,
      shape: {
        ...vm.shape,
        disks: vm.shape.disks.map((d) => ({ ...d, shareable: false, poolId: poolOf(s).id })),
      },
    })),
});

const cases: Readonly<Record<ReadinessCheck, Case>> = {
  'fence-none': {
    ...{ plant: nothing, cure: nothing, blocks: true },
    fleet: (f) => ({
      ...f,
      clusters: f.clusters.map((c) => ({ ...c, hosts: c.hosts.map((h) => ({ ...h, fenceLevels: [] })) })),
    }),
  },
  'fence-silent': {
    plant: (s) => s.controls.setDevice(bmc(s), { mode: 'silent' }),
    cure: (s) => s.controls.setDevice(bmc(s), { mode: 'works' }),
    blocks: true,
  },
  'fence-login-refused': {
    plant: (s) => s.controls.setDevice(bmc(s), { passwordOk: false }),
    async cure(s) {
      s.controls.setDevice(bmc(s), { passwordOk: true });
      await s.inventory.forgetLoginRefusals([bmc(s)]);
    },
    blocks: true,
  },
  'fence-reads-off': {
    plant: (s) =>
      s.controls.addRule({
        ...{ id: 'planted', port: 'fencing', call: 'status', target: bmc(s) },
        then: { kind: 'lie', answer: { power: 'off' } },
      }),
    cure: noRules,
    blocks: true,
  },
  'host-unread': {
    plant: (s) => s.controls.killDaemon(s.host('b')),
    cure: (s) => s.controls.startDaemon(s.host('b')),
  },
  'host-commands': {
    plant: (s) => s.controls.setCommands(s.host('b'), 'silent'),
    cure: (s) => s.controls.setCommands(s.host('b'), 'reachable'),
  },
  'host-standing': {
    plant: (s) => stand(s, 'maintenance'),
    cure: (s) => stand(s, 'in-service'),
  },
  'rival-manager': odd('b', () => ({ rivals: ['Pacemaker'] })),
  'command-missing': odd('b', () => ({ commands: [{ name: 'qemu', version: undefined }] })),
  'command-old': odd('b', () => ({ commands: [{ name: 'qemu', version: '2.8.1' }] })),
  'mount-missing': odd('b', (s) => ({ mounts: { [poolOf(s).id]: { kind: 'folder' } } })),
  'mount-nolock': mounted('vers=3', 'hard', 'nolock', 'local_lock=all'),
  'mount-local-lock': mounted('vers=3', 'hard', 'local_lock=posix'),
  'mount-soft': mounted('vers=3', 'soft', 'local_lock=none'),
  'mount-no-netdev': odd('b', (s) => ({ mounts: { [poolOf(s).id]: { fstabOptions: ['defaults'] } } })),
  'mount-no-statd': odd('b', () => ({ statd: false })),
  'locks-never-released': { plant: nothing, cure: nothing, fleet: strategy('none'), blocks: true },
  'lock-test-broken': {
    plant: (s) => s.controls.setLockless(poolOf(s).id, true),
    cure: (s) => s.controls.setLockless(poolOf(s).id, false),
  },
  'lock-test-unknown': { plant: failing('survey', 'testLocks'), cure: noRules },
  'strategy-missing': { plant: nothing, cure: nothing, fleet: strategy('unsupported'), blocks: true },
  'strategy-unreachable': { plant: failing('storageLocks', 'list'), cure: noRules, blocks: true },
  'access-cut': {
    plant: (s) => s.world.storage.setCut(poolOf(s).id, s.host('b'), true),
    cure: (s) => s.world.storage.setCut(poolOf(s).id, s.host('b'), false),
  },
  'access-unreachable': { plant: failing('storageAccess', 'read'), cure: noRules },
  'lvm-unread': { storage: 'lvm', ...odd('b', () => ({ lvmSilent: 'vgs timed out' })) },
  'lvm-autoactivation': {
    storage: 'lvm',
    ...odd('b', (s) => ({ groups: { [poolOf(s).id]: { autoActivation: true } } })),
  },
  'lvm-duplicate-name': {
    storage: 'lvm',
    ...odd('b', (s) => ({
      moreGroups: [
        {
          ...{ uuid: 'a-guest', name: poolOf(s).path.split('/').at(-1) ?? '', missingPvs: 0 },
          ...{ autoActivation: false, clustered: false, volumes: [] },
        },
      ],
    })),
  },
  'lvm-missing-pv': {
    storage: 'lvm',
    ...odd('b', (s) => ({ groups: { [poolOf(s).id]: { missingPvs: 1 } } })),
  },
  'lvm-active-elsewhere': {
    storage: 'lvm',
    plant: (s) => s.controls.setActive(s.spec.vms[0]!.disks[0]!.path, s.host('b'), true),
    cure: (s) => s.controls.setActive(s.spec.vms[0]!.disks[0]!.path, s.host('b'), false),
    blocks: true,
  },
  'lvm-not-seen': { storage: 'lvm', ...odd('b', (s) => ({ groups: { [poolOf(s).id]: { name: 'other' } } })) },
  'image-unreadable': {
    plant: (s) => s.controls.setDiskOn(s.host('b'), s.spec.vms[0]!.disks[0]!.path, 'unreadable'),
    cure: (s) => s.controls.setDiskOn(s.host('b'), s.spec.vms[0]!.disks[0]!.path, 'usable'),
  },
  'definition-not-stored': {
    async plant(s) {
      const vm = await s.inventory.vm(s.vm('vm-001'));
      const { version: _v, definitionVersion: _d, epoch: _e, desired: _w, ...seen } = vm!;
      const late = { ...seen, vmId: `${seen.vmId.slice(0, -4)}ffff` as VmRecord['vmId'], name: 'late' };
      const others = (await s.inventory.vms({ hostId: s.host('a') })).map(
        ({ version: _1, definitionVersion: _2, epoch: _3, desired: _4, ...known }) => known,
      );
      await s.inventory.recordDiscovery(
        s.host('a'),
        new Date().toISOString(),
        [...others, late].map((v) => ({ vm: v, definitionText: undefined })),
      );
    },
    async cure(s) {
      const late = (await s.inventory.vms()).filter((v) => v.name === 'late');
      const others = (await s.inventory.vms({ hostId: s.host('a') })).filter((v) => v.name !== 'late');
      await s.inventory.recordDiscovery(
        s.host('a'),
        new Date().toISOString(),
        [...others, ...late].map(({ version: _1, definitionVersion: _2, epoch: _3, desired: _4, ...vm }) => ({
          vm,
          definitionText: vm.name === 'late' ? 'text' : undefined,
        })),
      );
    },
  },
  'disk-without-pool': { ...diskAs({ poolId: undefined }), blocks: true },
  'disk-shareable': diskAs({ shareable: true }),
  autostart: {
    plant: (s) => s.controls.setAutostart(s.host('a'), s.vm('vm-001'), true),
    cure: (s) => s.controls.setAutostart(s.host('a'), s.vm('vm-001'), false),
  },
  'no-target': {
    plant(s) {
      for (const host of ['b', 'c'])
        s.controls.setOddities(s.host(host), { commands: [{ name: 'qemu', version: undefined }] });
    },
    cure(s) {
      for (const host of ['b', 'c']) s.controls.setOddities(s.host(host), {});
    },
    blocks: true,
  },
};

async function stand(s: RecoverySystem, standing: 'maintenance' | 'in-service'): Promise<void> {
  const record = await s.inventory.host(s.host('b'));
  await s.inventory.updateHost(s.host('b'), record!.version, { standing });
}

async function report(s: RecoverySystem, fleet: Fleet = s.fleet): Promise<ReadinessReport> {
  const activities = createActivities(s.ports, fleet);
  const clusterId = fleet.clusters[0]!.id;
  const env = new MockActivityEnvironment();
  const devices = await env.run(activities.readFenceDevices as never, { clusterId } as never);
  await env.run(activities.assessCluster as never, { clusterId, devices } as never);
  const stored = await s.inventory.readiness(clusterId);
  if (stored === undefined) throw new Error('no report was stored');
  return stored;
}

const kinds = (found: ReadinessReport): string[] => [...new Set(found.findings.map((f) => f.check))];
const verdictOf = (found: ReadinessReport, name: string) => found.vms.find((v) => v.name === name)?.verdict;

const systems = new Map<Storage, RecoverySystem>();
beforeAll(async () => {
  systems.set('lvm', await recoverySystem({ storage: 'lvm' }));
  systems.set('nfs', await recoverySystem({ storage: 'nfs', cutAccess: true }));
});
afterAll(async () => {
  for (const system of systems.values()) await system.close();
});

it('has a planted fault for every check', () => {
  expect(Object.keys(cases).sort()).toEqual([...readinessChecks].sort());
});

it.each(Object.entries(cases) as [ReadinessCheck, Case][])(
  '%s is absent, then found, then cured',
  async (check, { storage = 'nfs', plant, cure, fleet, blocks }) => {
    const system = systems.get(storage)!;
    const before = await report(system);
    expect(kinds(before)).not.toContain(check);
    expect(verdictOf(before, 'vm-001')).toBe('comes-back');
    await plant(system);
    const during = await report(system, fleet?.(system.fleet));
    expect(kinds(during)).toContain(check);
    for (const f of during.findings) expect(`${f.sentence} | ${f.next}`).toMatch(/^\S.{15,} \| \S.{5,}$/);
    expect(verdictOf(during, 'vm-001')).toBe(blocks === true ? 'would-not' : 'comes-back');
    await cure(system);
    expect(kinds(await report(system))).not.toContain(check);
  },
);

it('finds nothing in a datacenter in good order, and stores the report that a client asks for', async () => {
  for (const system of systems.values()) {
    const door = { client: system.client, inventory: system.inventory, address: 'test' };
    const cluster = system.fleet.clusters[0]!.id;
    const asked = await checkReadiness({ ...door, taskQueue: system.taskQueue }, cluster);
    expect(asked.findings).toEqual([]);
    expect(asked.vms.every((v) => v.verdict === 'comes-back')).toBe(true);
    expect(asked.vms.every((v) => v.target !== undefined && v.target !== v.hostId)).toBe(true);
  }
});
