/** A VM that is not to run any more: its guest is asked to shut down, and nothing is forced. The workflow ID `vm:<vmId>` keeps all other work off it. */
import { setCurrentDetails } from '@temporalio/workflow';
import { settle } from './activity-options';
import type { StopVmInput, StopVmResult } from './inputs';

export async function stopVm(input: StopVmInput): Promise<StopVmResult> {
  setCurrentDetails(`**${input.name}**: asked to shut down by ${input.by}: ${input.reason}`);
  const result = await settle.shutDownVm(input);
  setCurrentDetails(`**${input.name}**: ${result.sentence}`);
  return result;
}
