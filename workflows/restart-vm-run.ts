/** What a run of `restartVm` remembers, hears and shows. */
import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { StartBasis } from '../activities/restart-vm';
import type { FenceEvidence } from '../domain/evidence';
import { type Fault, withNextStep } from '../domain/faults';
import { type HostId, workflowIds } from '../domain/ids';
import type { VmPhase, VmResult } from '../domain/recovery-state';
import type { RestartVmInput } from './inputs';
import * as messages from './messages';
import { noteSaid } from './note-said';

export interface Run {
  readonly input: RestartVmInput;
  phase: VmPhase;
  target: HostId | undefined;
  fault: Fault | undefined;
  pastPivot: boolean;
  held: boolean;
  /** Its incident is in the inventory: what is said can be written down. */
  opened: boolean;
  waiting: boolean;
  aborted: messages.Said | undefined;
  approved: messages.Said | undefined;
  /** The workflow ID of the incident to tell: the one that started this run, or that has joined it since. */
  incidentRun: string | undefined;
  resolution: (messages.Said & { readonly resolution: messages.StuckResolution }) | undefined;
  readonly evidence: FenceEvidence[];
  /** Where a start of this run was ordered: each has to account for itself before the next one. */
  readonly tried: HostId[];
  /** Starts ordered by this run so far. */
  orders: number;
  afterRetry: boolean;
  readonly beganAt: string;
  /** What an abort cancels. */
  scope: CancellationScope;
}

export const newRun = (input: RestartVmInput): Run => ({
  input,
  phase: 'reserving',
  target: input.target,
  fault: undefined,
  pastPivot: false,
  held: false,
  opened: input.incidentBeganAt !== undefined,
  waiting: false,
  aborted: undefined,
  approved: undefined,
  incidentRun: input.incidentRun ?? workflowInfo().parent?.workflowId,
  resolution: undefined,
  evidence: input.failed === undefined ? [] : [input.failed.evidence],
  afterRetry: false,
  tried: [],
  orders: 0,
  beganAt: input.incidentBeganAt ?? workflowInfo().startTime.toISOString(),
  scope: new CancellationScope({ cancellable: true }),
});

export function listen(run: Run): void {
  const { input } = run;
  const note = async (what: string, said: messages.Said): Promise<void> => {
    await condition(() => run.opened);
    await noteSaid(input.incidentId, `${what} ${input.name}`, said);
  };
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
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (run.pastPivot)
          throw new Error(`${input.name} may have been started already: there is no way back`);
      },
    },
  );
  setHandler(
    messages.resolveStuckUpdate,
    (said) => {
      run.resolution = said;
      return said.resolution === 'retry'
        ? 'everything is read again'
        : 'the run ends; nothing more is touched';
    },
    {
      description: 'Decide about a VM that waits for a person: retry, or give up',
      validator: (said: messages.Said) => {
        if (!run.waiting)
          throw new Error(`${input.name} does not wait for a decision now (it is ${run.phase})`);
        messages.mustSayWhy(said);
      },
    },
  );
  setHandler(
    messages.approveFencingUpdate,
    async (said) => {
      run.approved = said;
      await note('approves', said);
      return 'approved';
    },
    {
      description: "Start it: its cluster acts only after a person's yes",
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (input.needsApproval !== true || run.approved !== undefined || run.phase !== 'waiting')
          throw new Error(`nothing waits for approval (${input.name} is ${run.phase})`);
      },
    },
  );
  setHandler(
    messages.holdUpdate,
    async (said) => {
      run.held = true;
      await note('holds', said);
      return 'held before the next act';
    },
    { description: 'Wait before the next act', validator: messages.mustSayWhy },
  );
  setHandler(
    messages.resumeUpdate,
    async (said) => {
      run.held = false;
      await note('resumes', said);
      return 'goes on';
    },
    { description: 'Go on', validator: messages.mustSayWhy },
  );
}

export function show(run: Run, phase: VmPhase): void {
  run.phase = phase;
  setCurrentDetails(`**${run.input.name}**: ${sentenceOf(run)}`);
}

export function sentenceOf(run: Run): string {
  const where = run.target === undefined ? '' : ` on ${run.target}`;
  const why = run.fault === undefined ? '' : `: ${withNextStep(run.fault)}`;
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

export const basisOf = (run: Run): StartBasis => ({
  vmId: run.input.vmId,
  incidentId: run.input.incidentId,
  incidentBeganAt: run.beganAt,
  evidence: run.evidence,
  afterRetry: run.afterRetry,
  tried: run.tried,
});

/** Tells the incident that this VM waits for a person. */
export async function tellIncident(run: Run, why: Fault): Promise<void> {
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
