/** What the suites need of a simulated datacenter, in this process or in one of its own. */
import {
  controlsOf,
  definitionText,
  type FaultRule,
  parseDefinition,
  type RemoteControls,
  type SampleOptions,
  sampleWorld,
  shapeOf,
  type SimulatedPorts,
  simulatedPorts,
  World,
  type WorldSpec,
} from '../../drivers/simulated';
import { fenceDeviceId, hostId, type HostId, vmId } from '../../domain/ids';
import type { VmDisk, VmShape } from '../../domain/records';
import { simulatedElsewhere } from '../support/simulated-process';
import type { Opened } from './contract';
import type { FencingSubject } from './fencing.contract';
import type { GuestRepairSubject } from './guest-repair.contract';
import type { HeartbeatsSubject } from './heartbeats.contract';
import type { HintsSubject } from './hints.contract';
import type { HostCommandsSubject } from './host-commands.contract';
import type { ContractVm, HypervisorSubject } from './hypervisor.contract';
import type { NotifierSubject } from './notifier.contract';
import type { StorageAccessSubject } from './storage-access.contract';
import type { StorageLocksSubject } from './storage-locks.contract';
import type { MovableVm, VolumeMovesSubject } from './move-protocol';
import type { SurveySubject } from './survey.contract';
import type { VolumesSubject } from './volumes.contract';

export interface Reach {
  readonly ports: SimulatedPorts;
  readonly control: RemoteControls;
  readonly spec: WorldSpec;
  close(): Promise<void>;
}

export type OpenWorld = (options: SampleOptions) => Promise<Reach>;

export const inThisProcess: OpenWorld = async (options) => {
  const spec = sampleWorld(options);
  const world = new World(spec);
  const controls: Readonly<Record<string, unknown>> = controlsOf(world);
  const control = Object.fromEntries(
    Object.entries(controls).map(([name, turn]) => [
      name,
      (...args: unknown[]) => Promise.resolve((turn as (...a: unknown[]) => unknown)(...args)),
    ]),
  ) as unknown as RemoteControls;
  return { ports: simulatedPorts(world), control, spec, close: async () => undefined };
};

export const inItsOwnProcess: OpenWorld = async (options) => {
  const spec = sampleWorld(options);
  const { connection, end } = await simulatedElsewhere(spec);
  return { ports: connection.ports, control: connection.control, spec, close: end };
};

const a = hostId('hv-a');
const b = hostId('hv-b');
const patienceMs = 5_000;
const small: SampleOptions = { hosts: 2, vmsPerHost: 2, transientEvery: 4 };

export const openFencing = (open: OpenWorld) => async (): Promise<Opened<FencingSubject>> => {
  const { ports, control, close } = await open(small);
  const device = { id: fenceDeviceId('hv-a-bmc'), agent: 'simulated' };
  const power = async () => (await control.snapshot()).hosts.find((h) => h.id === a)?.power;
  const world = {
    powerOff: () => control.cutPower(a),
    powerOn: () => control.powerOn(a),
    isOn: async () => (await power()) === 'on',
    silenceDevice: () => slowSilence(control).then(() => control.setDevice(device.id, { mode: 'silent' })),
    breakPassword: () => control.setDevice(device.id, { passwordOk: false }),
    ignoreOff: () => control.setDevice(device.id, { mode: 'says-ok' }),
  };
  return { subject: { port: ports.fencing, host: a, device, patienceMs, world }, close };
};

/** Long enough for an abort to come first. */
const slowSilence = (control: RemoteControls): Promise<void> => control.setCosts({ silenceMs: 400 });

