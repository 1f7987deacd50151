/**
 * A datacenter in memory. Theory of operation: the world has its own physics and knows nothing of recoveries. Hosts lose power and come
 * back with a new boot id; guests are processes that write to disks as long as they run; daemons die or hang while guests go on; acts that
 * were taken in happen, whether anybody still listens or not. Ports (`port-bodies/`) are views on it, tests turn its switches.
 *
 * INVARIANTS:
 * - Only `startProcess` makes a writer, and it asks exactly what a real host asks: memory, disks, locks. It never asks whether the VM runs
 *   elsewhere: that is what the system under test is for.
 * - Every change is written to the journal at the moment it happens, in the order it happens.
 */
import type { StartPermit } from '../../domain/evidence';
import type { FenceDeviceId, HostId, VmId } from '../../domain/ids';
import { invariant } from '../../domain/invariant';
import type { Timestamp } from '../../domain/observations';
import type { AlertRecord } from '../../domain/records';
import { definitionText, parseDefinition, type ParsedDefinition } from './definition-text';
import { FaultRules } from './fault-rules';
import { GuestRepairs } from './guest-repairs';
import { HostNews } from './host-news';
import { type Cause, Journal } from './journal';
import { ProcessTable } from './process-table';
import { SharedStorage } from './shared-storage';
import { VolumeWorks } from './volume-works';
import type { DeviceState, GuestProcess, HostState, ProcessInterval, WorldSnapshot } from './world-state';
import { type Costs, defaultCosts, type GuestHealth, type WorldSpec } from './world-spec';

export type StartRefusal =
  | { readonly why: 'no-definition' | 'memory' | 'disk' | 'in-the-way'; readonly detail: string }
  | { readonly why: 'lock'; readonly path: string; readonly holder: string };

/** Bytes that a guest prints once it is up; what counts is that the console grows with every healthy boot. */
const consoleBytesPerBoot = 64;

export class World {
  readonly journal: Journal;
  readonly storage: SharedStorage;
  readonly rules = new FaultRules();
  readonly hosts = new Map<HostId, HostState>();
  readonly devices = new Map<FenceDeviceId, DeviceState>();
  readonly health = new Map<VmId, GuestHealth>();
  readonly alerts: AlertRecord[] = [];
  readonly live = new ProcessTable();
  readonly volumeWorks = new VolumeWorks(this);
  readonly repairs = new GuestRepairs();
  readonly news = new HostNews(
    (id) => this.answers(this.host(id)),
    (id) => this.host(id).daemon === 'alive',
  );
  costs: Costs;
  private readonly ended: ProcessInterval[] = [];
  private readonly printed = new Map<VmId, number>();
  private bootCount = 0;

  constructor(
    readonly spec: WorldSpec,
    readonly nowMs: () => number = Date.now,
  ) {
    this.costs = { ...defaultCosts, ...spec.costs };
    this.journal = new Journal(
      spec.journal ?? 'full',
      () => this.now(),
      (effect) => this.news.note(effect),
    );
    this.storage = new SharedStorage(spec.pools, nowMs);
    for (const host of spec.hosts) this.hosts.set(host.id, this.freshHost(host));
    for (const device of spec.devices)
      this.devices.set(device.id, {
        spec: device,
        mode: 'works',
        passwordOk: true,
        delayMs: 0,
        feedOn: true,
        claimsOff: false,
        loginRefusals: 0,
      });
    for (const vm of spec.vms) this.place(vm);
  }

  now(): Timestamp {
    return new Date(this.nowMs()).toISOString();
  }

  host(id: HostId): HostState {
    const host = this.hosts.get(id);
    invariant(host !== undefined, `the simulated datacenter has no host ${id}`);
    return host;
  }

  /** Whether anything on the host can act at all. */
  isRunning(host: HostState): boolean {
    return host.power === 'on' && !host.frozen;
  }

  /** Whether a packet sent to the host now can be answered. */
  answers(host: HostState): boolean {
    return this.isRunning(host) && host.network === 'up' && this.nowMs() >= host.readyAtMs;
  }

  processesOn(host: HostId): GuestProcess[] {
    return this.live.on(host);
  }

  processOf(vm: VmId, host: HostId): GuestProcess | undefined {
    return this.live.at(host, vm);
  }

  cutPower(id: HostId, by: 'hand' | FenceDeviceId = 'hand'): void {
    const host = this.host(id);
    if (host.power === 'off') return;
    host.power = 'off';
    host.late.length = 0;
    for (const process of this.processesOn(id)) this.endProcess(process, 'power-cut');
    this.storage.abandonLocksOf(id);
    for (const device of this.devices.values())
      if (device.spec.wiredTo === id && device.spec.kind === 'feed') device.feedOn = false;
    this.journal.effect({ effect: 'power-off', hostId: id, by });
  }

