/** The order of a move and its task: sent once, followed to its end, and believed in nothing. */
import { condition } from '@temporalio/workflow';
import type { MoveDirection } from '../activities/ports';
import { type Fault, fault } from '../domain/faults';
import { type MoveVerdict, verdictSentence } from '../domain/volume-move';
import { look, prepare, start } from './activity-options';
import { throwIfCancelled } from './cancellation';
import { GivenUp, waitForPerson } from './migrate-volume-known';
import { hostIsOff, ofMove, type Run, sentenceOf, show, standstillAlert } from './migrate-volume-run';
import { ProvenNotDone } from './saga';

/** What a step throws to end the move without it having been made: the saga goes back. */
export class NotMade extends ProvenNotDone {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

/** Shown, and written down for those who follow: one line per phase, and a summary that tells how far it is. */
export async function tell(run: Run, phase: Run['phase']): Promise<void> {
  show(run, phase);
  const { incidentId, name } = run.input;
  const summary = `${name}: ${sentenceOf(run)}`;
  await look.notePhase({ incidentId, key: `phase-${phase}`, change: { phase, summary }, sentence: summary });
}

/** Sends the order, once. Whether it was taken is known afterwards, or it is read. `again`: as often as it was ordered before. */
export async function begin(run: Run, direction: MoveDirection, again = 0): Promise<void> {
  run.ordered = true;
  const said = await start.submitMove({ ...ofMove(run), direction, ...(again > 0 && { again }) });
  run.task = said.kind === 'accepted' ? said.task : undefined;
  run.mayStillBegin = said.kind === 'unknown';
  run.said = said.kind === 'accepted' ? undefined : said.fault;
  if (said.kind === 'refused' || said.kind === 'unreachable') throw new NotMade(said.fault);
}

/** Until the task is over, waits for the order, or is not known to anybody. */
export async function follow(run: Run): Promise<void> {
  let roundMs = run.pace.roundMs.first;
  let heardAt = Date.now();
  const standstill = watchForStandstill(run);
  while (run.task !== undefined) {
    const state = await prepare.followMove({ ...ofMove(run), task: run.task, roundMs });
    throwIfCancelled();
    if (state.kind === 'silent') {
      run.said = state.fault;
      if (Date.now() - heardAt >= run.pace.readBackMs) return unanswered(run, state.fault);
      await condition(() => false, run.pace.settleMs);
      continue;
    }
    heardAt = Date.now();
    if (state.kind === 'ready') return;
    if (state.kind === 'ended') {
      run.said =
        state.fault ??
        fault('MOVE_NOT_DONE', { vm: run.input.name, detail: `its task ended as "${state.says}"` });
      if (run.before?.switches === 'by-order') throw new NotMade(run.said);
      return;
    }
    if (state.kind === 'forgotten') {
      const detail = 'nobody knows its task any more';
      return unanswered(run, fault('MOVE_NOT_DONE', { vm: run.input.name, detail }));
    }
    if (run.percent !== state.percent) {
      run.percent = state.percent;
      standstill.news();
      await tell(run, run.phase);
    }
    await standstill.check();
    roundMs = Math.min(roundMs * 2, run.pace.roundMs.max);
  }
}

/** A task without news for long is followed on, because nothing may be undone under it; but people are told, once. */
export function watchForStandstill(run: Run): { news(): void; check(): Promise<void> } {
  let newsAt = Date.now();
  let told = false;
  return {
    news: () => (newsAt = Date.now()),
    async check() {
      const silentMs = Date.now() - newsAt;
      if (told || silentMs < run.pace.standStillMs) return;
      told = true;
      const { incidentId, name } = run.input;
      const detail = `its task runs, and has told nothing new for ${Math.round(silentMs / 60_000)} minutes`;
      await look.alertOfMove({
        ...{ incidentId, key: standstillAlert(run.input), severity: 'warning' },
        fault: fault('MOVE_STILL_RUNNING', { vm: name, detail }),
      });
    },
  };
}

/** The task's state is not to be had. A copy that waits for an order never switches, so it can be given up; the other kind has to be read. */
function unanswered(run: Run, why: Fault): void {
  if (run.before?.switches === 'by-order') throw new NotMade(why);
  run.mayStillBegin = true;
}

export function whyNot(run: Run, verdict: MoveVerdict): Fault {
  const vm = run.input.name;
  if (verdict.kind === 'VM_MISSING')
    return fault('VM_NOT_IN_INVENTORY', { vm, detail: verdictSentence(verdict) });
  const said = run.said?.code === 'MOVE_NOT_DONE' ? run.said.facts['detail'] : run.said?.sentence;
  const detail = `${said === undefined ? '' : `${said}; `}${verdictSentence(verdict)}`;
  return fault(verdict.kind === 'PARTIAL' ? 'MOVE_PARTIAL' : 'MOVE_NOT_DONE', { vm, detail });
}

export async function letGo(run: Run): Promise<void> {
  // A guest that we have not made stand still is not ours to wake.
  if (!run.switchAsked || run.before?.switches !== 'by-order' || !run.before.running) return;
  for (let round = 0; !hostIsOff(run); round += 1) {
    const outcome = await look.letGoAfterMove(ofMove(run));
    if (outcome.kind === 'ok') return;
    await condition(() => hostIsOff(run), run.pace.settleMs);
    if (round < 3 || hostIsOff(run)) continue;
    const end = await waitForPerson(
      run,
      outcome.fault,
      async () => (await look.letGoAfterMove(ofMove(run))).kind === 'ok',
    );
    if (end === 'give-up') throw new GivenUp(outcome.fault);
  }
}
