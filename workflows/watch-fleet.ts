/** Watches one cluster for as long as it exists: one long heartbeating activity, so that a quiet fleet costs no history. */
import { setCurrentDetails } from '@temporalio/workflow';
import type { ClusterId } from '../domain/ids';
import { watch } from './activity-options';

export interface WatchFleetInput {
  readonly clusterId: ClusterId;
  readonly everyMs: number;
}

export async function watchFleet(input: WatchFleetInput): Promise<void> {
  setCurrentDetails(`Watching ${input.clusterId}, a look every ${input.everyMs} ms`);
  await watch.watchCluster(input);
}
