/** What a run of `recoverHost` remembers, hears and shows. */
import {
  ApplicationFailure,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { IncidentBrief } from '../activities/incident';
import { workflowIds } from '../domain/ids';
import { limits } from '../domain/limits';
import {
  canHappen,
  isClosed,
  type RecoveryEvent,
  type RecoveryState,
  transition,
  type VmResult,
} from '../domain/recovery-state';
import { look } from './activity-options';
import type { RecoverHostInput, RestartVmResult } from './inputs';
import * as messages from './messages';
import { noteSaid } from './note-said';
import { showPhase } from './search-attributes';

export interface Run {
  readonly input: RecoverHostInput;
  state: RecoveryState;
  brief: IncidentBrief;
  held: boolean;
  readonly said: { approve?: messages.Said; abort?: messages.Said };
  /** A person said `resume`: whatever waits tries again at once. */
  goOn: boolean;
  bootId: string | undefined;
  /** A person has said that it may be fenced although its kernel answers. */
  evenIfDegraded: boolean;
  /** Mode `approve`: a person has said yes to acting on this host. */
  allowed: boolean;
  /** It was proven off, or has rebooted: its VMs are down until they are started again. Undefined while nobody knows. */
  vmsAreDown: boolean | undefined;
  /** While a fence is under way: started by this run, or by a person. `hears` from the moment at which it can be told something. */
  fence?: { readonly runs: 'own' | 'joined'; hears: boolean };
  /** What a person was last asked for. */
  waitedFor?: string;
  readonly done: (VmResult | RestartVmResult)[];
  readonly stuck: Map<string, VmResult>;
  sentence?: string;
  nextCommand?: string | undefined;
}

/** Moves the state by the one transition function and shows it. */
export function move(run: Run, event: RecoveryEvent): void {
  run.state = transition(run.state, event);
  run.nextCommand = undefined;
  show(run, sentenceOf(run.state));
}

function sentenceOf(state: RecoveryState): string {
  if ('why' in state) return state.why;
  switch (state.phase) {
    case 'fencing':
      return `switching it off by ${state.level}`;
    case 'blocked-unfenced':
      return `not proven off after ${state.attempts} attempts: ${state.faults.map((f) => f.sentence).join(' ')}`;
    case 'fenced':
      return `it is off (${state.evidence.method})`;
    case 'releasing':
      return 'releasing its locks';
    case 'blocked-locks':
      return state.faults.map((f) => f.sentence).join(' ');
    case 'restarting':
      return `${state.vms.filter((v) => v.phase === 'running').length} VMs run again so far`;
    default:
      return `${state.vms.filter((v) => v.phase === 'running').length} of ${state.vms.length} VMs run again`;
  }
}

/** The incident now waits for a person: stored, alerted once, searchable in Temporal. */
export async function waitFor(run: Run, why: string, nextCommand: string): Promise<void> {
  const { incidentId, hostId } = run.input;
  run.nextCommand = nextCommand;
  show(run, why);
  showPhase(run.state.phase);
  const sentence = `${run.state.phase}: ${why}`;
  // The same cause again is told once; another one is told anew, or its alert would still be the old one's.
  const clearAlert =
    run.waitedFor === undefined || run.waitedFor === sentence ? undefined : `waiting:${hostId}`;
  run.waitedFor = sentence;
  await look.notePhase({
    incidentId,
    key: `waits-${run.state.phase}`,
    change: { phase: run.state.phase, summary: why, nextCommand },
    sentence,
    ...(clearAlert === undefined ? {} : { clearAlert }),
    alert: { key: `waiting:${hostId}`, severity: 'critical', sentence: `${hostId}: ${why}`, nextCommand },
  });
}

/** What is said before the incident's row is there must wait for it, else it has nowhere to go. */
const opened = (run: Run): Promise<void> =>
  condition(() => (run.brief as IncidentBrief | undefined) !== undefined);

/** All handlers, set before the first await. */
export function listen(run: Run): void {
  setHandler(messages.recoveryStatusQuery, () => statusOf(run));
  setHandler(messages.fenceProgressSignal, (progress) => {
    if (progress.phase === 'fencing' && canHappen(run.state.phase, 'fence-begun'))
      move(run, { event: 'fence-begun', level: progress.level });
    if (progress.phase === 'blocked-unfenced' && canHappen(run.state.phase, 'fence-failed'))
      move(run, { event: 'fence-failed', faults: progress.faults, attempts: progress.attempts });
    if (progress.phase === 'blocked-unfenced')
      run.nextCommand = `vmedic incident attest-fenced ${run.input.incidentId} --reason "..."`;
  });
  setHandler(messages.vmStuckSignal, (vm) => {
    run.stuck.set(vm.vmId, vm);
  });
  setHandler(
    messages.addTriggerUpdate,
    async (trigger) => {
      await opened(run);
      await look.addTrigger({ incidentId: run.input.incidentId, trigger });
      return `attached to ${run.input.incidentId}`;
    },
    { description: 'One more report of the same failure', validator: messages.mustSayWhy },
  );
  listenToPeople(run);
}

function listenToPeople(run: Run): void {
  const note = async (what: string, said: messages.Said): Promise<void> => {
    await opened(run);
    await noteSaid(run.input.incidentId, what, said);
  };
  const mustBeOpen = (said: messages.Said): void => {
    messages.mustSayWhy(said);
    if (isClosed(run.state.phase)) throw new Error(`the incident is over (${run.state.phase})`);
  };
  const inFence = (): boolean => run.state.phase === 'fencing' || run.state.phase === 'blocked-unfenced';
  // Said while the fence is being started, it waits for it; the fence is over by the time it comes, what this run itself heard counts alone.
  const toFence = async (order: messages.FenceOrder['order'], said: messages.Said): Promise<boolean> => {
    await condition(() => run.fence === undefined || run.fence.hears);
    return run.fence !== undefined && tellFence(run, { ...said, order });
  };
  setHandler(
    messages.attestFencedUpdate,
    async (said) => {
      if (!inFence()) return renewProof(run, said);
      if (await toFence('attest', said)) return messages.attestationNoted(run.input.hostId);
      throw notNow(`no fence is under way to take it (phase "${run.state.phase}")`);
    },
    {
      description: 'I have seen to it that this host is off',
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (!inFence() && proofOf(run) === undefined)
          throw new Error(`nothing to attest in phase "${run.state.phase}"`);
      },
    },
  );
  setHandler(
    messages.approveFencingUpdate,
    async (said) => {
      run.said.approve = said;
      await note('approves fencing', said);
      return 'approved';
    },
    {
      description:
        'Fence although more hosts are in trouble than allowed, or although the host is only degraded',
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (run.state.phase !== 'held')
          throw new Error(`nothing waits for approval in phase "${run.state.phase}"`);
      },
    },
  );
  setHandler(
    messages.abortUpdate,
    async (said) => {
      run.said.abort = said;
      await toFence('abort', said);
      await note('aborts', said);
      return 'stops before the next act; what may have happened already is brought to a known state first';
    },
    {
      description: 'Stop the incident',
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (!canHappen(run.state.phase, 'aborted'))
          throw new Error(`no way back in phase "${run.state.phase}": VMs may have been started; use hold`);
      },
    },
  );
  setHandler(
    messages.holdUpdate,
    async (said) => {
      run.held = true;
      await toFence('hold', said);
      await note('holds', said);
      return 'held before the next act; what is under way comes to its end';
    },
    { description: 'Wait before the next act', validator: mustBeOpen },
  );
  setHandler(
    messages.resumeUpdate,
    async (said) => {
      run.held = false;
      run.goOn = true;
      await toFence('resume', said);
      await note('resumes', said);
      return 'goes on';
    },
    { description: 'Go on, and try again at once what waits', validator: mustBeOpen },
  );
}