  powerOn(id: HostId, by: 'hand' | FenceDeviceId = 'hand'): void {
    const host = this.host(id);
    if (host.power === 'on') return;
    Object.assign(host, { power: 'on', daemon: 'alive', frozen: false });
    host.bootId = this.nextBootId(id);
    host.readyAtMs = this.nowMs() + this.costs.bootMs;
    host.lastReason.clear();
    for (const device of this.devices.values())
      if (device.spec.wiredTo === id) Object.assign(device, { feedOn: true, claimsOff: false });
    this.storage.forgetStaleLocksOf(id);
    this.journal.effect({ effect: 'power-on', hostId: id, bootId: host.bootId, by });
    const boot = host.bootId;
    const autostart = (): void => {
      if (host.bootId !== boot || host.power === 'off') return;
      for (const definition of host.definitions.values())
        if (definition.autostart) this.startProcess(id, definition.text, true, 'autostart', undefined);
    };
    if (this.costs.bootMs === 0) autostart();
    else setTimeout(autostart, this.costs.bootMs).unref();
  }

  /** A new writer, or the reason why the host refuses. */
  startProcess(
    hostId: HostId,
    text: string,
    persistent: boolean,
    by: Cause,
    permit: StartPermit | undefined,
  ): GuestProcess | StartRefusal {
    const definition = parseDefinition(text);
    if (definition === undefined) return { why: 'no-definition', detail: 'the definition cannot be read' };
    const refusal = this.startRefusal(hostId, definition);
    if (refusal !== undefined) return refusal;
    this.bootCount += 1;
    const boot = `boot-${this.bootCount}`;
    const { vmId } = definition;
    const startedSeq = this.journal.effect({ effect: 'process-started', vmId, hostId, boot, by, permit });
    const process: GuestProcess = {
      ...{ vmId, hostId, boot, definition, text, persistent, by, permit, startedSeq },
      name: definition.name,
      state: 'running',
      reason: by === 'migration' ? 'migrated' : 'booted',
      guestFrozen: false,
      startedAtMs: this.nowMs(),
    };
    this.live.add(process);
    for (const disk of definition.disks) this.storage.take(disk, hostId, boot);
    this.stir(process);
    return process;
  }

  private startRefusal(hostId: HostId, definition: ParsedDefinition): StartRefusal | undefined {
    if (this.processOf(definition.vmId, hostId) !== undefined)
      return { why: 'in-the-way', detail: 'domain is already running' };
    const host = this.host(hostId);
    const free = host.spec.capacity.memoryMiB - this.live.memoryOn(hostId);
    if (definition.memoryMiB > free)
      return { why: 'memory', detail: `cannot allocate ${definition.memoryMiB} MiB, ${free} MiB are free` };
    for (const disk of definition.disks) {
      const obstacle = this.storage.obstacle(disk.path, hostId);
      if (obstacle !== undefined) return { why: 'disk', detail: obstacle };
      const lock = disk.shareable === true ? undefined : this.storage.lockOn(disk.path);
      if (lock !== undefined) return { why: 'lock', path: disk.path, holder: lock.owner };
    }
    return undefined;
  }

  endProcess(process: GuestProcess, why: string, state: 'shut-off' | 'crashed' = 'shut-off'): void {
    if (!this.live.remove(process)) return;
    this.notePrinted(process);
    const { vmId, hostId, boot } = process;
    const endedSeq = this.journal.effect({ effect: 'process-ended', vmId, hostId, boot, why });
    this.ended.push({ ...this.intervalOf(process), endedSeq, state: 'ended' });
    if (why !== 'power-cut') this.storage.dropLocksOf(boot);
    this.host(hostId).lastReason.set(vmId, { state, reason: why });
  }

  /** A live migration, or new places for its disks: the same boot goes on, its locks with it. */
  moveProcess(
    process: GuestProcess,
    to: HostId,
    changed: Pick<GuestProcess, 'definition' | 'text'> = process,
  ): GuestProcess {
    const { vmId, hostId, boot } = process;
    const { definition, text } = changed;
    const endedSeq = this.journal.effect({ effect: 'process-ended', vmId, hostId, boot, why: 'migrated' });
    this.ended.push({ ...this.intervalOf(process), endedSeq, state: 'ended' });
    const by = 'migration';
    const startedSeq = this.journal.effect({
      ...{ effect: 'process-started', vmId, boot, by, permit: undefined },
      hostId: to,
    });
    this.live.remove(process);
    const { reason } = to === hostId ? process : { reason: 'migrated' };
    const moved = {
      ...process,
      definition,
      text,
      hostId: to,
      reason,
      by,
      permit: undefined,
      startedSeq,
    } as const;
    this.live.add(moved);
    this.storage.dropLocksOf(boot);
    for (const disk of definition.disks) this.storage.take(disk, to, boot);
    return moved;
  }

