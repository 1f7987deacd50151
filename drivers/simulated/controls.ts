/** The switches of the world: what fails, what people do by hand, what a test wants to see. All of them by name, so that they work over a socket. */
import type { FenceDeviceId, HostId, PoolId, VmId } from '../../domain/ids';
import { invariant } from '../../domain/invariant';
import type { FleetOwner } from '../../domain/records';
import type { FaultRule } from './fault-rules';
import type { GuestDamage } from './guest-repairs';
import type { JournalEntry } from './journal';
import type { DiskSightSaid } from './shared-storage';
import type { MoveManner } from './volume-works';
import type { World } from './world';
import type { DeviceMode, GuestProcess, HostOddities, HostState, WorldSnapshot } from './world-state';
import type { Costs, DiskSpec, GuestHealth, WorldSpec } from './world-spec';

export type WorldControls = ReturnType<typeof controlsOf>;

/** The same switches when the world is a process of its own. */
export type RemoteControls = {
  readonly [K in keyof WorldControls]: (
    ...args: Parameters<WorldControls[K]>
  ) => Promise<ReturnType<WorldControls[K]>>;
};

export function controlsOf(world: World) {
  return {
    ...hostControls(world),
    ...guestControls(world),
    ...storageControls(world),
    spec: (): WorldSpec => world.spec,
    snapshot: (): WorldSnapshot => world.snapshot(),
    journal: (sinceSeq = 0): readonly JournalEntry[] => world.journal.since(sinceSeq),
    addRule: (rule: FaultRule): void => world.rules.add(rule),
    clearRule: (id: string): void => world.rules.clear(id),
    clearRules: (): void => world.rules.clear(),
    struck: (id: string): number => world.rules.struck(id),
    setCosts: (costs: Partial<Costs>): void => void (world.costs = { ...world.costs, ...costs }),
  };
}

function hostControls(world: World) {
  const change = (id: HostId, to: string, set: (host: HostState) => void): void => {
    const host = world.host(id);
    set(host);
    world.journal.effect({ effect: 'host-changed', hostId: id, to });
    if (world.isRunning(host) && host.daemon === 'alive') for (const act of host.late.splice(0)) act();
  };
  return {
    /** `bmcToo`: the BMC hangs on the same supply, and is silent from then on. */
    cutPower(id: HostId, how: { readonly bmcToo?: boolean } = {}): void {
      world.cutPower(id);
      if (how.bmcToo !== true) return;
      for (const device of world.devices.values()) if (device.spec.wiredTo === id) device.mode = 'silent';
    },
    powerOn: (id: HostId): void => world.powerOn(id),
    /** Everything on the host stands still, guests included, and nothing answers; their locks stay. */
    freeze: (id: HostId): void => change(id, 'frozen', (h) => void (h.frozen = true)),
    /** Guests that stood still go on writing at once, as a woken host does. */
    thaw(id: HostId): void {
      change(id, 'thawed', (h) => void (h.frozen = false));
      for (const process of world.processesOn(id)) world.stir(process);
    },
    /** The hypervisor daemon dies; guests run on. */
    killDaemon: (id: HostId): void => change(id, 'daemon dead', (h) => void (h.daemon = 'dead')),
    /** A new daemon: it finds the guests that run, and has forgotten why the others stopped. */
    startDaemon: (id: HostId): void =>
      change(id, 'daemon started', (h) => {
        h.daemon = 'alive';
        h.lastReason.clear();
      }),
    /** The daemon takes calls in and answers none. What it took in it does when it goes on. */
    hangDaemon: (id: HostId): void => change(id, 'daemon hung', (h) => void (h.daemon = 'hung')),
    resumeDaemon: (id: HostId): void => change(id, 'daemon goes on', (h) => void (h.daemon = 'alive')),
    setNetwork: (id: HostId, network: HostState['network']): void =>
      change(id, `network ${network}`, (h) => void (h.network = network)),
    setCommands: (id: HostId, commands: HostState['commands']): void =>
      change(id, `commands ${commands}`, (h) => void (h.commands = commands)),
    setDevice(
      id: FenceDeviceId,
      to: { readonly mode?: DeviceMode; readonly passwordOk?: boolean; readonly delayMs?: number },
    ): void {
      const device = world.devices.get(id);
      invariant(device !== undefined, `the simulated datacenter has no fence device ${id}`);
      Object.assign(device, to);
      if (to.mode === 'works') device.claimsOff = false;
    },
    /** What somebody who looks into the host finds unlike a host in good order; none of it by `{}`. */
    /** What another installation's VMedic would have written `agoMs` ago; undefined takes the mark away. */
    markByHand(id: HostId, owner: FleetOwner | undefined, agoMs = 0): void {
      world.host(id).mark = owner && { owner, atMs: world.nowMs() - agoMs };
    },
    setOddities: (id: HostId, oddities: HostOddities): void => void (world.host(id).oddities = oddities),
    loginRefusals: (id: FenceDeviceId): number => world.devices.get(id)?.loginRefusals ?? 0,
  };
}

