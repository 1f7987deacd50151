/**
 * One VM, started again exactly once. The workflow ID `vm:<vmId>` is the lock: while this runs nobody else can take the VM.
 *
 * prepare [withdraw] -> start (pivot) -> settle. A start that is proven not to have happened goes back and tries the next host; one that is
 * not known stays with its host until it is known, that host is fenced, or a person decides.
 */
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Prepared, StartBasis } from '../activities/restart-vm';
import type { FenceEvidence } from '../domain/evidence';
import { type Fault, fault } from '../domain/faults';
import { type HostId, workflowIds } from '../domain/ids';
import { limits } from '../domain/limits';
import type { VmPhase, VmResult } from '../domain/recovery-state';
import { look, prepare, settle, start, wayBack } from './activity-options';
import { shielded, throwIfCancelled } from './cancellation';
import { faultOf } from './failures';
import { failureTypes, type RestartVmInput, type RestartVmResult } from './inputs';
import * as messages from './messages';
import { ProvenNotDone, runSaga, type SagaStep } from './saga';
import { showPhase } from './search-attributes';

export const restartVmSteps = ['prepare', 'start', 'settle'] as const;
type StepName = (typeof restartVmSteps)[number];

/** While a person is waited for, the world is looked at again: first soon, then ever more seldom. */
const lookAgainMs = { first: 5_000, max: 600_000 } as const;

/** What one attempt came to. */
type Attempt =
  | { readonly kind: 'up'; readonly result: VmResult }
  | { readonly kind: 'over'; readonly phase: 'no-capacity' | 'blocked'; readonly fault: Fault }
  | { readonly kind: 'next-target'; readonly fault: Fault }
  | { readonly kind: 'stuck'; readonly fault: Fault }
  | { readonly kind: 'given-up'; readonly fault: Fault };

interface Run {
  readonly input: RestartVmInput;
  phase: VmPhase;
  target: HostId | undefined;
  fault: Fault | undefined;
  pastPivot: boolean;
  held: boolean;
  waiting: boolean;
  aborted: messages.Said | undefined;
  /** The workflow ID of the incident to tell: the one that started this run, or that has joined it since. */
  incidentRun: string | undefined;
  resolution: messages.StuckResolution | undefined;
  readonly evidence: FenceEvidence[];
  readonly beganAt: string;
  readonly scope: CancellationScope;
}

export async function restartVm(input: RestartVmInput): Promise<RestartVmResult> {
  const run: Run = {
    input,
    phase: 'reserving',
    target: input.target,
    fault: undefined,
    pastPivot: false,
    held: false,
    waiting: false,
    aborted: undefined,
    incidentRun: workflowInfo().parent?.workflowId,
    resolution: undefined,
    evidence: input.failed === undefined ? [] : [input.failed.evidence],
    beganAt: input.incidentBeganAt ?? workflowInfo().startTime.toISOString(),
    scope: new CancellationScope({ cancellable: true }),
  };
  listen(run);
  if (input.mode === 'rehearse') return rehearse(run);
  if (input.incidentBeganAt === undefined)
    await shielded(() => look.openVmIncident({ ...input, workflowId: workflowInfo().workflowId }));
  try {
    const ended = await untilEnded(run);
    return await shielded(() => finish(run, ended));
  } catch (error) {
    // Cancelled in Temporal itself: by now the saga has gone back (or forward, past the pivot); the incident must not stay open.
    if (isCancellation(error)) await shielded(() => closeCancelled(run));
    throw error;
  }
}

