/**
 * A guest that runs and does not get well: stopped, kept as it is, its journals replayed and its file systems checked, started again; and back to what
 * was kept if that did not help. By a person's command, or after a restart where an operator has switched it on. The workflow ID `vm:<vmId>` is the
 * lock: while this runs nobody else starts the VM or moves its disks.
 *
 * preflight -> stop [start again] -> keep [drop it, while nothing was written] -> mend [stop, and back to what was kept] -> start -> tell. A start that is
 * known not to have brought it back well goes back; one that nobody knows of stays with its host, as in every restart.
 *
 * INVARIANTS:
 * - No guest is started on disks that were written to, unless they were found whole, or are as they were before.
 */
import { condition, isCancellation, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { RepairReady } from '../activities/guest-repair';
import { type Fault, fault, withNextStep } from '../domain/faults';
import { mendedWords } from '../domain/guest-repair';
import { look, onDisks, prepare } from './activity-options';
import { shielded } from './cancellation';
import type { RepairGuestInput, RestartVmResult } from './inputs';
import { attemptName, DidNotHelp, isOff, type Repair, step, stepOf } from './repair-guest-run';
import { afterWayBack, drop, goBack, startAgain, undoing, untilBack } from './repair-guest-way-back';
import { untilEnded } from './restart-vm';
import { type Attempt, closeCancelled, finish } from './restart-vm-ending';
import { listen, newRun, type Run } from './restart-vm-run';
import { runSaga, type SagaStep } from './saga';

export const repairGuestSteps = ['stop', 'keep', 'mend', 'start', 'tell'] as const;
type StepName = (typeof repairGuestSteps)[number];

export async function repairGuest(input: RepairGuestInput): Promise<RestartVmResult> {
  const run = newRun(input);
  run.phase = 'repairing';
  listen(run);
  if (input.mode === 'rehearse') return rehearse(run);
  if (input.incidentBeganAt === undefined)
    await shielded(() =>
      look.openVmIncident({ ...input, workflowId: workflowInfo().workflowId, phase: 'repairing' }),
    );
  run.opened = true;
  try {
    const ended = await untilRepaired(run, input.patienceMs);
    if (ended.kind === 'up' || ended.kind === 'dismissed') run.fault = ended.result.fault;
    return await shielded(() => finish(run, ended));
  } catch (error) {
    // Cancelled in Temporal itself: by now it has gone back, and the VM was started again; the incident must not stay open.
    if (isCancellation(error)) await shielded(() => closeCancelled(run));
    throw error;
  }
}

async function untilRepaired(run: Run, patienceMs: number | undefined): Promise<Attempt> {
  const ready = await prepare.preflightRepair({ vmId: run.input.vmId, attempt: attemptName() });
  if (ready.kind === 'refused') return refused(run, ready);
  const repair: Repair = {
    ...{ run, ready, patienceMs, written: false, back: false, started: undefined },
    ...{ aborted: undefined, cause: undefined, acting: true, undoFault: undefined },
  };
  void endWithItsHost(repair);
  const outcome = await runSaga(stepsOf(repair), shielded);
  if (outcome.kind === 'completed') return startedOf(repair);
  if (outcome.kind === 'stuck' && outcome.why === 'failed-past-pivot') {
    if (outcome.cause instanceof GivenUp) return { kind: 'given-up', fault: outcome.cause.fault };
    throw outcome.cause;
  }
  if (outcome.kind === 'stuck') {
    const givenUp = await shielded(() => untilBack(repair));
    if (givenUp !== undefined) return { kind: 'given-up', fault: givenUp };
  }
  return afterWayBack(repair);
}

async function endWithItsHost(repair: Repair): Promise<void> {
  try {
    await condition(() => !repair.acting || isOff(repair));
    if (repair.acting) repair.run.scope.cancel();
  } catch (error) {
    // Cancelled in Temporal itself: so is what is done.
    if (!isCancellation(error)) throw error;
  }
}

function stepsOf(repair: Repair): SagaStep<StepName>[] {
  const { kept } = repair.ready;
  const noted =
    (act: () => Promise<void>): (() => Promise<void>) =>
    async () => {
      try {
        await act();
      } catch (error) {
        repair.cause = error;
        throw error;
      }
    };
  const keep = (): Promise<void> => step(repair, 'its disks are kept as they are', onDisks.keepDisks);
  const tell = (): Promise<void> => look.tellKept({ ...stepOf(repair), kept });
  return [
    { name: 'stop', act: noted(() => stop(repair)), undo: () => undoing(repair, startAgain) },
    { name: 'keep', act: noted(keep), undo: () => undoing(repair, drop) },
    { name: 'mend', act: noted(() => mend(repair)), undo: () => undoing(repair, goBack) },
    { name: 'start', act: noted(() => start(repair)), undo: 'pivot' },
    { name: 'tell', act: noted(tell), undo: 'nothing-to-undo' },
  ];
}

class GivenUp extends Error {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

const stop = (repair: Repair): Promise<void> =>
  step(repair, 'its guest is stopped, to look into its disks', onDisks.stopForRepair);

async function mend(repair: Repair): Promise<void> {
  const found = await step(repair, 'its journals are replayed and its file systems checked', (input) => {
    repair.written = true;
    return onDisks.mendDisks(input);
  });
  const detail = mendedWords(found);
  const { name: vm } = repair.run.input;
  const looked = found.some((f) => f.found === 'whole' || f.found === 'mended');
  if (!looked || found.some((f) => f.found === 'damaged'))
    throw new DidNotHelp(fault('REPAIR_NOT_HELPED', { vm, detail }));
}

async function start(repair: Repair): Promise<void> {
  const { run, ready } = repair;
  repair.acting = false;
  run.target = ready.on;
  const ended = await untilEnded(run);
  repair.started = ended;
  if (ended.kind === 'given-up') throw new GivenUp(ended.fault);
  if (ended.kind === 'dismissed') throw new Error('a start of its own is not dismissed');
  if (ended.kind === 'up' && ended.result.phase === 'running') return;
  const why = ended.kind === 'up' ? ended.result.fault : ended.fault;
  const detail = why?.sentence ?? 'it did not get well';
  throw new DidNotHelp(fault('REPAIR_NOT_HELPED', { vm: run.input.name, detail }));
}

/** Not begun: as it was before, with the reason. */
function refused(run: Run, { on, runs, fault: why }: Extract<RepairReady, { kind: 'refused' }>): Attempt {
  const { vmId, name } = run.input;
  const of = { vmId, name, fault: why, finishedAt: new Date().toISOString() };
  if (runs) return { kind: 'up', result: { ...of, target: on, phase: 'guest-degraded' } };
  return { kind: 'dismissed', result: { ...of, target: undefined, phase: 'blocked' }, why: why.sentence };
}

function startedOf({ started }: Repair): Attempt {
  if (started === undefined) throw new Error('a completed repair without a start');
  return started;
}

async function rehearse(run: Run): Promise<RestartVmResult> {
  const { vmId, name } = run.input;
  const ready = await prepare.preflightRepair({ vmId, attempt: attemptName() });
  const kept = ready.kind === 'ready' ? ready.kept.map((k) => `${k.device} as ${k.kept}`).join(', ') : '';
  const would =
    ready.kind === 'refused'
      ? [`would refuse: ${withNextStep(ready.fault)}`]
      : [
          ...(ready.runs
            ? [`would stop the guest of ${name} on ${ready.on}, by force if it does not hear`]
            : []),
          `would keep its disks as they are on ${ready.on}: ${kept}`,
          'would replay the journals of its guest and check its file systems; no journal is thrown away',
          `would start it on ${ready.on}; and go back to what was kept, and start that, if it did not get well`,
        ];
  setCurrentDetails(would.map((w) => `- ${w}`).join('\n'));
  return {
    ...{ vmId, name, target: ready.on, would, finishedAt: new Date().toISOString() },
    phase: ready.kind === 'ready' ? 'running' : 'blocked',
    fault: ready.kind === 'ready' ? undefined : ready.fault,
  };
}
