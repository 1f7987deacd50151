/** How a run of `restartVm` ends, and its rehearsal. */
import { ApplicationFailure, makeContinueAsNewFunc, setCurrentDetails } from '@temporalio/workflow';
import { type Fault, fault, withNextStep } from '../domain/faults';
import type { VmId } from '../domain/ids';
import type { VmResult } from '../domain/recovery-state';
import { look } from './activity-options';
import { everythingAnswered } from './note-said';
import { failureTypes, type RepairGuestInput, type RestartVmResult, type RunMemo } from './inputs';
import type { repairGuest } from './repair-guest';
import { basisOf, type Run, sentenceOf, show } from './restart-vm-run';
import { phaseIsShown, showPhase, subject } from './search-attributes';

/** What one attempt came to. */
export type Attempt =
  /** Nothing needed to be done: it runs again by itself, or is not to run any more. */
  | { readonly kind: 'dismissed'; readonly result: VmResult; readonly why: string }
  /** `repairs`: its guest is not well, and the operator wants it repaired then. */
  | { readonly kind: 'up'; readonly result: VmResult; readonly repairs?: true }
  | { readonly kind: 'over'; readonly phase: 'no-capacity' | 'blocked'; readonly fault: Fault }
  | { readonly kind: 'next-target'; readonly fault: Fault }
  | { readonly kind: 'stuck'; readonly fault: Fault }
  | { readonly kind: 'given-up'; readonly fault: Fault };

export async function finish(run: Run, attempt: Attempt): Promise<RestartVmResult> {
  const { input } = run;
  if (attempt.kind === 'up') {
    show(run, attempt.result.phase);
    await close(
      run,
      attempt.result,
      attempt.result.phase === 'running' ? 'recovered' : 'partially-recovered',
    );
    await everythingAnswered();
    return { ...attempt.result, would: [] };
  }
  if (attempt.kind === 'dismissed') {
    run.target = attempt.result.target;
    show(run, attempt.result.phase);
    await close(run, attempt.result, 'dismissed', `${input.name}: ${attempt.why}; nothing was done`);
    await everythingAnswered();
    return { ...attempt.result, would: [] };
  }
  if (attempt.kind !== 'over' && attempt.kind !== 'given-up') throw new Error(`no ending: ${attempt.kind}`);
  const result: VmResult = {
    vmId: input.vmId,
    name: input.name,
    target: run.target,
    phase: attempt.kind === 'over' ? attempt.phase : 'stuck',
    fault: attempt.fault,
    finishedAt: new Date().toISOString(),
  };
  run.fault = attempt.fault;
  show(run, result.phase);
  const aborted = attempt.fault.code === 'ABORTED';
  const outcome = aborted ? 'aborted' : attempt.kind === 'given-up' ? 'stuck' : 'partially-recovered';
  await close(run, result, outcome);
  await everythingAnswered();
  throw ApplicationFailure.create({
    type: attempt.kind === 'over' ? failureTypes.compensated : failureTypes.stuck,
    message: withNextStep(attempt.fault),
    nonRetryable: true,
    details: [result],
  });
}

/** The same incident under the same ID: nobody can take the VM in between, and whoever waits for this run waits for that one. */
export async function continueAsRepair(run: Run): Promise<never> {
  const { input } = run;
  const { vmId, incidentId, trigger } = input;
  const proof = run.evidence.at(-1);
  const order: RepairGuestInput = {
    ...input,
    failed: proof === undefined ? input.failed : { hostId: proof.hostId, evidence: proof },
    ...(run.incidentRun !== undefined && { incidentRun: run.incidentRun }),
  };
  const memo: RunMemo = { incidentId, requestedBy: trigger.by, reason: trigger.reason };
  await everythingAnswered();
  return makeContinueAsNewFunc<typeof repairGuest>({
    workflowType: 'repairGuest',
    memo: { ...memo },
    typedSearchAttributes: subject({ incidentId, hostId: input.failed?.hostId, vmId }),
  })(order);
}

/** Ends the incident, when it is this VM's own. Within a host's incident the result itself is the report. */
async function close(
  run: Run,
  result: VmResult,
  outcome: 'recovered' | 'partially-recovered' | 'aborted' | 'stuck' | 'dismissed',
  sentence: string = sentenceOf(run),
): Promise<void> {
  // A run that came through without waiting for anybody says so by being completed: 300 upserts less after a host's failure.
  if (result.phase !== 'running' || phaseIsShown()) showPhase(result.phase);
  if (run.input.incidentBeganAt !== undefined) return;
  const alert = {
    key: vmAlert(result.vmId),
    sentence: `${result.name}: ${sentence}`,
    nextCommand: result.fault?.next,
  };
  // What a person has stopped is less than what nobody could bring back. One that runs unwell has an alert of its own.
  const severity = outcome === 'aborted' ? 'warning' : 'critical';
  const isDown = outcome !== 'dismissed' && result.phase !== 'running' && result.phase !== 'guest-degraded';
  await look.closeIncident({
    incidentId: run.input.incidentId,
    outcome,
    phase: result.phase,
    sentence,
    nextCommand: result.fault?.next,
    facts: { result },
    clearAlerts: [`vm-stuck:${result.vmId}`, `vm-waits:${result.vmId}`, vmAlert(result.vmId)],
    ...(isDown ? { alert: { ...alert, severity } } : {}),
  });
}

/** A VM whose own recovery did not bring it back; open until one does. */
export const vmAlert = (vm: VmId): string => `vm:${vm}`;

export async function closeCancelled(run: Run): Promise<void> {
  const facts = {
    by: 'a cancellation in Temporal',
    what: run.input.name,
    vm: run.input.vmId,
    detail: 'no reason given',
  };
  run.fault = fault('ABORTED', facts);
  const { vmId, name } = run.input;
  const finishedAt = new Date().toISOString();
  await close(
    run,
    { vmId, name, target: run.target, phase: 'blocked', fault: run.fault, finishedAt },
    'aborted',
  );
}

export async function rehearse(run: Run): Promise<RestartVmResult> {
  const { input } = run;
  const said = await look.rehearseStart({
    ...basisOf(run),
    target: input.target,
    assumeOff: input.failed?.hostId,
  });
  setCurrentDetails(said.would.map((w) => `- ${w}`).join('\n'));
  return {
    vmId: input.vmId,
    name: input.name,
    target: said.target,
    phase: said.comesBack ? 'running' : 'blocked',
    fault: undefined,
    finishedAt: new Date().toISOString(),
    would: said.would,
  };
}
