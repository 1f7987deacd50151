/** Frees a dead host's locks on its VMs' images. One activity: each of its steps reads before it acts, so repeating it is harmless. */
import { setCurrentDetails } from '@temporalio/workflow';
import { release } from './activity-options';
import type { ReleaseLocksInput, ReleaseLocksResult } from './inputs';

export const releaseLocksSteps = ['release'] as const;

export async function releaseLocks(input: ReleaseLocksInput): Promise<ReleaseLocksResult> {
  setCurrentDetails(`**${input.hostId}**: releasing the locks on the disks of ${input.vmIds.length} VMs`);
  const result = await release.releaseHostLocks(input);
  setCurrentDetails(
    result.kind === 'free'
      ? `**${input.hostId}**: ${result.sentences.join('; ') || 'nothing was locked'}`
      : `**${input.hostId}** blocked: ${result.faults.map((f) => f.sentence).join(' ')}`,
  );
  return result;
}
