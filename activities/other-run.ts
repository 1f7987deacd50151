/** Waiting for a run that somebody else started: its ID was taken, so the incident joined it instead. */
import { Context, getClient } from '@temporalio/activity';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';

export const runActivities = () => ({
  /** The result of whatever runs, or ran last, under this ID; of a failed run what its failure carries; undefined when it left none. */
  async awaitRun(input: { workflowId: string }): Promise<unknown> {
    const handle = getClient().workflow.getHandle(input.workflowId);
    try {
      return await Promise.race([handle.result(), Context.current().cancelled]);
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      // Terminated or cancelled, it is over all the same: asked again it would answer so for ever.
      return error.cause instanceof ApplicationFailure ? error.cause.details?.[0] : undefined;
    }
  },
});