  /** Every process that can write to this one's disks does so once, in order: this one, the others, this one again. */
  stir(process: GuestProcess): void {
    this.write(process);
    const others = this.live.besides(process);
    for (const other of others) this.write(other);
    if (others.length > 0) this.write(process);
  }

  private write(process: GuestProcess): void {
    const { boot, vmId, hostId, state } = process;
    if (state !== 'running' || process.guestFrozen || !this.isRunning(this.host(hostId))) return;
    for (const { path } of process.definition.disks) {
      const disk = this.storage.disks.get(path);
      if (disk !== undefined && this.storage.isCut(disk.poolId, hostId)) continue;
      for (const one of [disk, disk?.mirror])
        one?.writes.push({ seq: one.writes.length + 1, boot, vmId, hostId, at: this.nowMs() });
    }
  }

  isHealthy(process: GuestProcess): boolean {
    const health = this.health.get(process.vmId) ?? { afterMs: 0 };
    const whole = process.definition.disks.every((d) => !this.repairs.isDamaged(d.path));
    const able = process.state === 'running' && !process.guestFrozen && whole;
    return able && health !== 'never' && this.nowMs() - process.startedAtMs >= health.afterMs;
  }

  consoleBytes(vm: VmId): number {
    const up = this.live.of(vm).filter((p) => this.isHealthy(p)).length;
    return (this.printed.get(vm) ?? 0) + up * consoleBytesPerBoot;
  }

  private notePrinted(process: GuestProcess): void {
    const up = this.isHealthy(process) ? consoleBytesPerBoot : 0;
    this.printed.set(process.vmId, (this.printed.get(process.vmId) ?? 0) + up);
  }

  private intervalOf(process: GuestProcess): ProcessInterval {
    const { vmId, hostId, boot, by, permit, startedSeq, state } = process;
    const disks = process.definition.disks.map((d) => d.path);
    return { vmId, hostId, boot, by, permit, startedSeq, state, disks, endedSeq: undefined };
  }

  snapshot(): WorldSnapshot {
    return {
      at: this.now(),
      seq: this.journal.lastSeq,
      hosts: [...this.hosts.values()].map((h) => ({
        id: h.spec.id,
        ...{ power: h.power, bootId: h.bootId, daemon: h.daemon, frozen: h.frozen },
        ...{ network: h.network, commands: h.commands },
        definitions: [...h.definitions.values()].map((d) => ({ ...d })),
      })),
      processes: [...this.ended, ...this.live.everywhere().map((p) => this.intervalOf(p))],
      disks: [...this.storage.disks.values()].map((d) => ({
        path: d.path,
        poolId: d.poolId,
        writes: [...d.writes],
        activeOn: [...d.activeOn].map(([hostId, by]) => ({ hostId, by })),
        madeBy: d.madeBy,
      })),
      locks: this.storage.allLocks(),
      accessCut: this.storage.allCut(),
      alerts: [...this.alerts],
      health: Object.fromEntries(this.health),
    };
  }

  private nextBootId(id: HostId): string {
    this.bootCount += 1;
    return `${id}-boot-${this.bootCount}`;
  }

  private freshHost(spec: WorldSpec['hosts'][number]): HostState {
    return {
      spec,
      power: 'on',
      bootId: this.nextBootId(spec.id),
      readyAtMs: 0,
      daemon: 'alive',
      frozen: false,
      network: 'up',
      commands: 'reachable',
      oddities: {},
      beatsSince: undefined,
      mark: undefined,
      definitions: new Map(),
      lastReason: new Map(),
      late: [],
    };
  }

  private place(vm: WorldSpec['vms'][number]): void {
    const host = this.host(vm.hostId);
    this.health.set(vm.id, vm.health);
    const text = definitionText(vm);
    for (const disk of vm.disks) {
      const made = this.storage.ensureDisk(disk);
      if (this.storage.needsActivation(made)) made.activeOn.set(vm.hostId, 'boot');
    }
    if (vm.persistent) {
      const { id, name, autostart } = vm;
      host.definitions.set(id, { vmId: id, name, text, version: undefined, by: 'beginning', autostart });
    }
    if (!vm.running) return;
    const started = this.startProcess(vm.hostId, text, vm.persistent, 'beginning', undefined);
    invariant('boot' in started, `${vm.name} cannot run on ${vm.hostId}: ${JSON.stringify(started)}`);
  }
}
