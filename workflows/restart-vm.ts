/**
 * One VM, started again exactly once. The workflow ID `vm:<vmId>` is the lock: while this runs nobody else can take the VM.
 *
 * prepare [withdraw] -> start (pivot) -> settle. A start that is proven not to have happened goes back and tries the next host; one that is
 * not known stays with its host until it is known, that host is fenced, or a person decides.
 */
import { condition, isCancellation, TemporalFailure, workflowInfo } from '@temporalio/workflow';
import type { Prepared, Started } from '../activities/restart-vm';
import { type Fault, fault } from '../domain/faults';
import type { HostId } from '../domain/ids';
import { limits } from '../domain/limits';
import type { VmResult } from '../domain/recovery-state';
import { inTask, look, prepare, settle, start, wayBack } from './activity-options';
import { shielded, stoppable, throwIfCancelled } from './cancellation';
import { faultOf } from './failures';
import type { RestartVmInput, RestartVmResult } from './inputs';
import type * as messages from './messages';
import { type Attempt, closeCancelled, continueAsRepair, finish, rehearse } from './restart-vm-ending';
import { untilItMayStart } from './missing-vm';
import { basisOf, listen, newRun, type Run, show } from './restart-vm-run';
import { ProvenNotDone, runSaga, type SagaStep } from './saga';
import { waitForPerson } from './stuck-vm';

export const restartVmSteps = ['prepare', 'start', 'settle'] as const;
type StepName = (typeof restartVmSteps)[number];
type StartKnown = Exclude<Started, { kind: 'not-read-yet' }>;

export async function restartVm(input: RestartVmInput): Promise<RestartVmResult> {
  const run = newRun(input);
  listen(run);
  if (input.mode === 'rehearse') return rehearse(run);
  if (input.incidentBeganAt === undefined)
    await shielded(() => look.openVmIncident({ ...input, workflowId: workflowInfo().workflowId }));
  run.opened = true;
  try {
    const before = input.cause === 'missing' ? await untilItMayStart(run) : undefined;
    const ended = before ?? (await untilEnded(run));
    if (ended.kind === 'up' && ended.repairs === true) return await shielded(() => continueAsRepair(run));
    return await shielded(() => finish(run, ended));
  } catch (error) {
    // Cancelled in Temporal itself: by now the saga has gone back (or forward, past the pivot); the incident must not stay open.
    if (isCancellation(error)) await shielded(() => closeCancelled(run));
    throw error;
  }
}

/** Attempts, one after another, until the VM is up, is known not to come back now, or a person gives up. */
export async function untilEnded(run: Run): Promise<Attempt> {
  const avoid: HostId[] = [];
  let notReady: Fault | undefined;
  for (;;) {
    const proofs = run.evidence.length;
    const attempt = await attemptOnce(run, avoid, notReady !== undefined);
    const { target } = run;
    if (attempt.kind === 'up' && run.evidence.slice(proofs).some((e) => e.hostId === attempt.result.target)) {
      // Its new host was proven off while the guest was waited for: what ran there is down, and is brought back like any other.
      avoid.length = 0;
      notReady = undefined;
      run.target = undefined;
    } else if (
      attempt.kind === 'next-target' &&
      avoid.length + 1 < limits.startTargetsMax &&
      target !== undefined
    ) {
      avoid.push(target);
      run.target = undefined;
      if (attempt.fault.code === 'STORAGE_NOT_READY') notReady = attempt.fault;
    } else if (attempt.kind === 'over' && attempt.phase === 'no-capacity' && notReady !== undefined) {
      // Not for want of room: its storage is what kept it from the host that had some.
      return { kind: 'over', phase: 'blocked', fault: elsewhereToo(notReady, attempt.fault) };
    } else if (attempt.kind === 'next-target') {
      return { kind: 'over', phase: 'blocked', fault: attempt.fault };
    } else if (attempt.kind === 'stuck') {
      const resolution = await waitForPerson(run, attempt.fault, () => mayGoOn(attempt.fault));
      if (resolution === 'give-up') return { kind: 'given-up', fault: attempt.fault };
      if (resolution === 'aborted') return stopped(run, run.aborted as messages.Said);
      run.afterRetry = resolution === 'retry';
      avoid.length = 0;
      notReady = undefined;
      run.target = undefined;
    } else {
      return attempt;
    }
  }
}

const elsewhereToo = (notReady: Fault, others: Fault): Fault =>
  fault(notReady.code, {
    ...notReady.facts,
    detail: `${notReady.facts['detail'] ?? ''}; and elsewhere: ${others.facts['detail'] ?? others.sentence}`,
  });

/** An old definition waits for nobody but its host: when that answers, or is proven off, the run goes on by itself. */
const mayGoOn = async (why: Fault): Promise<boolean> =>
  why.code === 'OLD_DEFINITION_LEFT' && look.answersOrIsOff({ hostId: why.facts['host'] as HostId });

