/**
 * Switches one host off and proves it. exclude [include again] -> cut its storage access, where configured [restore it] -> levels in order: status, off, status (pivot: the first `off`).
 * There is no undo past it: a host that may be off stays out of placement until it is readmitted. It never gives up: when every level
 * failed it waits for a device to answer, for an attestation, or for an abort (only while nothing was sent).
 */
import {
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { LevelInput, LevelResult } from '../activities/fence';
import type { IncidentBrief } from '../activities/incident';
import type { Fault } from '../domain/faults';
import { fault } from '../domain/faults';
import { look, power, wayBack } from './activity-options';
import { faultOf } from './failures';
import { report, sayStillExcluded } from './fence-host-report';
import { shielded, throwIfCancelled } from './cancellation';
import type { FenceHostInput, FenceHostResult } from './inputs';
import * as messages from './messages';
import { everythingAnswered, noteSaid } from './note-said';
import { ProvenNotDone, runSaga, type SagaStep } from './saga';
import { showPhase } from './search-attributes';
import { whichBoot } from './which-boot';

export const fenceHostSteps = ['exclude', 'cut-access', 'switch-off'] as const;
type StepName = (typeof fenceHostSteps)[number];

interface Run {
  readonly input: FenceHostInput;
  /** The workflow ID of the incident that this fence belongs to, or that has joined it; undefined while it is one of its own. */
  incidentRun: string | undefined;
  brief: IncidentBrief;
  offSent: boolean;
  /** Why some of its storage access is not cut yet. */
  notCut: readonly Fault[];
  attempts: number;
  held: boolean;
  retry: boolean;
  aborted: messages.Said | undefined;
  attested: messages.Said | undefined;
  result: FenceHostResult | undefined;
}

export async function fenceHost(input: FenceHostInput): Promise<FenceHostResult> {
  const run: Run = {
    input,
    incidentRun: workflowInfo().parent?.workflowId,
    brief: input.brief as IncidentBrief,
    offSent: false,
    notCut: [],
    attempts: 0,
    held: false,
    retry: false,
    aborted: undefined,
    attested: undefined,
    result: undefined,
  };
  listen(run);
  if (input.mode === 'rehearse') return { kind: 'rehearsed', would: await power().rehearseFence(input) };
  if (input.brief === undefined)
    run.brief = await shielded(() =>
      look.openHostIncident({ ...input, workflowId: workflowInfo().workflowId }),
    );
  const steps: SagaStep<StepName>[] = [
    {
      name: 'exclude',
      act: async () => {
        await look.excludeFromPlacement(input);
        throwIfCancelled();
      },
      undo: () => wayBack.includeInPlacement(input),
    },
    {
      name: 'cut-access',
      act: async () => {
        await cutAccess(run);
        throwIfCancelled();
      },
      undo: async () => {
        if (cutsAccess(run)) await wayBack.restoreStorageAccess(input);
      },
    },
    {
      name: 'switch-off',
      act: async () => {
        run.result = await untilOff(run);
        if (run.result.kind !== 'fenced') throw new ProvenNotDone(run.result.kind);
      },
      undo: 'pivot',
    },
  ];
  const outcome = await runSaga(steps, shielded);
  const { result } = run;
  if (result !== undefined) {
    if (outcome.kind === 'stuck') await shielded(() => sayStillExcluded(run.input, outcome.cause));
    if (run.incidentRun === undefined) await shielded(() => report(run.input, run.brief, result));
    await everythingAnswered();
    return result;
  }
  if (outcome.kind === 'completed') throw new Error('a completed fence without a result');
  // Cancelled in Temporal before anything was sent: the host takes VMs again, and the incident must not stay open.
  const by = 'a cancellation in Temporal';
  if (isCancellation(outcome.cause) && run.incidentRun === undefined)
    await shielded(() =>
      report(run.input, run.brief, { kind: 'aborted', by, why: `stopped by ${by}: no reason given` }),
    );
  throw outcome.cause;
}

function listen(run: Run): void {
  const note = async (what: string, said: messages.Said): Promise<void> => {
    await condition(() => (run.brief as IncidentBrief | undefined) !== undefined);
    await noteSaid(run.input.incidentId, what, said);
  };
  const obey = ({ order, by, reason }: messages.FenceOrder): void => {
    if (order === 'join') run.incidentRun = by;
    else if (order === 'attest') run.attested = { by, reason };
    else if (order === 'abort') run.aborted = { by, reason };
    else run.held = order === 'hold';
    run.retry ||= order === 'resume';
  };
  const mustBeUnderWay = (said: messages.Said): void => {
    messages.mustSayWhy(said);
    if (run.result !== undefined) throw new Error(`this fence is over (${run.result.kind})`);
  };
  setHandler(messages.fenceOrderSignal, obey);
  setHandler(
    messages.attestFencedUpdate,
    (said) => {
      obey({ ...said, order: 'attest' });
      return messages.attestationNoted(run.input.hostId);
    },
    {
      description: 'I have seen to it that this host is off',
      validator: (said: messages.Said) => {
        mustBeUnderWay(said);
      },
    },
  );
  setHandler(
    messages.abortUpdate,
    async (said) => {
      obey({ ...said, order: 'abort' });
      await note('aborts', said);
      return 'it stops before the next "off" is sent; was one sent already, the host stays excluded until it is readmitted';
    },
    {
      description: 'Stop while no "off" has been sent',
      validator: (said: messages.Said) => {
        mustBeUnderWay(said);
        if (run.offSent)
          throw new Error('"off" may have been sent already: the host stays excluded until it is readmitted');
      },
    },
  );
  setHandler(
    messages.holdUpdate,
    async (said) => {
      obey({ ...said, order: 'hold' });
      await note('holds', said);
      return 'held before the next act';
    },
    { description: 'Wait before the next act', validator: mustBeUnderWay },
  );
  setHandler(
    messages.resumeUpdate,
    async (said) => {
      obey({ ...said, order: 'resume' });
      await note('resumes', said);
      return 'goes on; devices that refused the login are asked again';
    },
    { description: 'Go on, and try again at once what waits', validator: mustBeUnderWay },
  );
}

const cutsAccess = ({ brief }: Run): boolean => (brief.cutsAccess ?? []).length > 0;

/** Nothing of it keeps the host from being fenced: what is not cut is tried again before the levels are. */
async function cutAccess(run: Run): Promise<void> {
  if (!cutsAccess(run)) return;
  await condition(() => !run.held || wantsOut(run));
  if (wantsOut(run)) return;
  const { hostId, incidentId, evenIf } = run.input;
  show(run, 'its access to storage is being cut');
  run.notCut = (await look.cutStorageAccess({ hostId, incidentId, evenIf })).faults;
}

async function untilOff(run: Run): Promise<FenceHostResult> {
  const { first, max } = run.brief.policy.fenceRetryMs;
  for (let wait: number = first; ; wait = Math.min(wait * 2, max)) {
    await condition(() => !run.held || wantsOut(run));
    const decided = await decision(run);
    if (decided !== undefined) return decided;
    // Its attestation was not taken: whoever said hold has not said go on.
    if (run.held) continue;
    if (run.notCut.length > 0 && run.attempts > 0) await cutAccess(run);
    const faults = await allLevels(run);
    if (!Array.isArray(faults)) return faults;
    run.attempts += 1;
    await blocked(run, faults);
    await condition(() => run.retry || wantsOut(run), wait);
    if (run.retry) await look.retryRefusedDevices(run.input);
    run.retry = false;
  }
}

const wantsOut = (run: Run): boolean =>
  run.attested !== undefined || (run.aborted !== undefined && !run.offSent);

async function decision(run: Run): Promise<FenceHostResult | undefined> {
  const { hostId, incidentId } = run.input;
  if (run.attested !== undefined) {
    const attested = await look.attest({ hostId, incidentId, ...run.attested });
    if (attested.kind === 'taken') return { kind: 'fenced', evidence: attested.evidence };
    run.attested = undefined;
    show(run, attested.fault.sentence);
  }
  if (run.aborted !== undefined && !run.offSent)
    return { kind: 'aborted', by: run.aborted.by, why: run.aborted.reason };
  return undefined;
}

/** Tries the levels in order; returns the faults of all of them when none proved the host off. */
async function allLevels(run: Run): Promise<FenceHostResult | Fault[]> {
  const { hostId, incidentId, evenIf } = run.input;
  const faults: Fault[] = [];
  if (run.brief.fenceLevels.length === 0)
    faults.push(
      fault('FENCE_DEVICE_SILENT', {
        host: hostId,
        device: '(none)',
        detail: 'no fence device is configured',
      }),
    );
  for (const level of run.brief.fenceLevels) {
    await condition(() => !run.held || wantsOut(run));
    if (wantsOut(run)) break;
    show(run, `switching off by ${level.name} (attempt ${run.attempts + 1})`);
    if (run.attempts > 0 || faults.length > 0) await tellIncident(run, 'fencing', level.name, []);
    const result = await tryLevel({ hostId, incidentId, level, evenIf });
    if (result.kind === 'off') return { kind: 'fenced', evidence: result.evidence };
    if (result.kind === 'degraded') return { kind: 'degraded', why: result.why };
    if (result.kind === 'alive-again') {
      const boot = await whichBoot(hostId, run.brief, result.bootId);
      if (boot !== 'not-known') return { kind: 'alive-again', boot, bootId: result.bootId, why: result.why };
      const detail = 'it answered a moment ago, and its list of VMs cannot be read';
      return [fault('HYPERVISOR_UNREACHABLE', { host: hostId, detail })];
    }
    run.offSent ||= result.offSent;
    faults.push(...result.faults);
  }
  return faults;
}

/** A level whose activity failed for good may have sent its `off`: its outcome is unknown, and the other levels are still there. */
async function tryLevel(input: LevelInput): Promise<LevelResult> {
  try {
    return await power().fenceLevel(input);
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined) throw error;
    return { kind: 'failed', faults: [known], offSent: true };
  }
}