function guestControls(world: World) {
  const running = (host: HostId, vm: VmId): GuestProcess => {
    const process = world.processOf(vm, host);
    invariant(process !== undefined, `${vm} does not run on ${host}`);
    return process;
  };
  return {
    /** A person starts the VM on the host from the definition that the host has. False when the host refuses. */
    startByHand(host: HostId, vm: VmId): boolean {
      const definition = world.host(host).definitions.get(vm);
      invariant(definition !== undefined, `${vm} is not defined on ${host}`);
      return 'boot' in world.startProcess(host, definition.text, true, 'hand', undefined);
    },
    /** A person creates a transient VM from a definition. False when the host refuses. */
    createByHand: (host: HostId, text: string): boolean =>
      'boot' in world.startProcess(host, text, false, 'hand', undefined),
    destroyByHand: (host: HostId, vm: VmId): void => world.endProcess(running(host, vm), 'destroyed'),
    crashGuest: (host: HostId, vm: VmId): void => world.endProcess(running(host, vm), 'crashed', 'crashed'),
    shutDownGuest: (host: HostId, vm: VmId): void => world.endProcess(running(host, vm), 'shutdown'),
    pauseGuest(host: HostId, vm: VmId, reason = 'user'): void {
      Object.assign(running(host, vm), { state: 'paused', reason });
      world.news.tell(host);
    },
    resumeGuest(host: HostId, vm: VmId): void {
      const process = running(host, vm);
      Object.assign(process, { state: 'running', reason: 'unpaused' });
      world.stir(process);
      world.news.tell(host);
    },
    /** Shutting down or migrating away: it may still write. */
    beginTransition(host: HostId, vm: VmId): void {
      Object.assign(running(host, vm), { state: 'in-transition', reason: 'shutting-down' });
    },
    /** The guest's process stands still; the daemon says that it runs. */
    freezeGuest(host: HostId, vm: VmId, frozen: boolean): void {
      const process = running(host, vm);
      process.guestFrozen = frozen;
      if (!frozen) world.stir(process);
    },
    migrateByHand(from: HostId, to: HostId, vm: VmId): void {
      const process = running(from, vm);
      const source = world.host(from);
      world.moveProcess(process, to);
      const definition = source.definitions.get(vm);
      if (definition === undefined) return;
      source.definitions.delete(vm);
      world.journal.effect({ effect: 'definition-removed', vmId: vm, hostId: from, by: 'hand' });
      world.host(to).definitions.set(vm, { ...definition, by: 'hand' });
      world.journal.effect({
        effect: 'defined',
        vmId: vm,
        hostId: to,
        by: 'hand',
        version: definition.version,
      });
    },
    defineByHand(host: HostId, vm: VmId, name: string, text: string): void {
      world
        .host(host)
        .definitions.set(vm, { vmId: vm, name, text, version: undefined, by: 'hand', autostart: false });
      world.journal.effect({ effect: 'defined', vmId: vm, hostId: host, by: 'hand', version: undefined });
    },
    undefineByHand(host: HostId, vm: VmId): void {
      world.host(host).definitions.delete(vm);
      world.journal.effect({ effect: 'definition-removed', vmId: vm, hostId: host, by: 'hand' });
    },
    setAutostart(host: HostId, vm: VmId, autostart: boolean): void {
      const definition = world.host(host).definitions.get(vm);
      if (definition !== undefined) definition.autostart = autostart;
    },
    setHealth: (vm: VmId, health: GuestHealth): void => void world.health.set(vm, health),
  };
}

function storageControls(world: World) {
  return {
    setDisk(path: string, sight: DiskSightSaid): void {
      const disk = world.storage.disks.get(path);
      invariant(disk !== undefined, `the simulated datacenter has no disk ${path}`);
      disk.sight = sight;
    },
    /** As one host alone sees it: a missing mount, wrong rights. */
    setDiskOn(host: HostId, path: string, sight: DiskSightSaid): void {
      const disk = world.storage.disks.get(path);
      invariant(disk !== undefined, `the simulated datacenter has no disk ${path}`);
      disk.sightOn.set(host, sight);
    },
    /** Somebody made another volume of the same name. */
    replaceDisk(path: string): void {
      const disk = world.storage.disks.get(path);
      invariant(disk !== undefined, `the simulated datacenter has no disk ${path}`);
      disk.identity = `${disk.identity}-anew`;
    },
    makeDisk: (disk: DiskSpec): void => void world.storage.ensureDisk(disk),
    /** How the next move of this VM's disks goes; an honest one when nothing is said. */
    setMoveManner: (vm: VmId, manner: MoveManner): void => world.volumeWorks.setManner(vm, manner),
    /** A move that hangs, or ignored being cancelled, ends as it was going to. */
    endMoves: (vm: VmId): void => world.volumeWorks.endAll(vm),
    /** What keeps the tasks (a daemon, a vCenter) starts anew: nobody knows them any more, and what they do goes on. */
    forgetMoves: (): void => world.volumeWorks.forgetAll(),
    setPoolFree: (pool: PoolId, bytes: number): void => world.storage.setFree(pool, bytes),
    /** The guest's file system on it cannot be mounted; `undefined` is one in good order. */
    damageDisk: (path: string, damage: GuestDamage | undefined): void => world.repairs.damage(path, damage),
    isDamaged: (path: string): boolean => world.repairs.isDamaged(path),
    /** Somebody deletes the file. */
    unlinkDisk: (path: string): void => void world.storage.disks.delete(path),
    setLockless: (pool: PoolId, lockless: boolean): void => world.storage.setLockless(pool, lockless),
    /** A lock by a host, or by somebody outside the fleet (a backup, another cluster). */
    placeLock(path: string, poolId: PoolId, owner: string): void {
      world.storage.take({ device: 'vda', path, poolId }, owner, `foreign-${owner}`);
    },
    removeLock: (path: string): void => world.storage.release(path),
    setActive(path: string, host: HostId, active: boolean): void {
      const disk = world.storage.disks.get(path);
      invariant(disk !== undefined, `the simulated datacenter has no disk ${path}`);
      if (active) disk.activeOn.set(host, 'hand');
      else disk.activeOn.delete(host);
    },
  };
}