async function attemptOnce(run: Run, avoid: readonly HostId[], waited: boolean): Promise<Attempt> {
  let prepared: Prepared | undefined;
  let settled: Pick<Extract<Attempt, { kind: 'up' }>, 'result' | 'repairs'> | undefined;
  const steps: SagaStep<StepName>[] = [
    {
      name: 'prepare',
      act: async () => {
        prepared = await prepareStep(run, avoid, waited);
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
        settled = await settleStep(run, prepared);
      },
      undo: 'nothing-to-undo',
    },
  ];
  const outcome = await runSaga(steps, shielded);
  run.pastPivot = outcome.kind === 'stuck' && outcome.why === 'failed-past-pivot';
  if (outcome.kind === 'completed' && settled !== undefined) return { kind: 'up', ...settled };
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
  constructor(readonly attempt: Exclude<Attempt, { kind: 'up' | 'dismissed' }>) {
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

/** `waited`: for its storage, on another host and for as long as the policy says. The next hosts are only looked at. */
async function prepareStep(run: Run, avoid: readonly HostId[], waited: boolean): Promise<Prepared> {
  return stoppable(run.scope, async () => {
    await condition(() => !run.held);
    show(run, 'reserving');
    const order = { ...basisOf(run), target: run.target, avoid };
    const tried = await firstTry(() => inTask.prepareStart({ ...order, oneLook: true }));
    const onlyLook = waited && tried?.kind === 'blocked' && tried.fault.code === 'STORAGE_NOT_READY';
    const isOver =
      tried !== undefined && (tried.kind !== 'blocked' || tried.fault.class !== 'transient' || onlyLook);
    const prepared = isOver ? tried : await prepare.prepareStart(order);
    run.target = prepared.target;
    if (prepared.kind === 'no-capacity' || prepared.kind === 'blocked') {
      // A proof that no longer holds is a person's matter: without it nobody knows whether the VM still runs there.
      if (prepared.fault.code === 'EVIDENCE_CONTRADICTED')
        throw new Ended({ kind: 'stuck', fault: prepared.fault });
      // A host that has filled up since it was picked is not the end: placement chooses again, and says what each host lacks.
      const filledUp = prepared.kind === 'no-capacity' && prepared.target !== undefined && avoid.length === 0;
      // What one host cannot open another may: the fault comes back when none of them can.
      const cannotOpen =
        prepared.fault.code === 'STORAGE_NOT_READY' && prepared.fault.facts['everywhere'] === undefined;
      throw new Ended(
        filledUp || cannotOpen
          ? { kind: 'next-target', fault: prepared.fault }
          : { kind: 'over', phase: prepared.kind, fault: prepared.fault },
      );
    }
    await condition(() => !run.held);
    throwIfCancelled();
    return prepared;
  });
}

/**
 * What fails within the task is tried anew as an activity, whose word counts: it has time, heartbeats and retries. (A local activity's failure
 * comes as it was thrown, and not within an ActivityFailure: seen with SDK 1.24.0.)
 */
async function firstTry<T>(act: () => Promise<T>, from?: 'shielded'): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    // Where no cancellation reaches, one that comes is a worker's that ends.
    if (!(error instanceof TemporalFailure) || (isCancellation(error) && from !== 'shielded')) throw error;
    return undefined;
  }
}

/** The run's next order: within the task, and what is not known by then by an activity. */
async function startOnce(run: Run, target: HostId, askedBefore: boolean): Promise<StartKnown> {
  run.orders += 1;
  const asked = { ...basisOf(run), target, askedBefore, order: run.orders };
  const tried = await firstTry(() => inTask.startVm({ ...asked, oneLook: true }), 'shielded');
  if (tried !== undefined && tried.kind !== 'not-read-yet') return tried;
  const started = await start.startVm(tried === undefined ? asked : { ...asked, sent: tried.sent });
  if (started.kind === 'not-read-yet') throw new Error('an activity of its own reads until it knows');
  return started;
}

async function startStep(run: Run, prepared: Prepared | undefined): Promise<void> {
  if (prepared?.kind !== 'prepared') return;
  run.pastPivot = true;
  const { target } = prepared;
  if (!run.tried.includes(target)) run.tried.push(target);
  let askedBefore = prepared.orderedBefore === true;
  for (;;) {
    show(run, 'starting');
    const started = await startOnce(run, target, askedBefore);
    askedBefore = true;
    if (started.kind === 'running') return;
    if (started.kind === 'not-started') throw new Ended({ kind: 'next-target', fault: started.fault });
    if (started.kind === 'contradicted') throw new Ended({ kind: 'stuck', fault: started.fault });
    const targetOff = (): boolean => run.evidence.some((e) => e.hostId === target);
    // The proof may have come while the start was still read back: then nobody needs to be waited for.
    if (targetOff()) throw new Ended({ kind: 'next-target', fault: started.fault });
    const seen = await waitForPerson(run, started.fault, async () => {
      const where = await look.whereIsVm({ vmId: run.input.vmId, target });
      return where !== 'unknown';
    });
    if (targetOff()) throw new Ended({ kind: 'next-target', fault: started.fault });
    if (seen === 'give-up') throw new GivenUp(started.fault);
  }
}

async function settleStep(
  run: Run,
  prepared: Prepared | undefined,
): Promise<{ readonly result: VmResult; readonly repairs?: true }> {
  if (prepared?.kind !== 'prepared' && prepared?.kind !== 'already-running')
    throw new Error('nothing was prepared');
  const { target, health } = prepared;
  // Also of one that was found running: there is nothing to take back any more.
  run.pastPivot = true;
  const mark = prepared.kind === 'prepared' ? prepared.mark : { consoleBytes: 0 };
  show(run, 'verifying');
  const order = { ...basisOf(run), target, mark, health };
  const tried = await firstTry(() => inTask.settleVm({ ...order, oneLook: true }), 'shielded');
  const isOver = tried !== undefined && tried.healthy !== 'not-yet';
  const settled = isOver ? tried : await settle.settleVm({ ...order, looked: tried !== undefined });
  const degraded = fault('GUEST_DEGRADED', {
    vm: run.input.name,
    host: target,
    check: health.kind,
    seconds: String(health.timeoutMs / 1000),
  });
  const result: VmResult = {
    vmId: run.input.vmId,
    name: run.input.name,
    target,
    phase: settled.healthy === true ? 'running' : 'guest-degraded',
    fault: settled.healthy === true ? undefined : degraded,
    finishedAt: new Date().toISOString(),
  };
  return settled.healthy === false && settled.repairs === true ? { result, repairs: true } : { result };
}
