/** Until it is known where a VM's disks are; and what a person is asked when it cannot be known. */
import { condition, getExternalWorkflowHandle, isCancellation, workflowInfo } from '@temporalio/workflow';
import { type Fault, fault } from '../domain/faults';
import { workflowIds } from '../domain/ids';
import { type MoveVerdict, verdictSentence } from '../domain/volume-move';
import { look, prepare } from './activity-options';
import * as messages from './messages';
import { knownOf, ofMove, type Run, show, stuckAlert } from './migrate-volume-run';
import { showPhase } from './search-attributes';

/** A verdict on which something may rest. */
export type Known = Extract<MoveVerdict, { kind: 'MOVED' | 'NOT_MOVED' | 'PARTIAL' | 'VM_MISSING' }>;

/** A person ended the waiting without the matter being known. */
export class GivenUp extends Error {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

/** While a person is waited for, the world is looked at again: first soon, then ever more seldom. */
const lookAgainMs = { first: 5_000, max: 600_000 } as const;

/**
 * Reads until it is known. While something may be under way, or a read fails, nothing is concluded; after the deadline a person is told, and the
 * reading goes on. An order that may still begin needs two readings that agree.
 */
export async function readUntilKnown(run: Run): Promise<Known> {
  const begunAt = Date.now();
  let last: Known | undefined;
  for (let wait = Math.min(500, run.pace.settleMs); ; wait = Math.min(wait * 2, run.pace.settleMs)) {
    const verdict = await readOnce(run);
    const known = knownFrom(verdict);
    if (known !== undefined && isCertain(run, known, last)) return known;
    if (known === undefined && Date.now() - begunAt >= patienceMs(run, verdict))
      return stuckUntilKnown(run, verdict);
    const proofs = run.evidence.length;
    await condition(() => run.evidence.length > proofs, known === undefined ? wait : run.pace.settleMs);
    last = known;
  }
}

/** What is seen to be under way may take its time; what cannot be seen may not. */
const patienceMs = (run: Run, verdict: MoveVerdict): number =>
  run.pace.readBackMs * (verdict.kind === 'IN_PROGRESS' ? 6 : 1);

export async function readOnce(run: Run): Promise<MoveVerdict> {
  // Of a dead host's disks it may compare two places whole.
  const verdict = await prepare.readMove({ ...ofMove(run), known: knownOf(run) });
  run.verdict = verdict;
  // A host that came back is asked again, and what was proven of it before counts for nothing.
  run.evidence = run.evidence.filter((e) => verdict.lapsed?.includes(e.id) !== true);
  return verdict;
}

function knownFrom(verdict: MoveVerdict): Known | undefined {
  const known = verdict.kind === 'MOVED' || verdict.kind === 'NOT_MOVED' || verdict.kind === 'PARTIAL';
  return known || verdict.kind === 'VM_MISSING' ? verdict : undefined;
}

/** A VM that is gone is looked for twice as well: between two hosts it is on neither for a moment. */
function isCertain(run: Run, known: Known, last: Known | undefined): boolean {
  if (last?.kind === known.kind || known.kind === 'MOVED') return true;
  return !run.mayStillBegin && known.kind !== 'VM_MISSING';
}

function faultFor(run: Run, verdict: MoveVerdict): Fault {
  const vm = run.input.name;
  const detail = verdictSentence(verdict);
  if (verdict.kind === 'UNKNOWN')
    return verdict.fault.class === 'transient' ? fault('MOVE_NOT_KNOWN', { vm, detail }) : verdict.fault;
  if (verdict.kind === 'IN_PROGRESS') return fault('MOVE_STILL_RUNNING', { vm, detail: verdict.detail });
  if (verdict.kind === 'DISK_MISSING') return fault('DISK_FILE_MISSING', { vm, detail });
  return fault('MOVE_PARTIAL', { vm, detail });
}

async function stuckUntilKnown(run: Run, verdict: MoveVerdict): Promise<Known> {
  let known: Known | undefined;
  const why = faultFor(run, verdict);
  const end = await waitForPerson(run, why, async () => {
    known = knownFrom(await readOnce(run));
    return known !== undefined;
  });
  if (end === 'give-up') {
    run.givenUp = why;
    throw new GivenUp(why);
  }
  return known ?? readUntilKnown(run);
}

/** `stuck`: visible, alerted, told to the incident that waits for this VM. It keeps looking by itself; a person, or a new proof, ends it too. */
export async function waitForPerson(
  run: Run,
  why: Fault,
  seenAgain: () => Promise<boolean>,
): Promise<messages.StuckResolution | 'seen-again'> {
  const { vmId, incidentId, name } = run.input;
  const phase = run.phase;
  const news = (): string => `${run.evidence.length}/${run.failed?.incidentId ?? ''}`;
  const before = news();
  run.resolution = undefined;
  run.waiting = true;
  run.fault = why;
  show(run, 'stuck');
  showPhase('stuck');
  const which = vmId === undefined ? '' : ` --vm ${vmId}`;
  const nextCommand = `vmedic incident resolve ${incidentId}${which} --retry --reason "..."`;
  const sentence = `${name}: ${why.sentence}`;
  await look.notePhase({
    ...{ incidentId, key: `stuck-${workflowInfo().historyLength}`, sentence: `stuck: ${sentence}` },
    change: { phase: 'stuck', summary: why.sentence, nextCommand },
    alert: { key: stuckAlert(run.input), severity: 'critical', sentence, nextCommand },
  });
  await tellIncident(run, why);
  let end: messages.StuckResolution | 'seen-again' | undefined;
  for (let wait: number = lookAgainMs.first; end === undefined; wait = Math.min(wait * 2, lookAgainMs.max)) {
    await condition(() => run.resolution !== undefined || news() !== before, wait);
    end =
      decisionOf(run)?.resolution ?? ((await seenAgain()) || news() !== before ? 'seen-again' : undefined);
  }
  run.waiting = false;
  run.fault = undefined;
  const said = decisionOf(run);
  const by = said === undefined ? 'more is known now' : `${said.by} decides: ${end} (${said.reason})`;
  await look.notePhase({
    ...{ incidentId, key: `unstuck-${workflowInfo().historyLength}`, sentence: `${name}: ${by}` },
    change: { phase, summary: by, nextCommand: undefined },
    clearAlert: stuckAlert(run.input),
  });
  show(run, phase);
  return end;
}

/** Set by an update while others wait. */
const decisionOf = (run: Run): Run['resolution'] => run.resolution;

/** The incident of a host that failed waits for this VM; it must not wait for a person without knowing it. */
async function tellIncident(run: Run, why: Fault): Promise<void> {
  const { vmId, name } = run.input;
  if (run.failed === undefined || vmId === undefined) return;
  const finishedAt = new Date().toISOString();
  const result = { vmId, name, target: undefined, phase: 'stuck', fault: why, finishedAt } as const;
  try {
    await getExternalWorkflowHandle(workflowIds.host(run.failed.hostId)).signal(
      messages.vmStuckSignal,
      result,
    );
  } catch (error) {
    // The incident may have ended long ago; the alert and this run stay.
    if (isCancellation(error)) throw error;
  }
}
