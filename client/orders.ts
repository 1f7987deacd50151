/** What a person says to an incident that runs: each is an update, so that the workflow's own yes or no comes back. */
import type { Client } from '@temporalio/client';
import { type VmId, workflowIds } from '../domain/ids';
import type { IncidentRecord } from '../domain/records';
import type { RecoveryStatus, Said, StuckResolution } from '../workflows/messages';
import { isGone, isUnanswered, Refusal, temporalUnreachable, updateRefusal } from './errors';
import { knownIncident } from './known';
import type { InventoryReader } from './starts';

export type Order =
  | { readonly update: 'attestFenced' | 'approveFencing' | 'abort' | 'hold' | 'resume' }
  | { readonly update: 'resolveStuck'; readonly resolution: StuckResolution; readonly vm: VmId | undefined };

/** How long a worker may take to answer a person. */
const answerMs = 10_000;

export interface OrderTarget {
  readonly client: Client;
  readonly inventory: InventoryReader;
  readonly address: string;
}

/**
 * Gives the order to the incident's run and returns what it answered.
 *
 * @throws Refusal `usage` for an unknown incident, `refused` with the run's own sentence, or `unreachable` when nobody answered: then the
 * order may still be taken, and giving it again does no harm.
 */
export async function giveOrder(
  to: OrderTarget,
  incident: string,
  order: Order,
  said: Said,
): Promise<string> {
  const record = await knownIncident(to.inventory, incident);
  // A VM that is stuck waits on, in its own run, after the incident of its host is closed.
  if (record.closedAt !== undefined && order.update !== 'resolveStuck')
    throw new Refusal(
      'refused',
      'INCIDENT_CLOSED',
      `Incident ${record.incidentId} is closed since ${record.closedAt}: ${record.summary}`,
      `vmedic incident show ${record.incidentId}`,
    );
  const workflowId =
    order.update === 'resolveStuck' ? await stuckRun(to, record, order.vm) : record.workflowId;
  const what = order.update === 'resolveStuck' ? { ...said, resolution: order.resolution } : said;
  try {
    return await to.client.withDeadline(Date.now() + answerMs, () =>
      to.client.workflow.getHandle(workflowId).executeUpdate<string, [Said]>(order.update, { args: [what] }),
    );
  } catch (error) {
    throw translated(error, record, workflowId, to.address);
  }
}

/** A stuck VM is decided by its own run, which a host's incident may have several of. */
async function stuckRun(to: OrderTarget, record: IncidentRecord, vm: VmId | undefined): Promise<string> {
  if (vm !== undefined) return workflowIds.vm(vm);
  if (record.target.kind === 'vm') return workflowIds.vm(record.target.vmId);
  if (record.target.kind === 'disk') return record.workflowId;
  let status: RecoveryStatus;
  try {
    status = await to.client.withDeadline(Date.now() + answerMs, () =>
      to.client.workflow.getHandle(record.workflowId).query<RecoveryStatus>('recoveryStatus'),
    );
  } catch (error) {
    throw translated(error, record, record.workflowId, to.address);
  }
  const stuck = status.vms.filter((v) => v.phase === 'stuck');
  const only = stuck[0];
  if (only !== undefined && stuck.length === 1) return workflowIds.vm(only.vmId);
  if (only === undefined)
    throw new Refusal(
      'refused',
      'NOTHING_STUCK',
      `No VM of incident ${record.incidentId} is stuck`,
      `vmedic incident show ${record.incidentId}`,
    );
  const names = stuck.map((v) => v.name).join(', ');
  throw new Refusal('usage', 'SEVERAL_STUCK', `${stuck.length} VMs are stuck: ${names}`, 'name one by --vm');
}

function translated(error: unknown, record: IncidentRecord, workflowId: string, address: string): unknown {
  const show = `vmedic incident show ${record.incidentId}`;
  const refused = updateRefusal(error);
  if (refused !== undefined)
    return new Refusal('refused', 'NOT_NOW', `Not taken: ${refused}`, show, { cause: error });
  if (isGone(error))
    return new Refusal(
      'refused',
      'RUN_OVER',
      `Run ${workflowId} of incident ${record.incidentId} is over`,
      show,
      { cause: error },
    );
  const timedOut = error instanceof Error && error.name === 'WorkflowUpdateRPCTimeoutOrCancelledError';
  if (timedOut)
    return new Refusal(
      'unreachable',
      'NO_WORKER_ANSWERS',
      `No worker answered within ${answerMs / 1000} s; the order may still be taken, and giving it again does no harm`,
      'vmedic status',
      { cause: error },
    );
  return isUnanswered(error) ? temporalUnreachable(address, error) : error;
}