export const openHypervisor =
  (open: OpenWorld) => async (): Promise<Opened<HypervisorSubject & HintsSubject>> => {
    const { ports, control, close } = await open({ ...small, vmsPerHost: 0, memoryMiBPerVm: 1_024 });
    let count = 0;
    const draft = async (host: HostId): Promise<ContractVm> => {
      count += 1;
      const id = vmId(`00000000-0000-4000-8000-${String(count).padStart(12, '0')}`);
      const name = `case-${count}`;
      const path = `/simulated/shared/${name}.raw`;
      const disks = [{ device: 'vda', path, poolId: (await control.spec()).pools[0]!.id }];
      const text = definitionText({ id, name, memoryMiB: 4, vcpus: 1, disks, networks: ['lan'] });
      await control.makeDisk(disks[0]!);
      const readAt = new Date().toISOString();
      return { vmId: id, name, definition: { vmId: id, version: 1, text, readFrom: host, readAt } };
    };
    const subject: HypervisorSubject & HintsSubject = {
      ...{ port: ports.hypervisor, hints: ports.hints, a, b, patienceMs },
      world: {
        powerOff: (host) => control.cutPower(host),
        killDaemon: (host) => control.killDaemon(host),
        startDaemon: (host) => control.startDaemon(host),
        hangDaemon: (host) => slowSilence(control).then(() => control.hangDaemon(host)),
        resumeDaemon: (host) => control.resumeDaemon(host),
        destroy: (host, vm) => control.destroyByHand(host, vm),
        pause: (host, vm) => control.pauseGuest(host, vm),
        setAutostart: (host, vm) => control.setAutostart(host, vm, true),
        runsOn: async (vm) =>
          (await control.snapshot()).processes
            .filter((p) => p.vmId === vm && p.state !== 'ended')
            .map((p) => p.hostId),
      },
      async startedVm(host, kind) {
        const vm = await draft(host);
        if (kind === 'transient') await control.createByHand(host, vm.definition.text);
        else {
          await control.defineByHand(host, vm.vmId, vm.name, vm.definition.text);
          await control.startByHand(host, vm.vmId);
        }
        return vm;
      },
      async definedVm(host) {
        const vm = await draft(host);
        await control.defineByHand(host, vm.vmId, vm.name, vm.definition.text);
        return vm;
      },
    };
    return { subject, close };
  };

/** The same world: what happens to guests is what is told. */
export const openHints: (open: OpenWorld) => () => Promise<Opened<HintsSubject>> = openHypervisor;

const diskAt = (path: string, spec: WorldSpec): VmDisk => ({
  ...{ device: 'vda', path, format: 'raw', shareable: false },
  poolId: spec.pools[0]?.id,
});

export const openHostCommands = (open: OpenWorld) => async (): Promise<Opened<HostCommandsSubject>> => {
  const { ports, control, spec, close } = await open(small);
  const vm = spec.vms.find((v) => v.hostId === a && v.persistent)!;
  await control.destroyByHand(a, vm.id);
  const subject: HostCommandsSubject = {
    ...{ port: ports.hostCommands, host: a, patienceMs },
    world: {
      powerOff: () => control.cutPower(a),
      powerOn: () => control.powerOn(a),
      freeze: () => slowSilence(control).then(() => control.freeze(a)),
    },
    neighbour: { hostId: b, address: b, port: 22 },
    usableDisk: diskAt(vm.disks[0]!.path, spec),
    missingDisk: diskAt('/simulated/shared/no-such.raw', spec),
    guest: {
      vm: {
        vmId: vm.id,
        name: vm.name,
        shape: shapeOfVm(await ports.hypervisor.definitions(a, [vm.id], new AbortController().signal)),
      },
      consoleCheck: { kind: 'console', pattern: 'up', timeoutMs: 5_000 },
      start: async () => {
        await control.startByHand(a, vm.id);
      },
      stop: () => control.destroyByHand(a, vm.id),
    },
  };
  return { subject, close };
};

function shapeOfVm(read: readonly { readonly text: string }[]): VmShape {
  const parsed = parseDefinition(read[0]?.text ?? '');
  if (parsed === undefined) throw new Error('the guest has no definition');
  return shapeOf(parsed);
}

