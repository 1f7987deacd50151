/**
 * What can be said to a running workflow, and what it answers. Constants carry the SDK's suffix, wire names do not. Whoever needs a yes or a
 * no uses an update (its name is checked and its validator refuses without leaving an event); signals are for news between workflows.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { FenceEvidence } from '../domain/evidence';
import type { Fault } from '../domain/faults';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import type { RecoveryPhase, VmPhase, VmProgress, VmResult } from '../domain/recovery-state';
import type { Trigger } from '../domain/records';
import type { phasesUnderWay } from '../domain/volume-move';

/** Who says it and why; both end up in the incident's timeline. */
export interface Said {
  readonly by: string;
  readonly reason: string;
}

/** For validators: an act of a person has a name and a reason, because both end up in the report. */
export function mustSayWhy(said: Said): void {
  if (said.by.trim() === '') throw new Error('say who you are (--by)');
  if (said.reason.trim() === '')
    throw new Error('say why (--reason): it becomes part of the incident report');
}

/** What is said of an attestation before the host itself was asked: it is not proof yet. */
export const attestationNoted = (host: HostId): string =>
  `noted: ${host} is asked once more, and counts as off unless it answers`;

/** What a person may decide about a stuck VM. `retry` reads everything anew; `give-up` ends the run as stuck, touching nothing. */
export type StuckResolution = 'retry' | 'give-up';

export const attestFencedUpdate = defineUpdate<string, [Said]>('attestFenced');
export const approveFencingUpdate = defineUpdate<string, [Said]>('approveFencing');
export const resolveStuckUpdate = defineUpdate<string, [Said & { readonly resolution: StuckResolution }]>(
  'resolveStuck',
);
export const abortUpdate = defineUpdate<string, [Said]>('abort');
export const holdUpdate = defineUpdate<string, [Said]>('hold');
export const resumeUpdate = defineUpdate<string, [Said]>('resume');
/** A further trigger for an incident that is open already: kept as evidence, never a second run. */
export const addTriggerUpdate = defineUpdate<string, [Trigger]>('addTrigger');

/** A host that held, or was about to hold, this VM has failed. Every workflow that can own a `vm:` ID handles it. */
export interface HostFailed {
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly evidence: FenceEvidence | undefined;
}
export const hostFailedSignal = defineSignal<[HostFailed]>('hostFailed');

/** To a `readmitHost`: its host is said to have failed again. Refused while the host answers; otherwise the run goes on as its recovery. */
export type FailedAgain = Trigger & { readonly needsApproval: boolean };
export const hostFailedAgainUpdate = defineUpdate<IncidentId, [FailedAgain]>('hostFailedAgain');

/** What a person said to the incident and its fence must hear; `join` is the incident's own, with its workflow ID for `by`. */
export interface FenceOrder extends Said {
  readonly order: 'attest' | 'abort' | 'hold' | 'resume' | 'join';
}
export const fenceOrderSignal = defineSignal<[FenceOrder]>('fenceOrder');

/** From `restartVm` to the incident it belongs to: this VM now waits for a person. */
export const vmStuckSignal = defineSignal<[VmResult]>('vmStuck');

/** From `fenceHost` to its incident: every level failed, or it goes on again. */
export interface FenceProgress {
  readonly phase: 'fencing' | 'blocked-unfenced';
  readonly level: string;
  readonly attempts: number;
  readonly faults: readonly Fault[];
}
export const fenceProgressSignal = defineSignal<[FenceProgress]>('fenceProgress');

export interface RecoveryStatus {
  readonly incidentId: IncidentId;
  readonly hostId: HostId;
  readonly phase: RecoveryPhase | 'rehearsed';
  readonly sentence: string;
  readonly nextCommand: string | undefined;
  readonly held: boolean;
  readonly vms: readonly VmProgress[];
}
export const recoveryStatusQuery = defineQuery<RecoveryStatus>('recoveryStatus');

export type MovePhase =
  (typeof phasesUnderWay)[number] | 'going-back' | 'moved' | 'not-moved' | 'rehearsed' | 'stuck';

export interface MoveStatus {
  readonly vmId: VmId | undefined;
  readonly incidentId: IncidentId;
  readonly phase: MovePhase;
  readonly percent: number | undefined;
  readonly fault: Fault | undefined;
  readonly sentence: string;
  readonly nextCommand: string | undefined;
}
export const moveStatusQuery = defineQuery<MoveStatus>('moveStatus');

export interface VmStatus {
  readonly vmId: VmId;
  readonly incidentId: IncidentId;
  readonly phase: VmPhase;
  readonly target: HostId | undefined;
  readonly fault: Fault | undefined;
  readonly sentence: string;
  readonly nextCommand: string | undefined;
}
export const vmStatusQuery = defineQuery<VmStatus>('vmStatus');
