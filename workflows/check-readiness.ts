/** Would every VM of a cluster come back now? Devices are asked on their own queue, because a silent one takes its time. */
import { setCurrentDetails } from '@temporalio/workflow';
import type { ReadinessSummary } from '../activities/readiness';
import { power, readiness } from './activity-options';
import type { CheckReadinessInput } from './inputs';

export async function checkReadiness(input: CheckReadinessInput): Promise<ReadinessSummary> {
  const { clusterId, retryLogins } = input;
  setCurrentDetails(`Checking ${clusterId}: fence devices`);
  const devices = await power().readFenceDevices({ clusterId, ...(retryLogins && { retryLogins }) });
  setCurrentDetails(`Checking ${clusterId}: hosts, pools and VMs`);
  const summary = await readiness.assessCluster({ clusterId, devices });
  const { comeBack, wouldNot, findings } = summary;
  setCurrentDetails(
    `**${clusterId}**: ${comeBack} VMs would come back, ${wouldNot} would not; ${findings} findings. \`vmedic readiness\` names them`,
  );
  return summary;
}
