import type { IncidentId } from '../domain/ids';
import type { VmResult } from '../domain/recovery-state';
import type { IncidentRecord, Trigger } from '../domain/records';
import type {
  FenceHostResult,
  ReadmitHostResult,
  MigrateVolumeResult,
  RecoverHostResult,
  RestartVmResult,
} from '../workflows/inputs';

/** Who asks, why, and whether it is for real. */
export interface Request {
  readonly by: string;
  readonly reason: string;
  readonly source: Trigger['source'];
  /** Every read and check for real, every act replaced by the sentence that says what it would do. */
  readonly rehearse?: boolean;
  /** Names the rehearsal, so that asked for twice it is done once; otherwise each is a new one. */
  readonly rehearsal?: string;
  /** Nothing is done before a person has said yes (`incident approve`). */
  readonly needsApproval?: boolean;
}

export type WorkflowType =
  'recoverHost' | 'fenceHost' | 'restartVm' | 'readmitHost' | 'migrateVolume' | 'repairGuest';

export interface RunRef {
  readonly incidentId: IncidentId;
  readonly workflowId: string;
  readonly runId: string | undefined;
  readonly type: string;
}

/**
 * What became of a request to start something. `same`: this very incident is, or was, handled already; the request was added to it as one
 * more trigger while it is open. `busy`: other work holds the ID, and nothing was started.
 */
export type StartAnswer =
  | (RunRef & { readonly answer: 'started'; readonly rehearsal: boolean })
  | (RunRef & { readonly answer: 'same'; readonly open: boolean; readonly sentence: string })
  | (Omit<RunRef, 'incidentId'> & {
      readonly answer: 'busy';
      /** Undefined for a run that was not started by a front door. */
      readonly incidentId: IncidentId | undefined;
      /** What the other work says of itself. */
      readonly summary: string;
      readonly since: string;
    });

export type RunResult =
  RecoverHostResult | RestartVmResult | FenceHostResult | ReadmitHostResult | MigrateVolumeResult;

/** How following a run ended. `waits`: it goes on, but a person is asked for something first. */
export type Ending =
  | { readonly kind: 'finished'; readonly result: RunResult }
  | {
      readonly kind: 'failed';
      /** The failure's type: a fault's code, or one of `failureTypes`. */
      readonly type: string;
      readonly sentence: string;
      readonly vm: VmResult | undefined;
    }
  | { readonly kind: 'waits'; readonly incident: IncidentRecord };
