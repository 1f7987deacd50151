import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Fleet } from '../domain/fleet';
import { workflowIds } from '../domain/ids';
import { defaultTaskQueue } from '../workflows/inputs';

/** A VM made and lost between two looks is never known; a look costs one call per host. */
const everyMs = 2_000;

/** Sees to it that every cluster is watched. Idempotent: a watch that runs already is left alone. */
export async function ensureWatches(
  client: Client,
  fleet: Fleet,
  taskQueue: string = defaultTaskQueue,
): Promise<void> {
  for (const { id } of fleet.clusters) {
    try {
      await client.workflow.start('watchFleet', {
        workflowId: workflowIds.watch(id),
        taskQueue,
        args: [{ clusterId: id, everyMs }],
        workflowIdConflictPolicy: 'FAIL',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE',
        staticSummary: `Watch cluster ${id}`,
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
}
