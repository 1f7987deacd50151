/**
 * Moving a VM's disks to another pool: what is asked, what was there before, and what became of it. Plain data: it is stored, travels to
 * workers and is read by people. A disk's path is never its identity, because a move (and the way back of one) renames files.
 */
import type { Fault } from './faults';
import type { DiskId, HostId, PoolId, VmId } from './ids';
import type { Timestamp } from './observations';
import type { VmShape } from './records';

/** What a disk is known by for ever: its own UUID where the hypervisor has one for it, else its device name within its VM. */
export type DiskKey = string;

export const diskKey = (disk: { readonly uuid?: string; readonly device: string }): DiskKey =>
  disk.uuid ?? disk.device;

/** A disk that belongs to no VM: a file of a declared pool. It moves byte by byte, so that nobody has to know its format. */
export interface LooseDisk {
  readonly diskId: DiskId;
  readonly path: string;
}

/** What people read of it where else a VM's name stands. */
export const looseName = (path: string): string => `no VM (${looseKey(path)})`;

export const looseKey = (path: string): DiskKey => path.split('/').at(-1) ?? path;

export interface MoveOrder {
  /**
   * Names this one attempt: the same in every call about it, never used again for another. What a driver makes for the move carries it
   * (target files, tags), so that its own work is known again by whoever goes on.
   */
  readonly attempt: string;
  /** Undefined for a disk that belongs to no VM: then `file` is where it lies. */
  readonly vmId: VmId | undefined;
  readonly file?: string;
  /** Where the record says that the VM runs or ran last; for a disk of no VM any host that reaches both pools. */
  readonly hostId: HostId;
  readonly disks: readonly { readonly disk: DiskKey; readonly to: PoolId }[];
}

/**
 * A logical volume has several names; files have one. `/dev/mapper/GROUP-VOLUME` and its link by name are the same as `/dev/GROUP/VOLUME`; a dash
 * within a name is doubled there.
 */
export function onePath(path: string): string {
  const mapped = /^\/dev\/(?:mapper\/|disk\/by-id\/dm-name-)((?:[^-/]|--)+)-((?:[^-/]|--)+)$/.exec(path);
  if (mapped === null) return path;
  return `/dev/${String(mapped[1]).replaceAll('--', '-')}/${String(mapped[2]).replaceAll('--', '-')}`;
}

export interface DiskPlace {
  readonly poolId: PoolId | undefined;
  readonly path: string;
  readonly format: string;
}

export interface DiskBefore {
  readonly disk: DiskKey;
  readonly device: string;
  readonly at: DiskPlace;
  /** Undefined for a disk that stays. The path is only known beforehand where the driver chooses it. */
  readonly wanted:
    | {
        readonly poolId: PoolId;
        readonly path: string | undefined;
        /** Left out where it stays what it is: a logical volume holds its disk raw. */
        readonly format?: string;
      }
    | undefined;
  /** What the disk can hold, in bytes. */
  readonly bytes: number;
}

/** All that is read before anything is done, and stored: every later verdict is a comparison with it. */
export interface BeforeImage {
  readonly order: MoveOrder;
  readonly readAt: Timestamp;
  readonly name: string;
  /** Whether a guest writes to the disks meanwhile. */
  readonly running: boolean;
  /** Every disk of the VM, also those that stay. */
  readonly disks: readonly DiskBefore[];
  /**
   * Who lets the VM use the new place: `by-order` waits for `switchOver` with a whole copy (KVM); `by-itself` does it at the end of the
   * task (vSphere), and nothing but a reading tells whether it did.
   */
  readonly switches: 'by-order' | 'by-itself';
  /** What the driver needs to know its own work again: plain JSON, read by nobody else. */
  readonly own: Readonly<Record<string, unknown>>;
}

/** The driver's name for what runs; kept as soon as it is known. */
export interface MoveTask {
  readonly id: string;
}

/** What the task says of itself. Never proof: a task may end well with nothing moved, and badly with everything moved. */
export type TaskState =
  | { readonly kind: 'running'; readonly percent: number | undefined }
  /** `by-order` only: the copy is whole and stays so; it waits for `switchOver`. */
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'ended';
      readonly says: 'done' | 'failed' | 'cancelled';
      readonly fault: Fault | undefined;
    }
  /** Nobody knows the task any more. The work may go on. */
  | { readonly kind: 'forgotten' };

