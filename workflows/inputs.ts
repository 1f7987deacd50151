/** Inputs and results of the workflows: plain data, no secrets (they stay on the server for the whole retention). */
import type { LevelInput } from '../activities/fence';
import type { IncidentBrief } from '../activities/incident';
import type { ReadinessSummary } from '../activities/readiness';
import type { StopVmInput, StopVmResult } from '../activities/shut-down';
import type { FenceEvidence } from '../domain/evidence';
import type { Fault } from '../domain/faults';
import type { ClusterId, HostId, IncidentId, PoolId, VmId } from '../domain/ids';
import type { VmResult } from '../domain/recovery-state';
import type { Trigger } from '../domain/records';
import type { DiskFound, DiskKey, LooseDisk } from '../domain/volume-move';

/** `rehearse`: every read and check for real, every act replaced by the sentence that says what it would do. */
export type Mode = 'act' | 'rehearse';

export interface RecoverHostInput {
  readonly hostId: HostId;
  readonly clusterId: ClusterId;
  readonly incidentId: IncidentId;
  readonly epoch: number;
  readonly mode: Mode;
  readonly trigger: Trigger;
  /** The cluster's mode is `approve`: nothing is done before a person has said yes. */
  readonly needsApproval?: true;
  /** Set when a run continues as new past `limits.vmsPerRunMax` VMs: what was done before. */
  readonly carried?: {
    readonly evidence: FenceEvidence | undefined;
    readonly done: readonly VmResult[];
    readonly left: readonly PlannedVm[];
    readonly held: boolean;
    /** Of a host that came back by itself: accepted once its VMs are back on it. */
    readonly bootId: string | undefined;
  };
  /** VMs restarted before the run continues as new; `limits.vmsPerRunMax` when left out. */
  readonly vmsPerRun?: number;
}

export interface RecoverHostResult {
  readonly incidentId: IncidentId;
  readonly hostId: HostId;
  readonly outcome: 'recovered' | 'partially-recovered' | 'dismissed' | 'aborted' | 'rehearsed';
  readonly sentence: string;
  readonly vms: readonly VmResult[];
  /** In a rehearsal: what a real run would do, in order. */
  readonly would: readonly string[];
}

export interface PlannedVm {
  readonly vmId: VmId;
  readonly name: string;
  readonly priority: number;
  readonly target: HostId | undefined;
  readonly why: string | undefined;
}

export interface FenceHostInput {
  readonly hostId: HostId;
  readonly clusterId: ClusterId;
  readonly incidentId: IncidentId;
  readonly mode: Mode;
  readonly trigger: Trigger;
  readonly epoch: number;
  readonly evenIf: LevelInput['evenIf'];
  /** What the incident has read of the host already; undefined when this fence is an incident of its own. */
  readonly brief: IncidentBrief | undefined;
}

export type FenceHostResult =
  | { readonly kind: 'fenced'; readonly evidence: FenceEvidence }
  | {
      readonly kind: 'alive-again';
      readonly boot: 'same' | 'new';
      readonly bootId: string | undefined;
      readonly why: string;
    }
  /** It answers again, in part: not switched off, because nobody has said that it may be. */
  | { readonly kind: 'degraded'; readonly why: string }
  | { readonly kind: 'aborted'; readonly by: string; readonly why: string }
  | { readonly kind: 'rehearsed'; readonly would: readonly string[] };

export interface ReadmitHostInput {
  readonly hostId: HostId;
  readonly clusterId: ClusterId;
  readonly incidentId: IncidentId;
  readonly epoch: number;
  readonly mode: Mode;
  readonly trigger: Trigger;
}

export interface ReadmitHostResult {
  readonly kind: 'readmitted' | 'rehearsed';
  readonly hostId: HostId;
  readonly did: readonly string[];
  readonly would: readonly string[];
}

export interface ReleaseLocksInput {
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly mode: Mode;
  readonly evidence: FenceEvidence;
  /** The dead host's VMs: only locks on their images are in scope. */
  readonly vmIds: readonly VmId[];
  /** Ordered on its own: the incident is told and left in the phase it is in. */
  readonly alone?: true;
}

export type ReleaseLocksResult =
  | { readonly kind: 'free'; readonly sentences: readonly string[] }
  | { readonly kind: 'blocked'; readonly faults: readonly Fault[] };

export interface RestartVmInput {
  readonly vmId: VmId;
  readonly name: string;
  readonly clusterId: ClusterId;
  readonly incidentId: IncidentId;
  readonly mode: Mode;
  /**
   * `host-returned`: its own host rebooted by itself, so it starts there again. `missing`: it stopped on a host that lives; left alone for a
   * grace first, then started only once it is known to run nowhere.
   */
  readonly cause: 'host-failed' | 'host-returned' | 'operator' | 'missing';
  /** With `missing`. */
  readonly graceMs?: number;
  /** The cluster's mode is `approve`: nothing is done before a person has said yes. */
  readonly needsApproval?: true;
  readonly trigger: Trigger;
  /** When the incident began: lists older than this prove nothing. Left out for an incident that this run opens itself. */
  readonly incidentBeganAt: string | undefined;
  /** Counted per VM for an incident of its own; 0 within a host's incident. */
  readonly epoch: number;
  /** The failed host and the proof that it is off, when that is why. */
  readonly failed: { readonly hostId: HostId; readonly evidence: FenceEvidence } | undefined;
  readonly target: HostId | undefined;
  /** The incident's workflow ID, where no parent tells it: a move that held the VM's ID has continued as this run. */
  readonly incidentRun?: string;
}