export const openStorageLocks = (open: OpenWorld) => async (): Promise<Opened<StorageLocksSubject>> => {
  const { ports, control, spec, close } = await open({ ...small, storage: 'nfs' });
  const pool = spec.pools[0]!;
  const imageOf = (host: HostId): string => spec.vms.find((v) => v.hostId === host)!.disks[0]!.path;
  const subject: StorageLocksSubject = {
    ...{ port: ports.storageLocks, pool: pool.id, strategy: pool.lockStrategy, a, b },
    ...{ imageOfA: imageOf(a), imageOfB: imageOf(b) },
    world: {
      powerOff: (host) => control.cutPower(host),
      lockByStranger: (image) => control.placeLock(image, pool.id, 'backup-server'),
      freeImage: (image) => control.removeLock(image),
    },
  };
  return { subject, close };
};

export const openStorageAccess = (open: OpenWorld) => async (): Promise<Opened<StorageAccessSubject>> => {
  const { ports, control, spec, close } = await open({ ...small, storage: 'nfs', cutAccess: true });
  const pool = spec.pools[0]!.id;
  const writesOf = async (path: string): Promise<number> =>
    (await control.snapshot()).disks.find((d) => d.path === path)?.writes.length ?? 0;
  const subject: StorageAccessSubject = {
    ...{ port: ports.storageAccess, pool, a, b },
    world: {
      powerOff: (host) => control.cutPower(host),
      async canWrite(host) {
        const vm = spec.vms.find((v) => v.hostId === host)!;
        const before = await writesOf(vm.disks[0]!.path);
        // A guest that stood still and goes on writes at once.
        await control.freezeGuest(host, vm.id, true);
        await control.freezeGuest(host, vm.id, false);
        return (await writesOf(vm.disks[0]!.path)) > before;
      },
      rights: async () => JSON.stringify((await control.snapshot()).accessCut),
    },
  };
  return { subject, close };
};

export const openVolumes = (open: OpenWorld) => async (): Promise<Opened<VolumesSubject>> => {
  const { ports, control, spec, close } = await open({ ...small, storage: 'lvm' });
  const vm = spec.vms.find((v) => v.hostId === a)!;
  await control.cutPower(a);
  const diskOf = async (path: string) => (await control.snapshot()).disks.find((d) => d.path === path);
  const subject: VolumesSubject = {
    ...{ port: ports.volumes, vmId: vm.id, target: b },
    disks: vm.disks.map((d) => diskAt(d.path, spec)),
    missingDisk: diskAt('/dev/shared/no-such', spec),
    world: {
      powerOffTarget: () => control.cutPower(b),
      exists: async (path) => (await diskOf(path)) !== undefined,
      isActive: async (path, host) => (await diskOf(path))?.activeOn.some((x) => x.hostId === host) === true,
      activateByHand: (path, host) => control.setActive(path, host, true),
      replaceVolume: (path) => control.replaceDisk(path),
      elsewhere: a,
    },
  };
  return { subject, close };
};

export const openVolumeMoves =
  (open: OpenWorld, storage: 'dir' | 'vmfs') => async (): Promise<Opened<VolumeMovesSubject>> => {
    const { ports, control, spec, close } = await open({
      ...small,
      vmsPerHost: 3,
      storage,
      secondPool: true,
    });
    const target = spec.pools[1]!.id;
    const free = spec.vms.filter((v) => v.hostId === a && v.persistent);
    const definition = async (vm: MovableVm) => {
      const host = (await control.snapshot()).hosts.find((h) => h.id === vm.hostId);
      return parseDefinition(host?.definitions.find((d) => d.vmId === vm.vmId)?.text ?? '');
    };
    const diskAtPath = async (path: string) => (await control.snapshot()).disks.find((d) => d.path === path);
    const subject: VolumeMovesSubject = {
      ...{ port: ports.volumeMoves, target },
      async newVm(state, disks = 1) {
        const vm = free.shift()!;
        await control.destroyByHand(a, vm.id);
        const more = { ...vm.disks[0]!, device: 'vdb', path: `${vm.disks[0]!.path}.2` };
        await control.makeDisk(more);
        const all = disks === 1 ? vm.disks : [...vm.disks, more];
        await control.defineByHand(a, vm.id, vm.name, definitionText({ ...vm, disks: all }));
        if (state === 'running') await control.startByHand(a, vm.id);
        return { vmId: vm.id, hostId: a, name: vm.name, disks: all.map((d) => d.device) };
      },
      world: {
        filesOf: async (vm) => (await definition(vm))?.disks.map((d) => d.path) ?? [],
        isOn: async (path, pool) => (await diskAtPath(path))?.poolId === pool,
        exists: async (path) => (await diskAtPath(path)) !== undefined,
        contentOf: async (path) => JSON.stringify((await diskAtPath(path))?.writes.map((w) => w.boot)),
        runs: async (vm) =>
          (await ports.hypervisor.list(vm.hostId, new AbortController().signal)).vms.some(
            (v) => v.vmId === vm.vmId && v.state === 'running',
          ),
        unregister: (vm) => control.undefineByHand(vm.hostId, vm.vmId),
        unlink: (path) => control.unlinkDisk(path),
        fillTarget: () => control.setPoolFree(target, 10),
        setManner: (vm, manner) => control.setMoveManner(vm.vmId, manner),
        endMoves: (vm) => control.endMoves(vm.vmId),
        begun: async (vm) =>
          (await control.journal(0)).filter(
            (e) => e.kind === 'effect' && e.effect === 'move-begun' && e.vmId === vm.vmId,
          ).length,
        silenceHost: (host) => control.hangDaemon(host),
        powerOff: (host) => control.cutPower(host),
      },
    };
    return { subject, close };
  };

