/** The way back of a move: stopped, read, and undone only as far as it was read to have gone. */
import { condition } from '@temporalio/workflow';
import { type Fault, fault } from '../domain/faults';
import type { Leftover, MoveVerdict } from '../domain/volume-move';
import { look, start } from './activity-options';
import { GivenUp, readUntilKnown } from './migrate-volume-known';
import { aboutOf, hostHasFailed, hostIsOff, ofMove, type Run, show } from './migrate-volume-run';
import { begin, follow, letGo, NotMade, tell, watchForStandstill, whyNot } from './migrate-volume-task';

/** Found on the way back: every disk is at its new place after all. Reality decides, so the run goes forward. */
export class MovedAfterAll extends Error {}

/** Asks the work to stop, waits for its end whatever that is, and reads. */
export async function stopAndRead(run: Run): Promise<MoveVerdict['kind']> {
  show(run, 'going-back');
  if (run.before === undefined || !run.ordered) return 'NOT_MOVED';
  await stop(run);
  return (await readUntilKnown(run)).kind;
}

async function stop(run: Run): Promise<void> {
  const until = Date.now() + run.pace.readBackMs;
  await findTask(run, until);
  if (run.task === undefined || hostIsOff(run)) return;
  const { task } = run;
  const why =
    run.aborted?.reason ?? (run.failed === undefined ? 'the way back' : `${run.failed.hostId} has failed`);
  // `by-order` without an order never switches, so it is asked until it has stopped; the other kind ends by itself, one way or the other, once the
  // request was heard.
  let heard = false;
  const standstill = watchForStandstill(run);
  for (let asked = 0; !hostIsOff(run); asked += 1) {
    if (!heard || run.before?.switches === 'by-order') {
      const outcome = await look.cancelMove({ ...ofMove(run), task, why });
      heard = outcome.kind === 'ok' || outcome.kind === 'refused';
    }
    const roundMs = Math.min(run.pace.roundMs.first * 2 ** asked, run.pace.roundMs.max);
    const round = look.followMove({ ...ofMove(run), task, roundMs });
    // A host that dies meanwhile answers no more; the news of it ends the wait.
    const state = await Promise.race([round, condition(() => hostIsOff(run)).then(() => undefined)]);
    if (state?.kind === 'forgotten') run.mayStillBegin = true;
    if (state === undefined || state.kind === 'ended' || state.kind === 'forgotten') return;
    if (state.kind === 'silent' && Date.now() >= until) return;
    if (state.kind === 'running') {
      if (run.percent !== state.percent) standstill.news();
      run.percent = state.percent;
      await standstill.check();
    }
    await condition(() => hostIsOff(run), Math.min(roundMs, run.pace.settleMs));
  }
}

/** The worker that sent the order may have died with the answer. */
async function findTask(run: Run, until: number): Promise<void> {
  while (run.task === undefined && !hostIsOff(run)) {
    const found = await look.findMoveTask({ ...ofMove(run), direction: 'there' });
    if (found.kind === 'found') run.task = found.task;
    if (found.kind !== 'silent' || Date.now() >= until) return;
    await condition(() => hostIsOff(run), run.pace.settleMs);
  }
}

/** Where the move stood, read anew; everything goes back to where it was, and only our own copies are removed. */
export async function takeBack(run: Run): Promise<void> {
  if (run.before === undefined || !run.ordered) return;
  if (run.givenUp !== undefined) throw new GivenUp(run.givenUp);
  await tell(run, 'going-back');
  await stop(run);
  let verdict = await readUntilKnown(run);
  for (let round = 0; verdict.kind === 'PARTIAL'; round += 1) {
    if (round > 0) throw new GivenUpAtPartial(whyNot(run, verdict));
    await moveBack(run);
    verdict = await readUntilKnown(run);
  }
  if (verdict.kind === 'MOVED') throw new MovedAfterAll('every disk is at its new place after all');
  // Whose it is nobody knows now: no file is touched.
  if (verdict.kind === 'VM_MISSING') return;
  await look.recordMove({ ...ofMove(run), verdict });
  await letGo(run);
  await removeCopies(
    run,
    verdict.leftovers.filter((l) => l.what === 'copy'),
  );
  // A disk that went there and back has a new name: the file under its old one is whole and old, and not ours to delete.
  const old = verdict.leftovers.filter((l) => l.what === 'source');
  if (old.length > 0) await leave(run, old, 'it is what the disk was before it went there and back');
}

/** Thrown with its fault as the saga's cause: a way back that ended half way again. */
export class GivenUpAtPartial extends Error {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

async function moveBack(run: Run): Promise<void> {
  try {
    // A person has said "retry" about a way back that came to nothing: it is ordered anew.
    await begin(run, 'back', run.timesBack++);
    await follow(run);
    if (run.before?.switches === 'by-order' && run.task !== undefined)
      await start.switchMove({ ...ofMove(run), task: run.task });
  } catch (error) {
    // Refused or failed: what it came to is read, like everything else.
    if (!(error instanceof NotMade)) throw error;
  }
}

async function removeCopies(run: Run, leftovers: readonly Leftover[]): Promise<void> {
  if (leftovers.length === 0) return;
  if (hostHasFailed(run) || hostIsOff(run))
    return leave(run, leftovers, 'its host has failed, and the VM comes first');
  for (let round = 0; ; round += 1) {
    const outcome = await look.removeAfterMove({ ...ofMove(run), leftovers });
    if (outcome.kind === 'ok') return;
    await condition(() => hostHasFailed(run), run.pace.settleMs);
    if (round >= 2 || hostHasFailed(run)) return leave(run, leftovers, outcome.fault.sentence);
  }
}

/** A file too many is no loss: it is named, and the run ends. */
export async function leave(run: Run, leftovers: readonly Leftover[], detail: string): Promise<void> {
  const path = leftovers.map((l) => l.path).join(', ');
  const { incidentId, name } = run.input;
  const why = fault('NOT_REMOVED', { path, vm: name, detail });
  const key = `move-leftover:${aboutOf(run.input)}:${incidentId}`;
  await look.alertOfMove({ incidentId, key, severity: 'warning', fault: why });
}
