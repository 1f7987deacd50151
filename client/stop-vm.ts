/** Shuts a VM down on a person's word. No incident: what is wanted of it changes, and the audit trail says who wanted that and why. */
import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowFailedError } from '@temporalio/client';
import { armCommand, disarmedBy, disarmedSentence } from '../domain/armed';
import { fault } from '../domain/faults';
import { workflowIds } from '../domain/ids';
import { defaultTaskQueue, type StopVmInput, type StopVmResult } from '../workflows/inputs';
import type { Request } from './answers';
import { isUnanswered, Refusal, temporalUnreachable } from './errors';
import { knownVm } from './known';
import { lastRun } from './runs';
import type { InventoryReader } from './starts';

export interface StopDoor {
  readonly client: Client;
  readonly inventory: InventoryReader;
  readonly address: string;
  readonly taskQueue?: string;
}

export interface Stopping {
  readonly workflowId: string;
  readonly runId: string;
  readonly name: string;
  /** What became of it. */
  result(): Promise<StopVmResult>;
}

/**
 * Asks the guest to shut down; asked again while that is under way, it is the same run.
 *
 * @throws Refusal `refused` while other work holds the VM, or while VMedic is disarmed; `unreachable` when Temporal does not answer.
 */
export async function stopVm(door: StopDoor, vm: string, request: Request): Promise<Stopping> {
  const record = await knownVm(door.inventory, vm);
  const off = disarmedBy(await door.inventory.switches(), record.clusterId);
  if (off !== undefined) {
    const facts = { detail: disarmedSentence(off), command: armCommand(off) };
    const { code, sentence, next } = fault('DISARMED', facts);
    throw new Refusal('refused', code, sentence, next);
  }
  const { vmId, name } = record;
  const workflowId = workflowIds.vm(vmId);
  const input: StopVmInput = { vmId, name, by: request.by, reason: request.reason };
  const stopping = (runId: string): Stopping => ({
    ...{ workflowId, runId, name },
    result: () => resultOf(door, workflowId, runId),
  });
  try {
    const handle = await door.client.workflow.start('stopVm', {
      ...{ workflowId, taskQueue: door.taskQueue ?? defaultTaskQueue, args: [input] },
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: `${name}: shut it down`,
    });
    return stopping(handle.firstExecutionRunId);
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      const holder = await lastRun(door.client, workflowId);
      if (holder?.type === 'stopVm') return stopping(holder.runId);
      throw new Refusal(
        'refused',
        'BUSY',
        `${name} is being worked on by ${holder?.type ?? 'another run'}: ${(await holder?.staticSummary()) ?? workflowId}`,
        `vmedic vm show ${name}`,
      );
    }
    if (isUnanswered(error)) throw temporalUnreachable(door.address, error);
    throw error;
  }
}

async function resultOf(door: StopDoor, workflowId: string, runId: string): Promise<StopVmResult> {
  try {
    return (await door.client.workflow.getHandle(workflowId, runId).result()) as StopVmResult;
  } catch (error) {
    if (error instanceof WorkflowFailedError)
      throw new Refusal(
        'refused',
        'NOT_STOPPED',
        `${workflowId}: ${error.cause?.message ?? error.message}`,
        'vmedic status',
        { cause: error },
      );
    if (isUnanswered(error)) throw temporalUnreachable(door.address, error);
    throw error;
  }
}
