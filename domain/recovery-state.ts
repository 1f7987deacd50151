/**
 * The states of a host's incident, each with its own facts only, and the one function that moves between them. It refuses every
 * move that is not drawn in `docs/architecture.md`.
 */
import type { FenceEvidence } from './evidence';
import type { Fault } from './faults';
import type { HostId, VmId } from './ids';
import { assertNever, InvariantViolation } from './invariant';
import type { Timestamp } from './observations';

/** Where one VM stands within the incident. */
export type VmPhase =
  | 'waiting'
  | 'repairing'
  | 'reserving'
  | 'storage'
  | 'starting'
  | 'verifying'
  | 'running'
  | 'guest-degraded'
  | 'no-capacity'
  | 'blocked'
  | 'stuck';

export interface VmProgress {
  readonly vmId: VmId;
  readonly name: string;
  readonly phase: VmPhase;
  readonly target: HostId | undefined;
  readonly fault: Fault | undefined;
}

export const isUp = (phase: VmPhase): boolean => phase === 'running';

/** The end of one VM's recovery. */
export interface VmResult extends VmProgress {
  readonly phase: 'running' | 'guest-degraded' | 'no-capacity' | 'blocked' | 'stuck';
  readonly finishedAt: Timestamp;
}

export type RecoveryState =
  | { readonly phase: 'suspect'; readonly why: string }
  | { readonly phase: 'admitted'; readonly why: string; readonly approvedBy: string | undefined }
  | {
      readonly phase: 'held';
      readonly inTrouble: readonly HostId[];
      readonly allowed: number;
      readonly why: string;
    }
  | { readonly phase: 'fencing'; readonly level: string }
  | { readonly phase: 'blocked-unfenced'; readonly faults: readonly Fault[]; readonly attempts: number }
  | { readonly phase: 'fenced'; readonly evidence: FenceEvidence }
  | { readonly phase: 'releasing'; readonly evidence: FenceEvidence }
  | { readonly phase: 'blocked-locks'; readonly evidence: FenceEvidence; readonly faults: readonly Fault[] }
  | {
      readonly phase: 'restarting';
      /** Undefined when the host rebooted by itself and its VMs come back on it. */
      readonly evidence: FenceEvidence | undefined;
      readonly vms: readonly VmProgress[];
    }
  | { readonly phase: 'recovered'; readonly vms: readonly VmResult[] }
  | { readonly phase: 'partially-recovered'; readonly vms: readonly VmResult[] }
  | { readonly phase: 'dismissed'; readonly why: string }
  | { readonly phase: 'aborted'; readonly by: string; readonly why: string };

export type RecoveryPhase = RecoveryState['phase'];

export type RecoveryEvent =
  | { readonly event: 'host-dead'; readonly why: string }
  | { readonly event: 'alive-again'; readonly boot: 'same' | 'new'; readonly why: string }
  | { readonly event: 'over-blast-radius'; readonly inTrouble: readonly HostId[]; readonly allowed: number }
  | { readonly event: 'needs-approval'; readonly why: string }
  | { readonly event: 'approved'; readonly by: string }
  | { readonly event: 'fence-begun'; readonly level: string }
  | { readonly event: 'fence-failed'; readonly faults: readonly Fault[]; readonly attempts: number }
  | { readonly event: 'off-proven'; readonly evidence: FenceEvidence }
  | { readonly event: 'release-begun' }
  | { readonly event: 'locks-foreign'; readonly faults: readonly Fault[] }
  | { readonly event: 'locks-free' }
  | { readonly event: 'vm-moved-on'; readonly vm: VmProgress }
  | { readonly event: 'all-settled'; readonly vms: readonly VmResult[] }
  | { readonly event: 'aborted'; readonly by: string; readonly why: string };

/** Phases from which an incident does not move any more. */
export const closedPhases = ['recovered', 'partially-recovered', 'dismissed', 'aborted'] as const;
export type ClosedPhase = (typeof closedPhases)[number];
export const isClosed = (phase: RecoveryPhase): phase is ClosedPhase =>
  (closedPhases as readonly string[]).includes(phase);

/** Phases in which the incident waits for a person (while it keeps looking by itself). */
export const waitingPhases = ['held', 'blocked-unfenced', 'blocked-locks'] as const;
export const isWaiting = (phase: RecoveryPhase): boolean =>
  (waitingPhases as readonly string[]).includes(phase);

