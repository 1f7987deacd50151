/** Runs as the server records them: who holds an ID, or held it last, and for which incident. */
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { InventoryPort } from '../activities/ports';
import type { IncidentId } from '../domain/ids';
import type { IncidentRecord } from '../domain/records';
import type { RunMemo } from '../workflows/inputs';
import type { RunRef, StartAnswer } from './answers';
import { isGone } from './errors';

/** The run that holds, or held last, the ID; undefined when none ever did. Strongly consistent. */
export async function lastRun(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

export const memoOf = (run: WorkflowExecutionDescription): RunMemo | undefined =>
  typeof run.memo?.['incidentId'] === 'string' ? (run.memo as unknown as RunMemo) : undefined;

export const refOf = <Id extends IncidentId | undefined>(
  run: WorkflowExecutionDescription,
  id: Id,
): Omit<RunRef, 'incidentId'> & { incidentId: Id } => ({
  incidentId: id,
  workflowId: run.workflowId,
  runId: run.runId,
  type: run.type,
});

interface Door {
  readonly client: Client;
  readonly inventory: Pick<InventoryPort, 'incident'>;
}

/** What the work that holds the ID says of itself. */
export async function busyAnswer(door: Door, run: WorkflowExecutionDescription): Promise<StartAnswer> {
  const memo = memoOf(run);
  const incident = memo === undefined ? undefined : await door.inventory.incident(memo.incidentId);
  const summary = incident?.summary ?? (await run.staticSummary()) ?? run.type;
  return {
    answer: 'busy',
    ...refOf(run, memo?.incidentId),
    summary,
    since: run.startTime.toISOString(),
  };
}

/** The same for an incident that is open under another ID. */
export async function busyWith(door: Door, incident: IncidentRecord): Promise<StartAnswer> {
  const run = await lastRun(door.client, incident.workflowId);
  if (run !== undefined) return busyAnswer(door, run);
  return {
    answer: 'busy',
    incidentId: incident.incidentId,
    workflowId: incident.workflowId,
    runId: undefined,
    type: 'unknown',
    summary: incident.summary,
    since: incident.openedAt,
  };
}
