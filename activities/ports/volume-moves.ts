import type { FenceEvidence } from '../../domain/evidence';
import type { Fault } from '../../domain/faults';
import type { Timestamp } from '../../domain/observations';
import type {
  BeforeImage,
  Leftover,
  MoveOrder,
  MoveTask,
  MoveVerdict,
  TaskState,
} from '../../domain/volume-move';
import type { ActOutcome } from './hypervisor';

/** Either everything that must hold does, or every reason why not, all at once. */
export type Preflight =
  | { readonly kind: 'ready'; readonly before: BeforeImage }
  | { readonly kind: 'refused'; readonly faults: readonly Fault[] };

/**
 * `accepted`: it runs as `task`. `refused`: it was answered, and nothing was begun; of several disks others may have been, and are found by
 * `find`. `unreachable`: certainly not sent. `unknown`: it may have been sent, so it is looked for (`find`) and read back, never sent again.
 */
export type Submitted =
  | { readonly kind: 'accepted'; readonly task: MoveTask }
  | { readonly kind: 'refused'; readonly fault: Fault }
  | { readonly kind: 'unreachable'; readonly fault: Fault }
  | { readonly kind: 'unknown'; readonly fault: Fault };

/** `repeatable`: another `submit` of the same attempt could not begin the work twice, because what it makes is named after the attempt. */
export type FoundTask =
  /** `unfinished`: of several disks some were not begun; another `submit` of the same attempt begins those and no other. */
  | { readonly kind: 'found'; readonly task: MoveTask; readonly unfinished?: boolean }
  | { readonly kind: 'nothing'; readonly repeatable: boolean }
  /** Somebody else works on this VM's disks. */
  | { readonly kind: 'foreign'; readonly fault: Fault };

/** What the caller knows beyond what can be read. */
export interface MoveKnown {
  /** Hosts proven off: they are not asked. Without a proof, a host that cannot be read makes the verdict `UNKNOWN`. */
  readonly proofs: readonly FenceEvidence[];
  /**
   * Whether `switchOver` may have been called. When its host is dead, a copy that differs from its source is an unfinished one before that
   * moment, and the loss of one of the two after it.
   */
  readonly switchAsked: boolean;
}

/** Which way: to the wanted places, or back to where the disks were. */
export type MoveDirection = 'there' | 'back';

/**
 * A disk's move from one pool to another, as far as a hypervisor or its manager does it. Theory of operation: what a call or a task answers
 * is a hint; only `classify`, which reads everything anew, says where the disks are. The caller's protocol:
 *
 * preflight -> (before-image stored, intent recorded) -> submit once, or `find` when it may have been sent -> follow until `ready` or over ->
 * `by-order`: switchOver -> classify -> (record switched from what was read) -> letGo -> remove what is left, only what we made and
 * nobody names.
 *
 * Every call may be repeated with the same before-image by another worker that knows nothing else. Reads throw a `DriverFault` when they
 * could not be made; acts return an `ActOutcome`. Each call has a deadline of its own and ends when the signal aborts; that undoes nothing.
 */
export interface VolumeMovesPort {
  /**
   * Reads, and never acts: the VM is where the order says and in no inventory's absence; each disk can be moved; the target is there and
   * large enough. `VM_NOT_IN_INVENTORY` only from complete lists (a sentinel tells "missing" from "not allowed").
   */
  preflight(order: MoveOrder, signal: AbortSignal): Promise<Preflight>;
  /** Sends the move once and does not wait for it. Never sent again by the driver itself, whatever becomes of the answer. */
  submit(before: BeforeImage, direction: MoveDirection, signal: AbortSignal): Promise<Submitted>;
  /** Looks for what an earlier `submit` of this attempt began, at or after `since`. Reads only. */
  find(
    before: BeforeImage,
    direction: MoveDirection,
    since: Timestamp,
    signal: AbortSignal,
  ): Promise<FoundTask>;
  /** One look at the task, waiting at most `roundMs` for something new. */
  follow(before: BeforeImage, task: MoveTask, roundMs: number, signal: AbortSignal): Promise<TaskState>;
  /** Asks the task to stop. `ok` says that it was asked, not that it stops: it may still end well. Over already is `ok`. */
  cancel(before: BeforeImage, task: MoveTask, signal: AbortSignal): Promise<ActOutcome>;
  /**
   * `by-order` only: verifies the copy, then lets the VM use it. A running guest stands still from here until `letGo`. Repeatable: done
   * already is `ok`. Whatever it answers, `classify` tells what it came to.
   */
  switchOver(before: BeforeImage, task: MoveTask, signal: AbortSignal): Promise<ActOutcome>;
  /**
   * Reads everything anew and says where the disks are. Reads only. What could not be read is a verdict (`UNKNOWN`), not a fault thrown.
   */
  classify(before: BeforeImage, known: MoveKnown, signal: AbortSignal): Promise<MoveVerdict>;
  /** Lets a guest go on that `switchOver` (or one that never came back) made stand still. Repeatable; nothing to do is `ok`. */
  letGo(before: BeforeImage, signal: AbortSignal): Promise<ActOutcome>;
  /**
   * Removes exactly these, each only if it is a leftover of this attempt (a source that was moved away, a copy that we made) and nothing has
   * it open or names it, read right before. Gone already is `ok`; `refused` names what was not removed and why.
   */
  remove(before: BeforeImage, leftovers: readonly Leftover[], signal: AbortSignal): Promise<ActOutcome>;
}
