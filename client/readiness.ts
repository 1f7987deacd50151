/** Asks a worker to check readiness, and reads what it stored: one run per cluster at a time, whoever asks. */
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { InventoryPort } from '../activities/ports';
import { isFaultCode } from '../domain/faults';
import { type ClusterId, workflowIds } from '../domain/ids';
import type { ReadinessReport } from '../domain/readiness';
import { type CheckReadinessInput, defaultTaskQueue } from '../workflows/inputs';
import { isUnanswered, Refusal, temporalUnreachable } from './errors';

export interface ReadinessDoor {
  readonly client: Client;
  readonly inventory: Pick<InventoryPort, 'readiness'>;
  readonly address: string;
  readonly taskQueue?: string;
  /** How long a check may take; a silent IPMI device alone takes 20 s. */
  readonly patienceMs?: number;
  /** Passwords were corrected: devices that refused a login are asked again. A check under way already does not hear of it. */
  readonly retryLogins?: boolean;
}

const defaultPatienceMs = 180_000;

/**
 * Checks a cluster now and returns the report. A check that is under way already is joined.
 *
 * @throws Refusal `unreachable` when Temporal or no worker answers in time; the check goes on, and its report is stored.
 */
export async function checkReadiness(door: ReadinessDoor, cluster: ClusterId): Promise<ReadinessReport> {
  const input: CheckReadinessInput = {
    clusterId: cluster,
    ...(door.retryLogins === true && { retryLogins: true }),
  };
  try {
    await door.client.withDeadline(Date.now() + (door.patienceMs ?? defaultPatienceMs), async () => {
      const handle = await door.client.workflow.start('checkReadiness', {
        workflowId: workflowIds.readiness(cluster),
        taskQueue: door.taskQueue ?? defaultTaskQueue,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `Would every VM of ${cluster} come back?`,
      });
      await handle.result();
    });
  } catch (error) {
    throw translated(error, door.address, cluster);
  }
  const report = await door.inventory.readiness(cluster);
  if (report !== undefined) return report;
  throw new Refusal('unreachable', 'NO_REPORT', `The check of ${cluster} left no report`, 'vmedic status');
}

function translated(error: unknown, address: string, cluster: string): unknown {
  if (error instanceof WorkflowFailedError) {
    const { cause } = error;
    const code = cause instanceof ApplicationFailure && isFaultCode(cause.type) ? cause.type : 'CHECK_FAILED';
    const why = cause?.message ?? error.message;
    return new Refusal('refused', code, `The check of ${cluster} did not end: ${why}`, 'vmedic status', {
      cause: error,
    });
  }
  return isUnanswered(error) ? temporalUnreachable(address, error) : error;
}
