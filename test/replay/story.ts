/** What a story is, and how one is followed. */
import type { WorkflowHandle } from '@temporalio/client';
import type { RecoverySystem, SystemOptions } from '../support/recovery-system';

export interface Kept {
  readonly pins: string;
  readonly run: WorkflowHandle;
}

export interface Story {
  readonly options?: SystemOptions;
  readonly tell: (system: RecoverySystem) => Promise<Kept[]>;
}

export const ended = async (run: WorkflowHandle): Promise<void> => {
  await run.result().catch(() => undefined);
};
export const handle = (s: RecoverySystem, id: string): WorkflowHandle => s.client.workflow.getHandle(id);
