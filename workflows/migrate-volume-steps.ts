/** The steps of `migrateVolume`. */
import { condition, isCancellation, workflowInfo } from '@temporalio/workflow';
import { type Fault, fault } from '../domain/faults';
import { look, prepare, settle, start } from './activity-options';
import { shielded, stoppable, throwIfCancelled } from './cancellation';
import { readOnce, readUntilKnown, waitForPerson } from './migrate-volume-known';
import { hostHasFailed, hostIsOff, ofMove, type Run, show } from './migrate-volume-run';
import { begin, follow, letGo, NotMade, tell, whyNot } from './migrate-volume-task';
import { leave, stopAndRead } from './migrate-volume-way-back';

export async function preflightStep(run: Run): Promise<void> {
  const { input } = run;
  const order = orderOf(run);
  await stoppable(run.scope, async () => {
    await condition(() => !run.held);
    show(run, 'checking');
    const said = await prepare.preflightMove({
      order,
      incidentId: input.incidentId,
      patienceMs: run.pace.preflightMs,
    });
    throwIfCancelled();
    if (said.kind === 'ready') run.before = said.before;
    else throw new NotMade(allOf(run, said.faults));
  });
}

/** The attempt's name is the run's, kept when an operator resets it: what was made before is known again. */
export const orderOf = ({ input }: Run) => ({
  attempt: `m${workflowInfo().originalExecutionRunId.replaceAll('-', '').slice(0, 12)}`,
  vmId: input.vmId,
  hostId: input.hostId,
  disks: input.disks,
  ...(input.loose !== undefined && { file: input.loose.path }),
});

function allOf(run: Run, faults: readonly Fault[]): Fault {
  const [first] = faults;
  if (first !== undefined && faults.length === 1) return first;
  return fault('MOVE_REFUSED', { vm: run.input.name, detail: faults.map((f) => f.sentence).join('; ') });
}

/** Until a whole copy waits for the order to switch, or, where the task switches by itself, until everything is at its new place. */
export async function copyStep(run: Run): Promise<void> {
  try {
    await stoppable(run.scope, async () => {
      await condition(() => !run.held);
      throwIfCancelled();
      await shielded(() => begin(run, 'there'));
      await tell(run, 'copying');
      await follow(run);
      await condition(() => !run.held);
      throwIfCancelled();
    });
  } catch (error) {
    if (!isCancellation(error)) throw error;
    if ((await shielded(() => stopAndRead(run))) !== 'MOVED') throw error;
    return;
  }
  if (run.before?.switches === 'by-itself') await shielded(() => mustHaveMoved(run));
}

/** What the task said counts for nothing: it has moved when it was read to have moved. */
async function mustHaveMoved(run: Run): Promise<void> {
  const verdict = await readUntilKnown(run);
  if (verdict.kind === 'MOVED') return;
  throw new NotMade(whyNot(run, verdict));
}

/** Rounds of "not answered, and not done" before it is only read. */
const switchRoundsMax = 5;

/** The pivot, where switching needs an order. A running guest stands still from here until the record is written. */
export async function switchStep(run: Run): Promise<void> {
  if (run.before?.switches !== 'by-order' || run.verdict?.kind === 'MOVED') return;
  run.pastPivot = true;
  run.switchAsked = true;
  await tell(run, 'switching');
  for (let round = 0; ; round += 1) {
    const outcome =
      run.task === undefined || hostIsOff(run)
        ? undefined
        : await start.switchMove({ ...ofMove(run), task: run.task });
    if (outcome !== undefined) run.switchAsked = outcome.untouched !== true;
    run.said = outcome === undefined || outcome.kind === 'ok' ? run.said : outcome.fault;
    const seen = await readOnce(run);
    // Not answered, and not done: asked again, which changes nothing if it was done meanwhile.
    if (seen.kind === 'IN_PROGRESS' && outcome?.kind !== 'refused' && round < switchRoundsMax) {
      await condition(() => hostIsOff(run), run.pace.settleMs);
      continue;
    }
    // Answered "no" or never sent, and still being copied: it has not happened, and nobody else will make it happen.
    const notDone = outcome?.kind === 'refused' || outcome?.untouched === true;
    const verdict = notDone && seen.kind === 'IN_PROGRESS' ? seen : await readUntilKnown(run);
    if (verdict.kind === 'MOVED') return;
    // What runs and what would start next may still differ: the same order makes them agree.
    if (verdict.kind === 'PARTIAL' && round < 2) continue;
    run.pastPivot = false;
    const said = outcome === undefined || outcome.kind === 'ok' ? undefined : outcome.fault;
    throw new NotMade((verdict.kind === 'IN_PROGRESS' ? said : undefined) ?? whyNot(run, verdict));
  }
}

/** The record follows what was read; then the guest goes on. */
export async function recordStep(run: Run): Promise<void> {
  show(run, 'recording');
  if (run.verdict?.kind !== 'MOVED') throw new Error(`recorded after ${run.verdict?.kind ?? 'no reading'}`);
  await look.recordMove({ ...ofMove(run), verdict: run.verdict });
  await letGo(run);
}

/** The old places last: tried until they are gone, or a person says that they stay. A host that failed is not kept waiting for it. */
export async function cleanStep(run: Run): Promise<void> {
  await tell(run, 'cleaning');
  const all = run.verdict?.kind === 'MOVED' ? run.verdict.leftovers : [];
  const stays = all.filter((l) => l.stays !== undefined);
  for (const why of new Set(stays.map((l) => l.stays ?? '')))
    await leave(
      run,
      stays.filter((l) => l.stays === why),
      why,
    );
  const leftovers = all.filter((l) => l.stays === undefined);
  if (leftovers.length === 0) return;
  for (let round = 0; !hostHasFailed(run); round += 1) {
    const outcome = await settle.removeAfterMove({ ...ofMove(run), leftovers });
    if (outcome.kind === 'ok') return;
    await condition(() => hostHasFailed(run), run.pace.settleMs);
    if (round < 2 || hostHasFailed(run)) continue;
    const again = async (): Promise<boolean> =>
      (await settle.removeAfterMove({ ...ofMove(run), leftovers })).kind === 'ok';
    if ((await waitForPerson(run, outcome.fault, again)) === 'give-up')
      return leave(run, leftovers, 'a person decided that it stays');
  }
  await leave(run, leftovers, 'its host has failed, and the VM comes first');
}
