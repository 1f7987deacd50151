/**
 * A VM's disk moved to another pool: verified, or taken back, never falsely a success. The workflow ID `vm:<vmId>` is the lock: while this runs
 * nobody starts the VM elsewhere, and while it is recovered nobody moves its disks. A disk that belongs to no VM has `disk:<diskId>`.
 *
 * preflight -> copy [take back what moved, remove our own copy] -> switch (pivot) -> record -> clean. Where the task switches by itself, the disk
 * has moved when it was read to have moved; what the task says counts for nothing. From then on there is only forward.
 */
import { CancellationScope, isCancellation, workflowInfo } from '@temporalio/workflow';
import { type Fault, fault } from '../domain/faults';
import { movePace } from '../domain/limits';
import { look } from './activity-options';
import { shielded } from './cancellation';
import { faultOf } from './failures';
import type { MigrateVolumeInput, MigrateVolumeResult } from './inputs';
import { closeCancelled, type Ended, finish, rehearse } from './migrate-volume-ending';
import { GivenUp, waitForPerson } from './migrate-volume-known';
import { listen, type Run } from './migrate-volume-run';
import { cleanStep, copyStep, preflightStep, recordStep, switchStep } from './migrate-volume-steps';
import { NotMade, whyNot } from './migrate-volume-task';
import { GivenUpAtPartial, MovedAfterAll, takeBack } from './migrate-volume-way-back';
import { runSaga, type SagaOutcome, type SagaStep } from './saga';

export const migrateVolumeSteps = ['preflight', 'copy', 'switch', 'record', 'clean'] as const;
type StepName = (typeof migrateVolumeSteps)[number];

export async function migrateVolume(input: MigrateVolumeInput): Promise<MigrateVolumeResult> {
  const run: Run = {
    input,
    pace: input.pace ?? movePace,
    ...{ phase: 'checking', percent: undefined, before: undefined, task: undefined, said: undefined },
    ...{
      ordered: false,
      mayStillBegin: false,
      verdict: undefined,
      fault: undefined,
      pastPivot: false,
      switchAsked: false,
    },
    ...{
      held: false,
      waiting: false,
      givenUp: undefined,
      aborted: undefined,
      failed: undefined,
      resolution: undefined,
    },
    timesBack: 0,
    evidence: [],
    scope: new CancellationScope({ cancellable: true }),
  };
  listen(run);
  if (input.mode === 'rehearse') return rehearse(run);
  const { workflowId } = workflowInfo();
  await shielded(() => opened(run, workflowId));
  try {
    const ended = await untilEnded(run);
    return await shielded(() => finish(run, ended));
  } catch (error) {
    // Cancelled in Temporal itself: by now everything has been read back and taken back; the incident must not stay open.
    if (isCancellation(error)) await shielded(() => closeCancelled(run));
    throw error;
  }
}

function opened({ input, phase }: Run, workflowId: string): Promise<void> {
  const { vmId, loose } = input;
  if (vmId !== undefined) return look.openVmIncident({ ...input, vmId, workflowId, phase });
  if (loose === undefined) throw new Error('the order names neither a VM nor a disk');
  return look.openDiskIncident({ ...input, diskId: loose.diskId, workflowId, phase });
}

async function untilEnded(run: Run): Promise<Ended> {
  const steps: SagaStep<StepName>[] = [
    { name: 'preflight', act: () => preflightStep(run), undo: 'nothing-to-undo' },
    { name: 'copy', act: () => copyStep(run), undo: () => takeBack(run) },
    { name: 'switch', act: () => switchStep(run), undo: 'pivot' },
    ...later(run),
  ];
  let outcome = await runSaga(steps, shielded);
  for (;;) {
    if (outcome.kind === 'completed') return { kind: 'moved' };
    if (outcome.kind === 'compensated') return afterWayBack(run, outcome.cause);
    outcome = await afterStuck(run, outcome);
    if (outcome.kind === 'stuck' && outcome.cause instanceof GivenUp)
      return { kind: 'given-up', fault: outcome.cause.fault };
  }
}

const later = (run: Run): SagaStep<StepName>[] => [
  { name: 'record', act: () => recordStep(run), undo: 'nothing-to-undo' },
  { name: 'clean', act: () => cleanStep(run), undo: 'nothing-to-undo' },
];

/** The way back, or the way on from the pivot, stopped: a person decides, then it goes on from what is read. */
async function afterStuck(
  run: Run,
  outcome: Extract<SagaOutcome<StepName>, { kind: 'stuck' }>,
): Promise<SagaOutcome<StepName>> {
  const { cause } = outcome;
  if (cause instanceof GivenUp) return outcome;
  const pivot: SagaStep<StepName> = {
    name: 'switch',
    act: () => shielded(() => switchStep(run)),
    undo: 'pivot',
  };
  if (cause instanceof MovedAfterAll) return runSaga([pivot, ...later(run)], shielded);
  const { vmId: vm = run.input.name, incidentId: incident } = run.input;
  const why = faultIn(cause);
  if (why === undefined) throw cause;
  const detail = `${outcome.notUndone.join(', ')}: ${why.sentence}`;
  const asked = outcome.why === 'undo-failed' ? fault('UNDO_FAILED', { vm, incident, detail }) : why;
  const end = await shielded(() => waitForPerson(run, asked, () => Promise.resolve(false)));
  if (end === 'give-up') return { ...outcome, cause: new GivenUp(asked) };
  if (outcome.why === 'failed-past-pivot') return runSaga([pivot, ...later(run)], shielded);
  const failedAt = outcome.failedAt;
  try {
    await shielded(() => takeBack(run));
    return { kind: 'compensated', failedAt, undone: ['copy'], cause: new NotMade(why) };
  } catch (again) {
    return { ...outcome, cause: again };
  }
}

function faultIn(cause: unknown): Fault | undefined {
  if (cause instanceof NotMade || cause instanceof GivenUpAtPartial) return cause.fault;
  return faultOf(cause);
}

function afterWayBack(run: Run, cause: unknown): Ended {
  if (isCancellation(cause) && run.failed !== undefined)
    return { kind: 'not-moved', fault: stopped(run, `the host ${run.failed.hostId}`, 'it has failed') };
  // Whatever stopped it: people must hear where the files of a VM are that is in no inventory.
  if (run.verdict?.kind === 'VM_MISSING') return { kind: 'not-moved', fault: whyNot(run, run.verdict) };
  if (isCancellation(cause) && run.aborted !== undefined)
    return { kind: 'not-moved', fault: stopped(run, run.aborted.by, run.aborted.reason) };
  const known = faultIn(cause);
  if (known === undefined) throw cause;
  // What was half made is whole again: said as it was, it would send people to a state that is over.
  if (known.code !== 'MOVE_PARTIAL') return { kind: 'not-moved', fault: known };
  const detail = `it went half way and was taken back (${known.facts['detail'] ?? ''})`;
  return { kind: 'not-moved', fault: fault('MOVE_NOT_DONE', { vm: run.input.name, detail }) };
}

const stopped = (run: Run, by: string, detail: string): Fault =>
  fault('MOVE_STOPPED', { by, detail, vm: run.input.name });