/** No `off` has been sent in these: the host may still turn out to be alive, and a person may still abort. */
const beforeFence: readonly RecoveryPhase[] = ['suspect', 'admitted', 'held', 'fencing', 'blocked-unfenced'];

const allowed: Readonly<Record<RecoveryEvent['event'], readonly RecoveryPhase[]>> = {
  'host-dead': ['suspect'],
  'alive-again': beforeFence,
  'over-blast-radius': ['admitted', 'held'],
  'needs-approval': ['suspect', 'admitted', 'held', 'fencing', 'blocked-unfenced'],
  approved: ['held'],
  'fence-begun': ['admitted', 'blocked-unfenced', 'fencing'],
  'fence-failed': ['fencing', 'blocked-unfenced'],
  'off-proven': ['admitted', 'fencing', 'blocked-unfenced'],
  'release-begun': ['fenced', 'blocked-locks', 'releasing'],
  'locks-foreign': ['releasing'],
  'locks-free': ['releasing'],
  'vm-moved-on': ['restarting'],
  'all-settled': ['restarting'],
  aborted: [...beforeFence, 'fenced', 'releasing', 'blocked-locks'],
};

export class IllegalTransition extends InvariantViolation {
  constructor(from: RecoveryPhase, event: RecoveryEvent['event']) {
    super(`"${event}" has no meaning in phase "${from}"`);
  }
}

export const canHappen = (phase: RecoveryPhase, event: RecoveryEvent['event']): boolean =>
  allowed[event].includes(phase);

/** The only way from one state to another. Throws `IllegalTransition` for a move that is not drawn. */
export function transition(state: RecoveryState, event: RecoveryEvent): RecoveryState {
  if (!canHappen(state.phase, event.event)) throw new IllegalTransition(state.phase, event.event);
  switch (event.event) {
    case 'host-dead':
      return { phase: 'admitted', why: event.why, approvedBy: undefined };
    case 'alive-again':
      return event.boot === 'same'
        ? { phase: 'dismissed', why: event.why }
        : { phase: 'restarting', evidence: undefined, vms: [] };
    case 'over-blast-radius':
      return {
        phase: 'held',
        inTrouble: event.inTrouble,
        allowed: event.allowed,
        why: `${event.inTrouble.length} hosts of the cluster are in trouble at once, ${event.allowed} allowed`,
      };
    case 'needs-approval':
      return { phase: 'held', inTrouble: [], allowed: 0, why: event.why };
    case 'approved':
      return { phase: 'admitted', why: 'approved by a person', approvedBy: event.by };
    case 'fence-begun':
      return { phase: 'fencing', level: event.level };
    case 'fence-failed':
      return { phase: 'blocked-unfenced', faults: event.faults, attempts: event.attempts };
    case 'off-proven':
      return { phase: 'fenced', evidence: event.evidence };
    case 'aborted':
      return { phase: 'aborted', by: event.by, why: event.why };
    default:
      return afterFence(state, event);
  }
}

type LaterEvent = Extract<
  RecoveryEvent,
  { event: 'release-begun' | 'locks-foreign' | 'locks-free' | 'vm-moved-on' | 'all-settled' }
>;

function afterFence(state: RecoveryState, event: LaterEvent): RecoveryState {
  switch (event.event) {
    case 'release-begun':
      return { phase: 'releasing', evidence: evidenceOf(state) };
    case 'locks-foreign':
      return { phase: 'blocked-locks', evidence: evidenceOf(state), faults: event.faults };
    case 'locks-free':
      return { phase: 'restarting', evidence: evidenceOf(state), vms: [] };
    case 'vm-moved-on': {
      if (state.phase !== 'restarting') throw new IllegalTransition(state.phase, event.event);
      const others = state.vms.filter((v) => v.vmId !== event.vm.vmId);
      return { ...state, vms: [...others, event.vm] };
    }
    case 'all-settled':
      return {
        phase: event.vms.every((v) => isUp(v.phase)) ? 'recovered' : 'partially-recovered',
        vms: event.vms,
      };
    default:
      return assertNever(event, 'event');
  }
}

function evidenceOf(state: RecoveryState): FenceEvidence {
  if ('evidence' in state && state.evidence !== undefined) return state.evidence;
  throw new InvariantViolation(`phase "${state.phase}" has no fence evidence`);
}
