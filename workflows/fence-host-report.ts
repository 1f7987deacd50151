/** What a fence says at its end, when there is no incident that says it: who is off, who was not fenced, and which VMs are down with it. */
import type { IncidentBrief } from '../activities/incident';
import { look } from './activity-options';
import { faultOf } from './failures';
import type { FenceHostInput, FenceHostResult } from './inputs';
import { downAlert, leftDownSentence } from './left-down';
import { showPhase } from './search-attributes';

/** A way back that failed is said: nobody else would notice a host that is well and takes no VMs. A readmission then makes up for it. */
export async function sayStillExcluded(input: FenceHostInput, cause: unknown): Promise<void> {
  const { hostId, incidentId } = input;
  const why = faultOf(cause)?.sentence ?? String(cause);
  const sentence = `${hostId} was not fenced, and could not be put back into placement: ${why}`;
  const nextCommand = `vmedic host readmit ${hostId} --reason "..."`;
  await look.quarantineHost({ hostId });
  const alert = { key: `excluded:${hostId}`, severity: 'critical', sentence, nextCommand } as const;
  await look.notePhase({ incidentId, key: 'still-excluded', change: {}, sentence, alert });
}

/** A fence ordered by a person on its own is an incident of its own: closed when the host is off. */
export async function report(
  input: FenceHostInput,
  brief: IncidentBrief,
  result: FenceHostResult,
): Promise<void> {
  const { hostId, incidentId } = input;
  const fenced = result.kind === 'fenced';
  const down = fenced ? downOf(input, brief) : undefined;
  const sentence = fenced
    ? `${hostId} is off (${result.evidence.method})${down?.sentence ?? ''}`
    : `${hostId} was not fenced: ${'why' in result ? result.why : result.kind}`;
  showPhase(fenced ? 'fenced' : 'dismissed');
  await look.closeIncident({
    incidentId,
    outcome: fenced ? 'recovered' : result.kind === 'aborted' ? 'aborted' : 'dismissed',
    phase: fenced ? 'fenced' : 'dismissed',
    sentence,
    nextCommand: down?.nextCommand,
    facts: { result },
    ...(down === undefined ? {} : { alert: alertOf(input, sentence, down.nextCommand) }),
    clearAlerts: [`unfenced:${hostId}`],
  });
}

const downOf = (input: FenceHostInput, brief: IncidentBrief) =>
  leftDownSentence(
    input.hostId,
    brief.roster.map((v) => v.name),
    'down',
  );

const alertOf = (input: FenceHostInput, sentence: string, nextCommand: string) =>
  ({ key: downAlert(input.hostId), severity: 'critical', sentence, nextCommand }) as const;
