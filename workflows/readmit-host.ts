/** A host that was fenced and is back takes VMs again, once nothing on it can start a VM that lives elsewhere by now. An incident of its own. */
import {
  ApplicationFailure,
  isCancellation,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { look } from './activity-options';
import { shielded } from './cancellation';
import { failureTypes, type ReadmitHostInput, type ReadmitHostResult } from './inputs';
import * as messages from './messages';
import { everythingAnswered } from './note-said';
import { showPhase } from './search-attributes';

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
  await shielded(() => look.openHostIncident({ ...input, workflowId: workflowInfo().workflowId }));
  try {
    const done = await look.readmitHost({ hostId, incidentId, mode: 'act' });
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
    // Cancelled in Temporal: a host that is not clean stays out, and the incident must not stay open.
    if (isCancellation(error))
      await shielded(() => close(input, 'aborted', 'stopped by a cancellation in Temporal', undefined));
    throw error;
  }
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
    clearAlerts: [],
  });
}