/** The proof on which this incident goes on. */
const proofOf = (run: Run) => ('evidence' in run.state ? run.state.evidence : undefined);

const notNow = (why: string): ApplicationFailure =>
  ApplicationFailure.create({ type: 'NotNow', message: why, nonRetryable: true });

/** Past the fence a proof may have aged and its device fallen silent: a person's word, with the host asked once more, takes its place. */
async function renewProof(run: Run, said: messages.Said): Promise<string> {
  const { hostId, incidentId } = run.input;
  const attested = await look.attest({ hostId, incidentId, by: said.by, reason: said.reason, renews: true });
  if (attested.kind === 'contradicted') throw notNow(attested.fault.sentence);
  run.goOn = true;
  return `taken as proof that ${hostId} is off, which it did not contradict`;
}

/** False when the fence is over: it has said all it has to say. */
export async function tellFence(run: Run, order: messages.FenceOrder): Promise<boolean> {
  const fence = getExternalWorkflowHandle(workflowIds.fence(run.input.hostId));
  try {
    await fence.signal(messages.fenceOrderSignal, order);
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    return false;
  }
}

export function statusOf(run: Run): messages.RecoveryStatus {
  return {
    incidentId: run.input.incidentId,
    hostId: run.input.hostId,
    phase: run.state.phase,
    sentence: run.sentence ?? '',
    nextCommand: isClosed(run.state.phase) ? undefined : run.nextCommand,
    held: run.held,
    vms: 'vms' in run.state ? run.state.vms : [],
  };
}

/** The page that Temporal's UI shows for the run: phase, why, next command, VMs. */
export function show(run: Run, sentence: string): void {
  run.sentence = sentence;
  const vms = 'vms' in run.state ? run.state.vms : [];
  const rows = vms
    .slice(0, limits.detailLinesMax)
    .map((v) => `| ${v.name} | ${v.phase} | ${v.target ?? '-'} |`);
  const more = vms.length > rows.length ? [`| and ${vms.length - rows.length} more | | |`] : [];
  const lines = [
    `**${run.input.hostId}**: **${run.state.phase}**${run.held ? ' (held by a person)' : ''} ${sentence}`,
    ...(run.nextCommand === undefined ? [] : [`Next: \`${run.nextCommand}\``]),
    ...(rows.length === 0 ? [] : ['', '| VM | phase | host |', '|---|---|---|', ...rows, ...more]),
  ];
  setCurrentDetails(lines.join('\n'));
}
