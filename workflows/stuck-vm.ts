/** A VM that waits for a person, and goes on looking by itself meanwhile. */
import { condition, workflowInfo } from '@temporalio/workflow';
import type { Fault } from '../domain/faults';
import { look } from './activity-options';
import type * as messages from './messages';
import { type Run, show, tellIncident } from './restart-vm-run';
import { showPhase } from './search-attributes';

/** While a person is waited for, the world is looked at again: first soon, then ever more seldom. */
const lookAgainMs = { first: 5_000, max: 600_000 } as const;

/** `stuck`: visible, alerted, told to the incident. It keeps looking by itself: `seenAgain` and any new proof end the wait without a person. */
export async function waitForPerson(
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
    key: `stuck-${vmId}-${workflowInfo().historyLength}`,
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
    if (decided) again = resolutionOf(run) ?? (abortable() ? 'aborted' : 'seen-again');
    else if (await seenAgain()) again = 'seen-again';
  }
  run.waiting = false;
  run.fault = undefined;
  const sentence = `${name}: ${wordsFor(run, again)}`;
  await look.notePhase({
    incidentId,
    key: `unstuck-${vmId}-${workflowInfo().historyLength}`,
    change: {},
    sentence,
    clearAlert: `vm-stuck:${vmId}`,
  });
  return again;
}

const resolutionOf = (run: Run): messages.StuckResolution | undefined => run.resolution?.resolution;

function wordsFor(run: Run, end: StuckEnd): string {
  if (end === 'seen-again') return 'goes on, because more is known now';
  const { by, reason } = (end === 'aborted' ? run.aborted : run.resolution) as messages.Said;
  return `${by} decides: ${end === 'aborted' ? 'abort' : end} (${reason})`;
}

type StuckEnd = messages.StuckResolution | 'seen-again' | 'aborted';
