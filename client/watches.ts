import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Fleet } from '../domain/fleet';
import { type ClusterId, workflowIds } from '../domain/ids';
import { defaultTaskQueue } from '../workflows/inputs';
import { lastRun } from './runs';

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

/** A watch is heard of every few seconds, and another worker has taken over a dead one's long before. */
const silentMs = 60_000;

/** The clusters that nobody looks at: their watch has ended, or has not been heard of for a minute. */
export async function clustersUnwatched(client: Client, fleet: Fleet): Promise<ClusterId[]> {
  const watched = await Promise.all(
    fleet.clusters.map(async ({ id }) => {
      const run = await lastRun(client, workflowIds.watch(id));
      if (run?.status.name !== 'RUNNING') return false;
      const heardAt = (run.raw.pendingActivities ?? []).map(
        ({ lastHeartbeatTime }) => Number(lastHeartbeatTime?.seconds ?? 0) * 1000,
      );
      return Date.now() - Math.max(run.startTime.getTime(), ...heardAt) < silentMs;
    }),
  );
  return fleet.clusters.flatMap(({ id }, n) => (watched[n] === true ? [] : [id]));
}
