/**
 * A dead host's VMs run again, each exactly once. confirm -> admit (blast radius) -> fence -> release locks -> plan -> restart in waves.
 * The workflow ID `host:<hostId>` is the lock: every further trigger is attached to the run that holds it.
 */
import {
  ChildWorkflowCancellationType,
  condition,
  continueAsNew,
  isCancellation,
  ParentClosePolicy,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { IncidentBrief } from '../activities/incident';
import type { FenceEvidence } from '../domain/evidence';
import { workflowIds } from '../domain/ids';
import { limits } from '../domain/limits';
import { isClosed, type RecoveryState } from '../domain/recovery-state';
import { admit, confirm, needApproval, takeAbort } from './admit-host';
import { look, otherRun } from './activity-options';
import { shielded, throwIfCancelled } from './cancellation';
import { faultOf } from './failures';
import type { fenceHost } from './fence-host';
import type {
  FenceHostResult,
  PlannedVm,
  RecoverHostInput,
  RecoverHostResult,
  ReleaseLocksInput,
  ReleaseLocksResult,
} from './inputs';
import { listen, move, type Run, tellFence, waitFor } from './recover-host-run';
import { everythingAnswered } from './note-said';
import { closeAborted, report } from './recover-host-report';
import { rehearse } from './rehearse-host';
import type { releaseLocks } from './release-locks';
import { type FanOut, restartAll } from './restart-all';
import { subject } from './search-attributes';

export const recoverHostSteps = [
  'confirm',
  'admit',
  'fence',
  'release-locks',
  'plan',
  'restart',
  'report',
] as const;

export async function recoverHost(input: RecoverHostInput): Promise<RecoverHostResult> {
  // Read before anything else; the handlers above all need a run that is there.
  const noBrief = undefined as unknown as IncidentBrief;
  const state: RecoveryState =
    input.carried === undefined
      ? { phase: 'suspect', why: 'not looked at yet' }
      : { phase: 'restarting', evidence: input.carried.evidence, vms: input.carried.done };
  const run: Run = {
    input,
    state,
    brief: noBrief,
    held: input.carried?.held ?? false,
    said: {},
    goOn: false,
    bootId: input.carried?.bootId,
    evenIfDegraded: false,
    allowed: input.needsApproval !== true,
    vmsAreDown: input.carried === undefined ? undefined : true,
    done: [...(input.carried?.done ?? [])],
    stuck: new Map(),
  };
  listen(run);
  run.brief = await shielded(() =>
    look.openHostIncident({ ...input, workflowId: workflowInfo().workflowId }),
  );
  if (input.mode === 'rehearse') return rehearse(run);
  try {
    const left = input.carried === undefined ? await untilRestarting(run) : input.carried.left;
    if (left !== undefined) await persist(run, () => restart(run, left));
    const result = await shielded(() => persist(run, () => report(run)));
    await everythingAnswered();
    return result;
  } catch (error) {
    // Cancelled in Temporal itself: what is under way in children goes on to a known state; the incident must not stay open.
    if (isCancellation(error) && !isClosed(run.state.phase)) await shielded(() => stoppedFromOutside(run));
    throw error;
  }
}

/**
 * The fence that is under way is a run of its own: left to itself it would switch the host off later, for an incident that is no more. It is
 * taken back while nothing was sent; past that, its end is waited for, because then the host's VMs are down.
 */
async function stoppedFromOutside(run: Run): Promise<void> {
  const said = { by: 'a cancellation in Temporal', reason: 'no reason given' };
  if (run.fence?.runs === 'own') await tellFence(run, { ...said, order: 'abort' });
  if (run.fence !== undefined) {
    const ended = await otherRun.awaitRun({ workflowId: workflowIds.fence(run.input.hostId) });
    if ((ended as FenceHostResult | undefined)?.kind === 'fenced') run.vmsAreDown = true;
  }
  await closeAborted(run, said.by, said.reason);
}

/** Up to the plan; undefined when the incident is over without one (dismissed, aborted). */
async function untilRestarting(run: Run): Promise<readonly PlannedVm[] | undefined> {
  do {
    await persist(run, () => confirm(run));
    if (run.state.phase === 'admitted') await persist(run, () => admit(run));
    if (run.state.phase === 'admitted') await persist(run, () => fence(run));
    // Only a host that was found degraded when it was to be switched off comes back to the question whether it may be.
  } while (run.state.phase === 'held');
  while (['fenced', 'releasing', 'blocked-locks'].includes(run.state.phase))
    await persist(run, () => release(run));
  if (run.state.phase !== 'restarting') return undefined;
  const { hostId, incidentId } = run.input;
  const vmIds = run.brief.roster.map((v) => v.vmId);
  const onItself = run.state.evidence === undefined;
  const plan = await persist(run, () =>
    look.planRestarts({ hostId, incidentId, vmIds, onItself, mode: 'act' }),
  );
  return plan.vms;
}

/**
 * A step that failed for good is neither dropped nor the end of the incident: it waits for a person to cure the cause, then the step is done
 * again. Every step reads before it acts, so doing it again is harmless.
 */
async function persist<T>(run: Run, step: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined || isCancellation(error)) throw error;
      run.goOn = false;
      await waitFor(run, known.sentence, `vmedic incident resume ${run.input.incidentId} --reason "..."`);
      // Each step that may still be stopped looks for an abort before anything else.
      await condition(() => run.goOn || run.said.abort !== undefined);
    }
  }
}