function listen(run: Run): void {
  const { input } = run;
  setHandler(messages.vmStatusQuery, () => statusOf(run));
  setHandler(messages.hostFailedSignal, async (news) => {
    run.incidentRun = workflowIds.host(news.hostId);
    // A new proof ends whatever wait there is; without one the wait goes on, and the incident must know of it.
    if (news.evidence !== undefined) run.evidence.push(news.evidence);
    else if (run.waiting && run.fault !== undefined) await tellIncident(run, run.fault);
  });
  setHandler(
    messages.abortUpdate,
    (said) => {
      run.aborted = said;
      run.scope.cancel();
      return `the recovery of ${input.name} is being taken back`;
    },
    {
      description: 'Stop before the VM is started: everything prepared is undone',
      validator: (said) => {
        messages.mustSayWhy(said);
        if (run.pastPivot)
          throw new Error(`${input.name} may have been started already: there is no way back`);
      },
    },
  );
  setHandler(
    messages.resolveStuckUpdate,
    (said) => {
      run.resolution = said.resolution;
      return said.resolution === 'retry'
        ? 'everything is read again'
        : 'the run ends; nothing more is touched';
    },
    {
      description: 'Decide about a VM that waits for a person: retry, or give up',
      validator: (said) => {
        if (!run.waiting)
          throw new Error(`${input.name} does not wait for a decision now (it is ${run.phase})`);
        messages.mustSayWhy(said);
      },
    },
  );
  setHandler(
    messages.holdUpdate,
    () => {
      run.held = true;
      return 'held before the next act';
    },
    { description: 'Wait before the next act', validator: messages.mustSayWhy },
  );
  setHandler(
    messages.resumeUpdate,
    () => {
      run.held = false;
      return 'goes on';
    },
    { description: 'Go on', validator: messages.mustSayWhy },
  );
}

/** Attempts, one after another, until the VM is up, is known not to come back now, or a person gives up. */
async function untilEnded(run: Run): Promise<Attempt> {
  const avoid: HostId[] = [];
  for (;;) {
    const attempt = await attemptOnce(run, avoid);
    if (
      attempt.kind === 'next-target' &&
      avoid.length + 1 < limits.startTargetsMax &&
      run.target !== undefined
    ) {
      avoid.push(run.target);
      run.target = undefined;
    } else if (attempt.kind === 'next-target') {
      return { kind: 'over', phase: 'blocked', fault: attempt.fault };
    } else if (attempt.kind === 'stuck') {
      const resolution = await waitForPerson(run, attempt.fault);
      if (resolution === 'give-up') return { kind: 'given-up', fault: attempt.fault };
      if (resolution === 'aborted') return stopped(run, run.aborted as messages.Said);
      avoid.length = 0;
      run.target = undefined;
    } else {
      return attempt;
    }
  }
}

async function attemptOnce(run: Run, avoid: readonly HostId[]): Promise<Attempt> {
  let prepared: Prepared | undefined;
  let result: VmResult | undefined;
  const steps: SagaStep<StepName>[] = [
    {
      name: 'prepare',
      act: async () => {
        prepared = await prepareStep(run, avoid);
      },
      undo: () =>
        wayBack.withdrawPreparation({
          vmId: run.input.vmId,
          incidentId: run.input.incidentId,
          activated: prepared?.kind === 'prepared' ? prepared.activated : [],
        }),
    },
    { name: 'start', act: () => startStep(run, prepared), undo: 'pivot' },
    {
      name: 'settle',
      act: async () => {
        result = await settleStep(run, prepared);
      },
      undo: 'nothing-to-undo',
    },
  ];
  const outcome = await runSaga(steps, shielded);
  run.pastPivot = outcome.kind === 'stuck' && outcome.why === 'failed-past-pivot';
  if (outcome.kind === 'completed' && result !== undefined) return { kind: 'up', result };
  if (outcome.kind === 'completed') throw new Error('a completed saga without a result');
  if (outcome.kind === 'compensated') return afterWayBack(run, outcome.cause);
  if (outcome.cause instanceof GivenUp) return { kind: 'given-up', fault: outcome.cause.fault };
  const why = faultOf(outcome.cause);
  if (outcome.why === 'failed-past-pivot' && why !== undefined) return { kind: 'stuck', fault: why };
  const detail = `${outcome.notUndone.join(', ')}: ${why?.sentence ?? String(outcome.cause)}`;
  const { vmId: vm, incidentId: incident } = run.input;
  return { kind: 'stuck', fault: fault('UNDO_FAILED', { vm, incident, detail }) };
}

/** What a step throws to end the attempt: the saga goes back, then `afterWayBack` reads it. */
class Ended extends ProvenNotDone {
  constructor(readonly attempt: Exclude<Attempt, { kind: 'up' }>) {
    super(attempt.fault.sentence);
  }
}

