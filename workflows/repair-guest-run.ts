/** What a run of `repairGuest` remembers, and how a step of it is done. */
import { condition, setCurrentDetails, workflowInfo } from '@temporalio/workflow';
import type { RepairReady, RepairStep } from '../activities/guest-repair';
import type { Fault } from '../domain/faults';
import { look } from './activity-options';
import { stoppable, throwIfCancelled } from './cancellation';
import type * as messages from './messages';
import type { Attempt } from './restart-vm-ending';
import { type Run, show } from './restart-vm-run';
import { ProvenNotDone } from './saga';

export interface Repair {
  readonly run: Run;
  readonly ready: Extract<RepairReady, { kind: 'ready' }>;
  readonly patienceMs: number | undefined;
  /** From the moment at which something may have been written to the disks. */
  written: boolean;
  /** They are as they were before. */
  back: boolean;
  /** What its start came to, after the repair or after the way back. */
  started: Attempt | undefined;
  /** Who stopped it, once the way back has begun: from then on an abort is of the start alone. */
  aborted: messages.Said | undefined;
  /** Why it goes back, and why the way back itself came to nothing: a saga keeps only the last of several. */
  cause: unknown;
  /** Until the way back, or the start: its host failing then ends what is done there. */
  acting: boolean;
  undoFault: Fault | undefined;
}

/** The attempt's name is the run's, kept when an operator resets it: what was kept before is known again. */
export const attemptName = (): string =>
  `r${workflowInfo().originalExecutionRunId.replaceAll('-', '').slice(0, 12)}`;

export const stepOf = ({ run, ready }: Repair): RepairStep => ({
  vmId: run.input.vmId,
  incidentId: run.input.incidentId,
  attempt: attemptName(),
  on: ready.on,
});

/** Proven while this ran: nothing can be done on it any more. */
export const isOff = ({ run, ready }: Repair): boolean => run.evidence.some((e) => e.hostId === ready.on);

/** What a step throws to end the repair without it having helped: the saga goes back. */
export class DidNotHelp extends ProvenNotDone {
  constructor(readonly fault: Fault) {
    super(fault.sentence);
  }
}

/** One step that can be aborted, told before it begins. */
export async function step<Answer>(
  repair: Repair,
  words: string,
  act: (input: RepairStep & { patienceMs?: number }) => Promise<Answer>,
): Promise<Answer> {
  const { run, patienceMs } = repair;
  return stoppable(run.scope, async () => {
    await condition(() => !run.held);
    await tell(repair, words);
    throwIfCancelled();
    const answer = await act({ ...stepOf(repair), ...(patienceMs !== undefined && { patienceMs }) });
    throwIfCancelled();
    return answer;
  });
}

export async function tell({ run }: Repair, words: string): Promise<void> {
  const { incidentId, name, vmId, incidentBeganAt } = run.input;
  show(run, 'repairing');
  setCurrentDetails(`**${name}**: repairing: ${words}`);
  const change = incidentBeganAt === undefined ? { phase: 'repairing', summary: `${name}: ${words}` } : {};
  const key = `repair-${vmId}-${workflowInfo().historyLength}`;
  await look.notePhase({ incidentId, key, change, sentence: `${name}: ${words}` });
}