async function blocked(run: Run, faults: readonly Fault[]): Promise<void> {
  const { hostId, incidentId } = run.input;
  const sentence = `${hostId} is not proven off. ${faults.map((f) => f.sentence).join(' ')}`;
  show(run, sentence);
  const nextCommand = `vmedic incident attest-fenced ${incidentId} --reason "..."`;
  if (run.attempts === 1) {
    showPhase('blocked-unfenced');
    await look.notePhase({
      incidentId,
      key: 'blocked-unfenced',
      change: { phase: 'blocked-unfenced', summary: sentence, nextCommand },
      sentence,
      facts: { faults },
      alert: { key: `unfenced:${hostId}`, severity: 'critical', sentence, nextCommand },
    });
  }
  await tellIncident(run, 'blocked-unfenced', '', faults);
}

async function tellIncident(
  run: Run,
  phase: messages.FenceProgress['phase'],
  level: string,
  faults: readonly Fault[],
): Promise<void> {
  if (run.incidentRun === undefined) return;
  try {
    const progress = { phase, level, attempts: run.attempts, faults };
    await getExternalWorkflowHandle(run.incidentRun).signal(messages.fenceProgressSignal, progress);
  } catch (error) {
    // An incident that is gone needs no news; the fence itself must come to its end.
    if (isCancellation(error)) throw error;
  }
}

function show(run: Run, sentence: string): void {
  setCurrentDetails(`**${run.input.hostId}**: ${sentence}`);
}