async function fence(run: Run): Promise<void> {
  const { hostId, clusterId, incidentId, epoch, mode, trigger } = run.input;
  await condition(() => !run.held || run.said.abort !== undefined);
  if (takeAbort(run)) return;
  move(run, { event: 'fence-begun', level: run.brief.fenceLevels[0]?.name ?? '(no device)' });
  const workflowId = workflowIds.fence(hostId);
  const evenIf = run.evenIfDegraded || run.brief.policy.fenceDegraded ? ('degraded' as const) : undefined;
  const order = { hostId, clusterId, incidentId, epoch, mode, trigger, evenIf, brief: run.brief };
  let result: FenceHostResult | undefined;
  throwIfCancelled();
  const running: NonNullable<Run['fence']> = { runs: 'own', hears: false };
  run.fence = running;
  try {
    const child = await startChild<typeof fenceHost>('fenceHost', {
      workflowId,
      args: [order],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
      staticSummary: `${hostId}: switch off and prove it`,
      typedSearchAttributes: subject({ incidentId, hostId }),
      memo: { incidentId, requestedBy: trigger.by, reason: trigger.reason },
    });
    running.hears = true;
    result = await child.result();
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) {
      // After a cancellation it still runs, and whoever closes the incident must know that.
      if (!isCancellation(error)) delete run.fence;
      throw error;
    }
    run.fence = { runs: 'joined', hears: true };
    result = await joinFence(run, workflowId);
  }
  delete run.fence;
  // Ended from outside without a result, it proves nothing, and its ID is free: the fence is this incident's own now.
  if (result === undefined) return fence(run);
  if (result.kind === 'fenced') run.vmsAreDown = true;
  if (result.kind === 'alive-again') run.vmsAreDown = result.boot === 'new';
  if (result.kind === 'fenced') move(run, { event: 'off-proven', evidence: result.evidence });
  // Said while the fence was on its way to another end: nothing more is done, whatever it was.
  else if (takeAbort(run)) return;
  else if (result.kind === 'aborted') move(run, { event: 'aborted', by: result.by, why: result.why });
  else if (result.kind === 'degraded')
    await needApproval(run, `${hostId} is degraded, not dead: ${result.why}. It was not switched off`);
  else if (result.kind === 'alive-again') {
    run.bootId = result.bootId;
    move(run, { event: 'alive-again', boot: result.boot, why: `${hostId} is alive again: ${result.why}` });
  } else throw new Error('a fence that was only rehearsed proves nothing');
}

/** Somebody ordered this fence on its own: it becomes this incident's, tells it how it goes and leaves the closing to it. */
async function joinFence(run: Run, workflowId: string): Promise<FenceHostResult | undefined> {
  await tellFence(run, { order: 'join', by: workflowInfo().workflowId, reason: run.input.incidentId });
  return (await otherRun.awaitRun({ workflowId })) as FenceHostResult | undefined;
}

async function release(run: Run): Promise<void> {
  await condition(() => !run.held || run.said.abort !== undefined);
  if (takeAbort(run)) return;
  const { hostId, incidentId, mode, trigger } = run.input;
  move(run, { event: 'release-begun' });
  if (run.state.phase !== 'releasing') return;
  const order = { hostId, incidentId, mode, vmIds: run.brief.roster.map((v) => v.vmId) };
  const workflowId = workflowIds.locks(hostId);
  const options = {
    workflowId,
    args: [{ ...order, evidence: run.state.evidence }] as [ReleaseLocksInput],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    cancellationType: ChildWorkflowCancellationType.ABANDON,
    staticSummary: `${hostId}: release its locks`,
    typedSearchAttributes: subject({ incidentId, hostId }),
    memo: { incidentId, requestedBy: trigger.by, reason: trigger.reason },
  };
  let result: ReleaseLocksResult;
  try {
    result = await (await startChild<typeof releaseLocks>('releaseLocks', options)).result();
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    // A run left over from an incident that was cancelled: it comes to its end, then the locks are read and released anew.
    await otherRun.awaitRun({ workflowId });
    return;
  }
  // Said while the locks were being released: no VM is started.
  if (takeAbort(run)) return;
  if (result.kind === 'free') return move(run, { event: 'locks-free' });
  move(run, { event: 'locks-foreign', faults: result.faults });
  const why = result.faults.map((f) => f.sentence).join(' ');
  const unproven = result.faults.some((f) => f.code.startsWith('FENCE_') || f.code === 'EVIDENCE_AGED');
  const say = unproven ? 'attest-fenced' : 'resume';
  await waitFor(run, why, `vmedic incident ${say} ${incidentId} --reason "..."`);
  await condition(() => run.goOn || run.said.abort !== undefined, run.brief.policy.fenceRetryMs.max);
  run.goOn = false;
}

async function restart(run: Run, vms: readonly PlannedVm[]): Promise<void> {
  if (run.state.phase !== 'restarting') throw new Error(`restarting in phase ${run.state.phase}`);
  const { evidence } = run.state;
  const fan: FanOut = {
    input: run.input,
    incidentBeganAt: run.brief.openedAt,
    evidence,
    concurrency: run.brief.policy.concurrency,
    held: () => run.held,
    stuck: run.stuck,
    moved: (vm) => move(run, { event: 'vm-moved-on', vm }),
  };
  const perRun = run.input.vmsPerRun ?? limits.vmsPerRunMax;
  run.done.push(...(await restartAll(fan, vms.slice(0, perRun))));
  const left = vms.slice(perRun);
  if (left.length > 0) await nextPage(run, evidence, left);
  move(run, { event: 'all-settled', vms: run.done });
}

async function nextPage(
  run: Run,
  evidence: FenceEvidence | undefined,
  left: readonly PlannedVm[],
): Promise<never> {
  await everythingAnswered();
  const { done, held, bootId } = run;
  return continueAsNew<typeof recoverHost>({
    ...run.input,
    carried: { evidence, done, left, held, bootId },
  });
}
