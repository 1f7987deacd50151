/** How a run of `migrateVolume` ends: as a move made, as one not made, or as the restart of a VM whose host has failed meanwhile. */
import {
  ApplicationFailure,
  allHandlersFinished,
  condition,
  makeContinueAsNewFunc,
  setCurrentDetails,
} from '@temporalio/workflow';
import { type Fault, fault, withNextStep } from '../domain/faults';
import { workflowIds } from '../domain/ids';
import { verdictSentence } from '../domain/volume-move';
import { look, prepare } from './activity-options';
import { failureTypes, type MigrateVolumeResult, type RestartVmInput, type RunMemo } from './inputs';
import { aboutOf, type Run, show, standstillAlert, stuckAlert } from './migrate-volume-run';
import { orderOf } from './migrate-volume-steps';
import type { restartVm } from './restart-vm';
import { showPhase, subject } from './search-attributes';

export type Ended =
  | { readonly kind: 'moved' }
  | { readonly kind: 'not-moved'; readonly fault: Fault }
  | { readonly kind: 'given-up'; readonly fault: Fault };

export async function finish(run: Run, ended: Ended): Promise<MigrateVolumeResult> {
  const result = resultOf(run, ended);
  run.fault = result.fault;
  show(run, result.phase);
  await close(run, result, ended.kind === 'given-up' ? 'stuck' : ended.kind);
  if (result.fault?.code === 'VM_NOT_IN_INVENTORY') await alertMissing(run, result.fault);
  if (run.failed !== undefined && ended.kind !== 'given-up') return continueAsRestart(run);
  if (ended.kind === 'moved') return result;
  throw ApplicationFailure.create({
    type: ended.kind === 'not-moved' ? failureTypes.compensated : failureTypes.stuck,
    message: withNextStep(ended.fault),
    nonRetryable: true,
    details: [result],
  });
}

/** A VM that vanished is everybody's matter: nothing was touched, and the alert names its files. */
async function alertMissing(run: Run, why: Fault): Promise<void> {
  const { incidentId } = run.input;
  const key = `move-missing:${aboutOf(run.input)}:${incidentId}`;
  await look.alertOfMove({ incidentId, key, severity: 'critical', fault: why });
}

function resultOf(run: Run, ended: Ended): MigrateVolumeResult {
  const { vmId, name, disks } = run.input;
  const phase = ended.kind === 'given-up' ? 'stuck' : ended.kind;
  const read = run.verdict === undefined ? '' : `; ${verdictSentence(run.verdict)}`;
  const late = run.aborted === undefined ? '' : ' (the request to stop it came too late)';
  const what = disks.map((d) => `${d.disk} to ${d.to}`).join(', ');
  return {
    ...{ vmId, name, phase },
    disks: run.verdict !== undefined && 'disks' in run.verdict ? run.verdict.disks : [],
    fault: ended.kind === 'moved' ? undefined : ended.fault,
    sentence:
      ended.kind === 'moved' ? `${name}: ${what} moved${late}${read}` : `${name}: ${ended.fault.sentence}`,
    finishedAt: new Date().toISOString(),
    would: [],
  };
}

async function close(
  run: Run,
  result: MigrateVolumeResult,
  outcome: 'moved' | 'not-moved' | 'stuck' | 'aborted',
): Promise<void> {
  showPhase(result.phase);
  const { incidentId } = run.input;
  await look.closeIncident({
    ...{ incidentId, outcome, phase: result.phase, sentence: result.sentence, facts: { result } },
    nextCommand: result.fault?.next,
    clearAlerts: [stuckAlert(run.input), standstillAlert(run.input)],
  });
}

export async function closeCancelled(run: Run): Promise<void> {
  const why = fault('MOVE_STOPPED', {
    by: 'a cancellation in Temporal',
    detail: 'no reason given',
    vm: run.input.name,
  });
  run.fault = why;
  await close(run, resultOf(run, { kind: 'not-moved', fault: why }), 'aborted');
}

/** The incident that failed the host waits for this VM under the same ID: no third party can take it in between. */
async function continueAsRestart(run: Run): Promise<never> {
  const { input, failed } = run;
  const { vmId } = input;
  if (failed === undefined || vmId === undefined) throw new Error('no host of a VM has failed');
  const { name, clusterId, trigger } = input;
  const { hostId, incidentId, at } = failed;
  const evidence = run.evidence.findLast((e) => e.hostId === hostId);
  const order: RestartVmInput = {
    ...{ vmId, name, clusterId, incidentId, trigger, mode: 'act', epoch: 0, incidentBeganAt: at },
    cause: evidence === undefined ? 'host-returned' : 'host-failed',
    failed: evidence === undefined ? undefined : { hostId, evidence },
    target: evidence === undefined ? hostId : undefined,
    incidentRun: workflowIds.host(hostId),
  };
  const memo: RunMemo = { incidentId, requestedBy: trigger.by, reason: trigger.reason };
  // An update that is being answered would fail for its caller at the hop.
  await condition(allHandlersFinished);
  return makeContinueAsNewFunc<typeof restartVm>({
    workflowType: 'restartVm',
    memo: { ...memo },
    typedSearchAttributes: subject({ incidentId, hostId, vmId }),
  })(order);
}

export async function rehearse(run: Run): Promise<MigrateVolumeResult> {
  const { vmId, name } = run.input;
  const said = await prepare.preflightMove({
    order: orderOf(run),
    incidentId: undefined,
    patienceMs: run.pace.preflightMs,
  });
  const would =
    said.kind === 'refused'
      ? said.faults.map((f) => `would refuse: ${withNextStep(f)}`)
      : said.before.disks
          .filter((d) => d.wanted !== undefined)
          .map(
            (d) =>
              `would move ${d.disk} of ${name} (${d.bytes} bytes) from ${d.at.path} to ${d.wanted?.poolId}${said.before.running ? ' while it runs' : ''}, ` +
              `read it back${vmId === undefined ? '' : ', switch the record'}, and remove the old place last`,
          );
  setCurrentDetails(would.map((w) => `- ${w}`).join('\n'));
  return {
    ...{
      vmId,
      name,
      phase: 'rehearsed',
      disks: [],
      fault: said.kind === 'refused' ? said.faults[0] : undefined,
    },
    ...{ sentence: would.join('; '), finishedAt: new Date().toISOString(), would },
  };
}
