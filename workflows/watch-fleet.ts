/** Watches one cluster for as long as it exists: one long heartbeating activity, so that a quiet fleet costs no history. */
import { setCurrentDetails, setWorkflowOptions, workflowInfo } from '@temporalio/workflow';
import type { ClusterId } from '../domain/ids';
import { watch } from './activity-options';

export interface WatchFleetInput {
  readonly clusterId: ClusterId;
  readonly everyMs: number;
}

// Without an end it would keep the version that it began on for ever. Workers without versions may not speak of them.
setWorkflowOptions(
  () =>
    workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'AUTO_UPGRADE' } : {},
  watchFleet,
);
export async function watchFleet(input: WatchFleetInput): Promise<void> {
  setCurrentDetails(`Watching ${input.clusterId}, a look every ${input.everyMs} ms`);
  await watch.watchCluster(input);
}