export const openNotifier = (open: OpenWorld) => async (): Promise<Opened<NotifierSubject>> => {
  const { ports, control, close } = await open(small);
  const fail: FaultRule = {
    ...{ id: 'sink-down', port: 'notifier' as const, call: 'deliver' },
    then: { kind: 'fail-before', fault: { code: 'ALERT_NOT_DELIVERED' } },
  };
  const subject: NotifierSubject = {
    port: ports.notifier,
    world: {
      delivered: async () => (await control.snapshot()).alerts,
      failSink: () => control.addRule(fail),
    },
  };
  return { subject, close };
};

export const openHeartbeats = (open: OpenWorld) => async (): Promise<Opened<HeartbeatsSubject>> => {
  const { ports, control, spec, close } = await open({ ...small, heartbeat: true });
  const { id, type, path, lockStrategy } = spec.pools[0]!;
  const subject: HeartbeatsSubject = {
    ...{ port: ports.heartbeats, a, b, pool: { id, type, path, lockStrategy }, patienceMs },
    world: { powerOff: (host) => control.cutPower(host), powerOn: (host) => control.powerOn(host) },
  };
  return { subject, close };
};

export const openGuestRepair = (open: OpenWorld) => async (): Promise<Opened<GuestRepairSubject>> => {
  const { ports, control, spec, close } = await open(small);
  const vm = spec.vms.find((v) => v.hostId === a)!;
  const [{ device, path, poolId: pool }] = vm.disks as [(typeof vm.disks)[number]];
  await control.shutDownGuest(a, vm.id);
  await control.damageDisk(path, 'mendable');
  const disk = { device, path, poolId: pool, format: 'raw', shareable: false };
  const subject: GuestRepairSubject = {
    ...{ port: ports.guestRepair, a, patienceMs },
    order: (attempt) => ({ attempt, vmId: vm.id, name: vm.name, disks: [disk] }),
    world: {
      start: async () => {
        await control.startByHand(a, vm.id);
      },
      isDamaged: () => control.isDamaged(path),
      powerOff: (host) => control.cutPower(host),
    },
  };
  return { subject, close };
};

export const openSurvey = (open: OpenWorld) => async (): Promise<Opened<SurveySubject>> => {
  const { ports, control, spec, close } = await open({ ...small, storage: 'nfs' });
  const { id, type, path, lockStrategy } = spec.pools[0]!;
  const subject: SurveySubject = {
    ...{ port: ports.survey, a, b, pool: { id, type, path, lockStrategy } },
    world: {
      powerOff: (host) => control.cutPower(host),
      setRival: (host, alive) => control.setOddities(host, alive ? { rivals: ['Pacemaker'] } : {}),
      setLockless: (lockless) => control.setLockless(id, lockless),
      leftovers: () => Promise.resolve([]),
    },
  };
  return { subject, close };
};