class GivenUp extends Error {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

function afterWayBack(run: Run, cause: unknown): Attempt {
  if (cause instanceof Ended) return cause.attempt;
  if (isCancellation(cause) && run.aborted !== undefined) return stopped(run, run.aborted);
  const known = faultOf(cause);
  if (known === undefined) throw cause;
  return { kind: 'over', phase: 'blocked', fault: known };
}

function stopped(run: Run, { by, reason: detail }: messages.Said): Attempt {
  const facts = { by, detail, what: run.input.name, vm: run.input.vmId };
  return { kind: 'over', phase: 'blocked', fault: fault('ABORTED', facts) };
}

const basisOf = (run: Run): StartBasis => ({
  vmId: run.input.vmId,
  incidentId: run.input.incidentId,
  incidentBeganAt: run.beganAt,
  evidence: run.evidence,
});

async function prepareStep(run: Run, avoid: readonly HostId[]): Promise<Prepared> {
  return run.scope.run(async () => {
    await condition(() => !run.held);
    show(run, 'reserving');
    const prepared = await prepare.prepareStart({ ...basisOf(run), target: run.target, avoid });
    run.target = prepared.target;
    if (prepared.kind === 'no-capacity' || prepared.kind === 'blocked') {
      // A proof that no longer holds is a person's matter: without it nobody knows whether the VM still runs there.
      if (prepared.fault.code === 'EVIDENCE_CONTRADICTED')
        throw new Ended({ kind: 'stuck', fault: prepared.fault });
      // A host that was picked for us and has filled up meanwhile is not the end: let placement choose again.
      const pickedForUs =
        prepared.kind === 'no-capacity' && run.input.target !== undefined && avoid.length === 0;
      throw new Ended(
        pickedForUs && prepared.target !== undefined
          ? { kind: 'next-target', fault: prepared.fault }
          : { kind: 'over', phase: prepared.kind, fault: prepared.fault },
      );
    }
    await condition(() => !run.held);
    throwIfCancelled();
    return prepared;
  });
}

async function startStep(run: Run, prepared: Prepared | undefined): Promise<void> {
  if (prepared?.kind !== 'prepared') return;
  run.pastPivot = true;
  const { target } = prepared;
  for (;;) {
    show(run, 'starting');
    const started = await start.startVm({ ...basisOf(run), target });
    if (started.kind === 'running') return;
    if (started.kind === 'not-started') throw new Ended({ kind: 'next-target', fault: started.fault });
    if (started.kind === 'contradicted') throw new Ended({ kind: 'stuck', fault: started.fault });
    const targetOff = (): boolean => run.evidence.some((e) => e.hostId === target);
    const seen = await waitForPerson(run, started.fault, async () => {
      const where = await look.whereIsVm({ vmId: run.input.vmId, target });
      return where !== 'unknown';
    });
    if (targetOff()) throw new Ended({ kind: 'next-target', fault: started.fault });
    if (seen === 'give-up') throw new GivenUp(started.fault);
  }
}

async function settleStep(run: Run, prepared: Prepared | undefined): Promise<VmResult> {
  if (prepared?.kind !== 'prepared' && prepared?.kind !== 'already-running')
    throw new Error('nothing was prepared');
  const { target, health } = prepared;
  const mark = prepared.kind === 'prepared' ? prepared.mark : { consoleBytes: 0 };
  show(run, 'verifying');
  const settled = await settle.settleVm({ ...basisOf(run), target, mark, health });
  const degraded = fault('GUEST_DEGRADED', {
    vm: run.input.name,
    host: target,
    check: health.kind,
    seconds: String(health.timeoutMs / 1000),
  });
  return {
    vmId: run.input.vmId,
    name: run.input.name,
    target,
    phase: settled.healthy ? 'running' : 'guest-degraded',
    fault: settled.healthy ? undefined : degraded,
    finishedAt: new Date().toISOString(),
  };
}

/** `stuck`: visible, alerted, told to the incident. It keeps looking by itself: `seenAgain` and any new proof end the wait without a person. */
async function waitForPerson(
  run: Run,
  why: Fault,
  seenAgain: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<StuckEnd> {
  const { vmId, incidentId, name } = run.input;
  const proofs = run.evidence.length;
  run.resolution = undefined;
  run.waiting = true;
  run.fault = why;
  show(run, 'stuck');
  showPhase('stuck');
  const nextCommand = `vmedic incident resolve ${incidentId} --vm ${vmId} --retry --reason "..."`;
  await look.notePhase({
    incidentId,
    key: `stuck-${vmId}-${why.code}`,
    change:
      run.input.incidentBeganAt === undefined ? { phase: 'stuck', summary: why.sentence, nextCommand } : {},
    sentence: `${name} is stuck: ${why.sentence}`,
    alert: {
      key: `vm-stuck:${vmId}`,
      severity: 'critical',
      sentence: `${name}: ${why.sentence}`,
      nextCommand,
    },
  });
  await tellIncident(run, why);
  let again: StuckEnd | undefined;
  for (
    let wait: number = lookAgainMs.first;
    again === undefined;
    wait = Math.min(wait * 2, lookAgainMs.max)
  ) {
    const abortable = (): boolean => run.aborted !== undefined && !run.pastPivot;
    const newProof = (): boolean => run.evidence.length > proofs;
    const decided = await condition(() => run.resolution !== undefined || newProof() || abortable(), wait);
    if (decided) again = run.resolution ?? (abortable() ? 'aborted' : 'seen-again');
    else if (await seenAgain()) again = 'seen-again';
  }
  run.waiting = false;
  run.fault = undefined;
  const sentence = `${name}: goes on (${again})`;
  await look.notePhase({
    incidentId,
    key: `unstuck-${vmId}-${workflowInfo().historyLength}`,
    change: {},
    sentence,
    clearAlert: `vm-stuck:${vmId}`,
  });
  return again;
}
type StuckEnd = messages.StuckResolution | 'seen-again' | 'aborted';

async function tellIncident(run: Run, why: Fault): Promise<void> {
  if (run.incidentRun === undefined) return;
  const { vmId, name } = run.input;
  const result: VmResult = {
    vmId,
    name,
    target: run.target,
    phase: 'stuck',
    fault: why,
    finishedAt: new Date().toISOString(),
  };
  try {
    await getExternalWorkflowHandle(run.incidentRun).signal(messages.vmStuckSignal, result);
  } catch (error) {
    // The incident may have ended long ago; the alert and this run stay.
    if (isCancellation(error)) throw error;
  }
}

async function finish(run: Run, attempt: Attempt): Promise<RestartVmResult> {
  const { input } = run;
  if (attempt.kind === 'up') {
    show(run, attempt.result.phase);
    await close(
      run,
      attempt.result,
      attempt.result.phase === 'running' ? 'recovered' : 'partially-recovered',
    );
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
  throw ApplicationFailure.create({
    type: attempt.kind === 'over' ? failureTypes.compensated : failureTypes.stuck,
    message: `${attempt.fault.sentence} Next: ${attempt.fault.next}`,
    nonRetryable: true,
    details: [result],
  });
}

/** Ends the incident, when it is this VM's own. Within a host's incident the result itself is the report. */
async function close(
  run: Run,
  result: VmResult,
  outcome: 'recovered' | 'partially-recovered' | 'aborted' | 'stuck',
): Promise<void> {
  showPhase(result.phase);
  if (run.input.incidentBeganAt !== undefined) return;
  await look.closeIncident({
    incidentId: run.input.incidentId,
    outcome,
    phase: result.phase,
    sentence: sentenceOf(run),
    nextCommand: result.fault?.next,
    facts: { result },
    clearAlerts: [`vm-stuck:${result.vmId}`],
  });
}

async function closeCancelled(run: Run): Promise<void> {
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

async function rehearse(run: Run): Promise<RestartVmResult> {
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

function show(run: Run, phase: VmPhase): void {
  run.phase = phase;
  setCurrentDetails(`**${run.input.name}**: ${sentenceOf(run)}`);
}

function sentenceOf(run: Run): string {
  const where = run.target === undefined ? '' : ` on ${run.target}`;
  const why = run.fault === undefined ? '' : `: ${run.fault.sentence} Next: ${run.fault.next}`;
  return `${run.phase}${where}${why}${run.held ? ' (held by a person)' : ''}`;
}

function statusOf(run: Run): messages.VmStatus {
  return {
    vmId: run.input.vmId,
    incidentId: run.input.incidentId,
    phase: run.phase,
    target: run.target,
    fault: run.fault,
    sentence: sentenceOf(run),
    nextCommand: run.fault?.next,
  };
}