/** Where the files of a VM may be that has vanished: at their old places, and where they were going. */
export const eitherPlace = ({ disks }: Pick<BeforeImage, 'disks'>): string[] =>
  disks.flatMap(({ at, wanted }) => [at.path, ...(wanted?.path === undefined ? [] : [wanted.path])]);

export interface DiskFound {
  readonly disk: DiskKey;
  readonly at: DiskPlace;
}

/** The VM as it was read back: its record is made from this and from nothing else. */
export interface VmFound {
  readonly hostId: HostId;
  /** The definition that the next start would use. */
  readonly text: string;
  readonly shape: VmShape;
}

export interface Leftover {
  readonly poolId: PoolId | undefined;
  readonly path: string;
  /** `source`: the old place of a disk that has moved. `copy`: a target of ours that nothing uses. */
  readonly what: 'source' | 'copy';
  /** Why nobody removes it although nothing uses it: left out for what may go. */
  readonly stays?: string;
}

/**
 * Where the disks are, read back. Every kind but the last two carries what was found, because even a way back changes paths.
 *
 * - `MOVED`: every wanted disk is at its new pool, used from there, whole; nothing is under way.
 * - `NOT_MOVED`: every disk is where it was (by UUID and pool), and nothing is under way.
 * - `PARTIAL`: some moved, or what runs and what would start next differ; nothing is under way.
 * - `IN_PROGRESS`: something is under way, or may be. Nothing may be undone now.
 * - `VM_MISSING`: complete lists, a sentinel that could be read, and no such VM. No file may be touched; `paths` are the places where its
 *   files may be, old ones and new.
 * - `DISK_MISSING`: the VM names a file that is not there. What is left elsewhere is old.
 * - `UNKNOWN`: something could not be read, or makes no sense: read again.
 */
export type MoveVerdict =
  | (Found & { readonly kind: 'MOVED' })
  | (Found & { readonly kind: 'NOT_MOVED' })
  | (Found & { readonly kind: 'PARTIAL'; readonly detail: string })
  | { readonly kind: 'IN_PROGRESS'; readonly detail: string }
  | { readonly kind: 'VM_MISSING'; readonly paths: readonly string[]; readonly detail: string }
  | { readonly kind: 'DISK_MISSING'; readonly paths: readonly string[]; readonly detail: string }
  | { readonly kind: 'UNKNOWN'; readonly fault: Fault };

interface Found {
  readonly disks: readonly DiskFound[];
  /** Undefined for a disk that belongs to no VM, and when its host is proven off, so that no definition can be read: then the record stands. */
  readonly vm: VmFound | undefined;
  readonly leftovers: readonly Leftover[];
}

export type MoveVerdictKind = MoveVerdict['kind'];

/** Phases of a move that goes as it was ordered: planned work. One that goes back, or waits for a person, is trouble. */
export const phasesUnderWay = ['checking', 'copying', 'switching', 'recording', 'cleaning'] as const;

/** Verdicts from which one may go on, forward or back: nothing is under way and everything was read. */
export const isSettled = (
  verdict: MoveVerdict,
): verdict is Extract<MoveVerdict, { kind: 'MOVED' | 'NOT_MOVED' | 'PARTIAL' }> =>
  verdict.kind === 'MOVED' || verdict.kind === 'NOT_MOVED' || verdict.kind === 'PARTIAL';

/** One sentence for timelines and for people. */
export function verdictSentence(verdict: MoveVerdict): string {
  switch (verdict.kind) {
    case 'MOVED':
      return `read back: moved (${places(verdict.disks)})`;
    case 'NOT_MOVED':
      return `read back: where it was (${places(verdict.disks)})`;
    case 'PARTIAL':
      return `read back: partly moved (${places(verdict.disks)}): ${verdict.detail}`;
    case 'IN_PROGRESS':
      return `read back: something is still under way: ${verdict.detail}`;
    case 'VM_MISSING':
      return `read back: the VM is in no inventory: ${verdict.detail}; files named last: ${verdict.paths.join(', ')}`;
    case 'DISK_MISSING':
      return `read back: a file that the VM names is not there: ${verdict.detail} (${verdict.paths.join(', ')})`;
    case 'UNKNOWN':
      return `not known: ${verdict.fault.sentence}`;
  }
}

const places = (disks: readonly DiskFound[]): string =>
  disks.map((d) => `${d.disk} at ${d.at.path}`).join(', ');
