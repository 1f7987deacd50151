/** A host that was fenced and is back takes VMs again, once nothing on it can start a VM that lives elsewhere by now. An incident of its own. */
import {
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { incidentId as incidentIdOf, type IncidentId } from '../domain/ids';
import type { Trigger } from '../domain/records';
import { look } from './activity-options';
import { shielded } from './cancellation';
import {
  failureTypes,
  type ReadmitHostInput,
  type ReadmitHostResult,
  type RecoverHostInput,
  type RunMemo,
} from './inputs';
import * as messages from './messages';
import { everythingAnswered } from './note-said';
import type { recoverHost } from './recover-host';
import { showPhase, subject } from './search-attributes';

export async function readmitHost(input: ReadmitHostInput): Promise<ReadmitHostResult> {
  const { hostId, incidentId } = input;
  setHandler(
    messages.addTriggerUpdate,
    async (trigger) => {
      await look.addTrigger({ incidentId, trigger });
      return `attached to ${incidentId}`;
    },
    { description: 'One more request for the same', validator: messages.mustSayWhy },
  );
  if (input.mode === 'rehearse') return rehearse(input);
  const run: Run = {
    input,
    scope: new CancellationScope({ cancellable: true }),
    failed: undefined,
    over: false,
  };
  listenForFailure(run);
  await shielded(() => look.openHostIncident({ ...input, workflowId: workflowInfo().workflowId }));
  try {
    const done = await run.scope.run(() => look.readmitHost({ hostId, incidentId, mode: 'act' }));
    if (run.failed !== undefined) return await failedAgain(run, run.failed);
    run.over = true;
    if (done.kind === 'clean') {
      await shielded(() => close(input, 'recovered', `${hostId} takes VMs again`, undefined));
      await everythingAnswered();
      return { kind: 'readmitted', hostId, did: done.did, would: [] };
    }
    const { sentence, next } = done.fault;
    await shielded(() => close(input, 'aborted', sentence, next));
    await everythingAnswered();
    throw ApplicationFailure.create({
      type: failureTypes.readmissionRefused,
      message: `${sentence} Next: ${next}`,
      nonRetryable: true,
      details: [done.fault],
    });
  } catch (error) {
    if (isCancellation(error) && run.failed !== undefined) return failedAgain(run, run.failed);
    // Cancelled in Temporal: a host that is not clean stays out, and the incident must not stay open.
    if (isCancellation(error))
      await shielded(() => close(input, 'aborted', 'stopped by a cancellation in Temporal', undefined));
    throw error;
  }
}

interface Run {
  readonly input: ReadmitHostInput;
  readonly scope: CancellationScope;
  failed: { readonly trigger: Trigger; readonly needsApproval: boolean } | undefined;
  /** What became of the host is known and is being written down. */
  over: boolean;
}

const nextIncident = ({ hostId, epoch }: ReadmitHostInput): IncidentId =>
  incidentIdOf({ kind: 'host', hostId }, epoch + 1);

function listenForFailure(run: Run): void {
  setHandler(
    messages.hostFailedAgainUpdate,
    async ({ needsApproval, ...trigger }: messages.FailedAgain) => {
      const { hostId } = run.input;
      // A report of the failure before may come late: a host that answers is readmitted as it was asked.
      const { verdict } = await look.lookAtHost({ hostId, withPower: false });
      if (verdict.verdict === 'alive') throw notNow(`${hostId} answers (${verdict.why})`);
      if (run.over) throw notNow('its readmission is over by now');
      run.failed ??= { trigger, needsApproval };
      run.scope.cancel();
      return nextIncident(run.input);
    },
    {
      description: 'The host has failed again: recover it',
      validator: (trigger: messages.FailedAgain) => {
        messages.mustSayWhy(trigger);
        if (run.over) throw new Error('its readmission is over by now');
      },
    },
  );
}

const notNow = (why: string): ApplicationFailure =>
  ApplicationFailure.create({ type: 'NotNow', message: why, nonRetryable: true });

/** A new incident under the same ID: no third party can take the host in between. */
async function failedAgain(run: Run, { trigger, needsApproval }: NonNullable<Run['failed']>): Promise<never> {
  const { input } = run;
  const { hostId, clusterId, epoch } = input;
  const next = nextIncident(input);
  run.over = true;
  const sentence = `${hostId} has failed again while it was readmitted: it goes on as ${next}`;
  await shielded(() => close(input, 'aborted', sentence, undefined));
  await everythingAnswered();
  const order: RecoverHostInput = {
    ...{ hostId, clusterId, incidentId: next, epoch: epoch + 1, mode: 'act', trigger },
    ...(needsApproval && { needsApproval: true as const }),
  };
  const memo: RunMemo = { incidentId: next, requestedBy: trigger.by, reason: trigger.reason };
  return makeContinueAsNewFunc<typeof recoverHost>({
    workflowType: 'recoverHost',
    memo: { ...memo },
    typedSearchAttributes: subject({ incidentId: next, hostId }),
  })(order);
}

async function rehearse({ hostId, incidentId }: ReadmitHostInput): Promise<ReadmitHostResult> {
  const said = await look.readmitHost({ hostId, incidentId, mode: 'rehearse' });
  const would = said.kind === 'clean' ? said.did : [`would be refused: ${said.fault.sentence}`];
  setCurrentDetails(would.map((w) => `- ${w}`).join('\n'));
  return { kind: 'rehearsed', hostId, did: [], would };
}

async function close(
  { hostId, incidentId }: ReadmitHostInput,
  outcome: 'recovered' | 'aborted',
  sentence: string,
  nextCommand: string | undefined,
): Promise<void> {
  const phase = outcome === 'recovered' ? 'readmitted' : 'aborted';
  setCurrentDetails(`**${hostId}**: ${sentence}`);
  showPhase(phase);
  await look.closeIncident({
    ...{ incidentId, outcome, phase, sentence, nextCommand },
    facts: {},
    clearAlerts: outcome === 'recovered' ? [`excluded:${hostId}`] : [],
  });
}