/** The repair of a guest that does not get well is a restart with work on its disks before the start, and is told the same. */
export interface RepairGuestInput extends RestartVmInput {
  /** How long its guest is asked to shut down; `limits.repairStopMsMax` when left out. */
  readonly patienceMs?: number;
}

export interface MigrateVolumeInput {
  /** Undefined for a disk that belongs to no VM: then `loose` says which. */
  readonly vmId: VmId | undefined;
  readonly loose?: LooseDisk;
  readonly name: string;
  readonly clusterId: ClusterId;
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly epoch: number;
  readonly mode: Mode;
  readonly trigger: Trigger;
  readonly disks: readonly { readonly disk: DiskKey; readonly to: PoolId }[];
  /** `movePace` when left out. */
  readonly pace?: MovePace;
}

/** How long things may take, in milliseconds. */
export interface MovePace {
  /** For the reads before anything is done. */
  readonly preflightMs: number;
  /** One round of following the task, growing up to the second. */
  readonly roundMs: { readonly first: number; readonly max: number };
  /** Between two readings that must agree before a lost or forgotten order counts as over. */
  readonly settleMs: number;
  /** For which it may stay unknown where a disk is, before a person is asked. */
  readonly readBackMs: number;
  /** Without a new percentage, before people are told of it; it is followed on. */
  readonly standStillMs: number;
}

/** A move that is made, or that made nothing (then as the details of its failure). */
export interface MigrateVolumeResult {
  readonly vmId: VmId | undefined;
  readonly name: string;
  readonly phase: 'moved' | 'not-moved' | 'stuck' | 'rehearsed';
  readonly disks: readonly DiskFound[];
  readonly fault: Fault | undefined;
  readonly sentence: string;
  readonly finishedAt: string;
  readonly would: readonly string[];
}

export type { StopVmInput, StopVmResult };

export interface CheckReadinessInput {
  readonly clusterId: ClusterId;
  /** A person says that passwords were corrected: devices that refused a login are asked again. */
  readonly retryLogins?: true;
}

/**
 * How runs may end, besides being cancelled: read by whoever must have met every one of them. The types beside them hold the lists whole.
 */
export const endings = {
  checkReadiness: ['checked'],
  stopVm: ['stopped', 'still-running'],
  fenceHost: ['fenced', 'alive-again', 'degraded', 'aborted', 'rehearsed'],
  releaseLocks: ['free', 'blocked'],
  restartVm: ['running', 'guest-degraded'],
  repairGuest: ['running', 'guest-degraded'],
  migrateVolume: ['moved', 'rehearsed'],
} as const satisfies {
  readonly checkReadiness: readonly ReadinessSummary['kind'][];
  readonly stopVm: readonly StopVmResult['kind'][];
  readonly fenceHost: readonly FenceHostResult['kind'][];
  readonly releaseLocks: readonly ReleaseLocksResult['kind'][];
  readonly restartVm: readonly VmResult['phase'][];
  readonly repairGuest: readonly VmResult['phase'][];
  readonly migrateVolume: readonly MigrateVolumeResult['phase'][];
};
type Listed<Kind, List extends readonly unknown[]> = [Exclude<Kind, List[number]>] extends [never]
  ? true
  : never;
export const endingsAreWhole: readonly [
  Listed<FenceHostResult['kind'], typeof endings.fenceHost>,
  Listed<ReleaseLocksResult['kind'], typeof endings.releaseLocks>,
] = [true, true];

/** A `restartVm` that ends well returns this; every other end is a failure that carries the same as its details. */
export type RestartVmResult = VmResult & { readonly would: readonly string[] };

/** Failure types that a run may end with: the stable contract of endings. */
export const failureTypes = {
  /** Nothing of ours is left; the VM does not run; details say why. */
  compensated: 'RecoveryCompensated',
  /** A person gave up on it; details say in what state it was left. */
  stuck: 'RecoveryStuck',
  /** The host is not clean, or does not answer: it stays out; details say why. */
  readmissionRefused: 'ReadmissionRefused',
} as const;

export const searchAttributeNames = {
  vmId: 'VmId',
  hostId: 'HostId',
  incidentId: 'IncidentId',
  phase: 'RecoveryPhase',
} as const;

/** What the front door reads of a run that holds an ID, to answer "the same" or "busy". */
export interface RunMemo {
  readonly incidentId: IncidentId;
  readonly requestedBy: string;
  readonly reason: string;
  /** What exactly was asked, where one VM can be asked different things: the same order is the same run, another one is other work. */
  readonly order?: string;
}

/** Where workflows and most activities run, unless a worker is told another name. */
export const defaultTaskQueue = 'vmedic';
/** BMCs have a queue of their own beside it. */
export const powerQueue = (taskQueue: string): string => `${taskQueue}-power`;
