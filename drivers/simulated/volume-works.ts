/**
 * Moves of volumes as the world does them. Theory of operation: a work goes on by itself once it was taken in, whoever listens. On a `vmfs`
 * pool it switches the VM to the new place at its end and deletes the old file; elsewhere it copies, keeps the copy equal while the guest
 * writes, and waits for the order to switch. What it says of itself and what it did are two things: a `MoveManner` sets them apart.
 */
import { type Fault, fault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import type { Timestamp } from '../../domain/observations';
import { definitionText, type ParsedDefinition, parseDefinition } from './definition-text';
import type { Disk } from './shared-storage';
import type { World } from './world';
import type { DiskSpec, PoolSpec } from './world-spec';

/** How a move goes. Each one but the first is a lie or a failure that was met in the field (facts, upstream incidents). */
export type MoveManner =
  | 'honest'
  /** Ends well; nothing was done. */
  | 'says-done-does-nothing'
  /** The first disk only, and ends well. */
  | 'moves-part'
  | 'moves-part-says-failed'
  | 'fails-before'
  /** Everything was copied, nothing switched, and the copies stay. */
  | 'fails-after-copy'
  | 'no-space'
  | 'moves-says-failed'
  /** The old files stay where a manager would have deleted them. */
  | 'keeps-source'
  /** Goes on until it is cancelled, or ended by the test. */
  | 'hangs'
  /** Takes the cancellation, and goes on to its end. */
  | 'ignores-cancel'
  /** The copy is not equal to the disk. */
  | 'corrupts-copy'
  /** Everything is done, and then the new file is gone. */
  | 'loses-target';

export interface WorkDisk {
  readonly device: string;
  readonly from: DiskSpec;
  readonly to: DiskSpec;
}

export interface VolumeWork {
  readonly id: string;
  readonly attempt: string;
  readonly direction: 'there' | 'back';
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly bootId: string;
  readonly disks: readonly WorkDisk[];
  readonly switches: 'by-order' | 'by-itself';
  readonly manner: MoveManner;
  readonly beganAt: Timestamp;
  readonly beganAtMs: number;
  readonly copyMs: number;
  cancelAsked: boolean;
  forgotten: boolean;
  state: 'copying' | 'ready' | 'ended';
  says: 'done' | 'failed' | 'cancelled' | undefined;
  fault: Fault | undefined;
}

/** Whose the disks of a work are that belong to no VM. */
export const noVm = '' as VmId;

/** What a disk holds when nothing else is said. */
export const diskBytes = 1_048_576;

export class VolumeWorks {
  private readonly works: VolumeWork[] = [];
  private readonly manners = new Map<VmId, MoveManner>();

  constructor(private readonly world: World) {}

  setManner(vm: VmId, manner: MoveManner): void {
    this.manners.set(vm, manner);
  }

  /** Works on this VM's disks that are not over. */
  underWay(vm: VmId): VolumeWork[] {
    return this.works.filter((w) => w.vmId === vm && w.state !== 'ended' && this.lives(w));
  }

  /** What whoever keeps the tasks still knows. */
  known(filter: (work: VolumeWork) => boolean): VolumeWork | undefined {
    return this.works.findLast((w) => !w.forgotten && filter(w) && (this.lives(w) || w.state === 'ended'));
  }

  begin(
    work: Pick<VolumeWork, 'attempt' | 'direction' | 'vmId' | 'hostId' | 'disks' | 'switches'>,
  ): VolumeWork {
    const { vmId, attempt, direction } = work;
    const manner = this.manners.get(vmId) ?? 'honest';
    this.manners.delete(vmId);
    const begun: VolumeWork = {
      ...work,
      id: `move-${this.works.length + 1}`,
      bootId: this.world.host(work.hostId).bootId,
      manner,
      beganAt: this.world.now(),
      beganAtMs: this.world.nowMs(),
      copyMs: this.world.costs.copyMs,
      ...{ cancelAsked: false, forgotten: false, state: 'copying', says: undefined, fault: undefined },
    };
    this.works.push(begun);
    this.world.journal.effect({ effect: 'move-begun', vmId, attempt, direction, says: manner });
    if (manner === 'hangs') return begun;
    if (begun.copyMs === 0) this.finish(begun);
    else setTimeout(() => this.finish(begun), begun.copyMs).unref();
    return begun;
  }

  cancel(work: VolumeWork): void {
    work.cancelAsked = true;
    if (work.state === 'ended' || work.manner === 'ignores-cancel') return;
    for (const { from } of work.disks) this.unmirror(from.path);
    this.end(work, 'cancelled', undefined);
  }

  endAll(vm: VmId): void {
    for (const work of this.underWay(vm)) this.finish(work);
  }

  forgetAll(): void {
    for (const work of this.works) work.forgotten = true;
  }

  /** The order to use the copies, given to a work that is ready. Undefined when it is done. */
  switchOver(work: VolumeWork): Fault | undefined {
    const vm = this.nameOf(work.vmId);
    const process = this.world.processOf(work.vmId, work.hostId);
    const gone = work.disks.find((d) => this.world.storage.disks.get(d.to.path)?.sight !== 'usable');
    if (gone !== undefined) return fault('COPY_DIFFERS', { vm, detail: `${gone.to.path} is not there` });
    const different = work.disks.find((d) => !this.equal(d.from.path, d.to.path));
    if (different !== undefined)
      return fault('COPY_DIFFERS', { vm, detail: `${different.to.path} was compared with its source` });
    if (process !== undefined) Object.assign(process, { state: 'paused', reason: 'moving' });
    this.switchTo(work, work.manner.startsWith('moves-part') ? work.disks.slice(0, 1) : work.disks);
    if (work.manner === 'loses-target')
      for (const { to } of work.disks) this.world.storage.disks.delete(to.path);
    const why = work.manner.endsWith('says-failed')
      ? fault('MOVE_NOT_DONE', { vm, detail: 'failed on order after the fact' })
      : undefined;
    this.end(work, why === undefined ? 'done' : 'failed', why);
    return why;
  }

  /** Whether two disks hold the same. */
  equal(a: string, b: string): boolean {
    const [first, second] = [this.world.storage.disks.get(a), this.world.storage.disks.get(b)];
    const text = (d: Disk | undefined): string | undefined =>
      d === undefined ? undefined : JSON.stringify(d.writes.map((w) => [w.boot, w.vmId]));
    return first !== undefined && text(first) === text(second);
  }

  /** A work dies with the host's boot that does it, and a block copy with the guest that it mirrors. */
  private lives(work: VolumeWork): boolean {
    const host = this.world.host(work.hostId);
    return host.power === 'on' && host.bootId === work.bootId;
  }

  private finish(work: VolumeWork): void {
    if (work.state === 'ended' || !this.lives(work)) return;
    const { manner, vmId } = work;
    const vm = this.nameOf(vmId);
    const failed = (detail: string): void => this.end(work, 'failed', fault('MOVE_NOT_DONE', { vm, detail }));
    if (manner === 'says-done-does-nothing') return this.end(work, 'done', undefined);
    if (manner === 'fails-before') return failed('failed on order before anything was copied');
    const some = manner === 'no-space' ? work.disks.slice(0, 1) : work.disks;
    for (const disk of some) this.copy(work, disk);
    if (manner === 'no-space') return failed('no space left on device');
    if (manner === 'fails-after-copy') return failed('failed on order after everything was copied');
    if (work.switches === 'by-order') {
      work.state = 'ready';
      return undefined;
    }
    if (work.vmId === noVm) return this.end(work, 'done', undefined);
    if (this.definitionOf(work) === undefined) return failed('the VM is in no inventory any more');
    const moved = manner.startsWith('moves-part') ? work.disks.slice(0, 1) : work.disks;
    this.switchTo(work, moved);
    if (manner !== 'keeps-source') for (const { from } of moved) this.remove(from.path, 'move');
    if (manner === 'loses-target') for (const { to } of moved) this.world.storage.disks.delete(to.path);
    if (manner === 'moves-says-failed' || manner === 'moves-part-says-failed')
      return failed('failed on order after the fact');
    return this.end(work, 'done', undefined);
  }

  private copy(work: VolumeWork, { from, to }: WorkDisk): void {
    const { storage, journal } = this.world;
    const source = storage.disks.get(from.path);
    const target = storage.ensureDisk(to, work.attempt);
    journal.effect({ effect: 'disk-made', path: to.path, by: work.attempt });
    target.writes.push(...(source?.writes ?? []));
    if (work.manner === 'corrupts-copy')
      target.writes.push({ seq: 0, boot: 'corrupt', vmId: work.vmId, hostId: work.hostId, at: 0 });
    const running = this.world.processOf(work.vmId, work.hostId) !== undefined;
    if (source !== undefined && running && work.switches === 'by-order') source.mirror = target;
    if (storage.needsActivation(target)) target.activeOn.set(work.hostId, work.attempt);
  }

  private switchTo(work: VolumeWork, disks: readonly WorkDisk[]): void {
    const { vmId, hostId, attempt } = work;
    const host = this.world.host(hostId);
    const place = (definition: ParsedDefinition): ParsedDefinition => ({
      ...definition,
      disks: definition.disks.map((d) => disks.find((m) => m.device === d.device)?.to ?? d),
    });
    const known = host.definitions.get(vmId);
    const parsed = known === undefined ? undefined : parseDefinition(known.text);
    if (known !== undefined && parsed !== undefined)
      host.definitions.set(vmId, { ...known, text: textOf(place(parsed)), version: undefined, by: 'port' });
    for (const { from } of disks) this.unmirror(from.path);
    const process = this.world.processOf(vmId, hostId);
    if (process !== undefined) {
      const definition = place(process.definition);
      this.world.moveProcess(process, hostId, { definition, text: textOf(definition) });
    }
    for (const { from, to } of disks)
      this.world.journal.effect({ effect: 'disk-switched', vmId, attempt, from: from.path, to: to.path });
  }

  remove(path: string, by: string): void {
    if (this.world.storage.disks.delete(path))
      this.world.journal.effect({ effect: 'disk-removed', path, by });
  }

  private unmirror(path: string): void {
    const disk = this.world.storage.disks.get(path);
    if (disk !== undefined) disk.mirror = undefined;
  }

  private end(work: VolumeWork, says: 'done' | 'failed' | 'cancelled', why: Fault | undefined): void {
    Object.assign(work, { state: 'ended', says, fault: why });
    const { vmId, attempt, direction } = work;
    this.world.journal.effect({ effect: 'move-ended', vmId, attempt, direction, says });
  }

  private definitionOf({ hostId, vmId }: VolumeWork): string | undefined {
    const text = this.world.host(hostId).definitions.get(vmId)?.text;
    return text ?? this.world.processOf(vmId, hostId)?.text;
  }

  private nameOf(vm: VmId): string {
    return this.world.spec.vms.find((v) => v.id === vm)?.name ?? vm;
  }
}

export const textOf = (definition: ParsedDefinition): string =>
  definitionText({ ...definition, id: definition.vmId });

/** A manager renames after the VM, also on the way back; elsewhere the driver chooses the name. */
export function targetPath(pool: PoolSpec, vm: string, device: string, attempt: string): string {
  return `${pool.path}/${vm}-${device}-${attempt}.raw`;
}
