/** Reading failures inside workflows. */
import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure } from '@temporalio/common';
import { type Fault, isFaultCode } from '../domain/faults';
import type { VmResult } from '../domain/recovery-state';
import { failureTypes } from './inputs';

/** The fault that an activity failed with, if it was one. */
export function faultOf(error: unknown): Fault | undefined {
  if (error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) return faultOf(error.cause);
  if (error instanceof ApplicationFailure && isFaultCode(error.type)) return error.details?.[0] as Fault;
  return undefined;
}

/** The VM's result that a `restartVm` child ended with when it did not complete. */
export function vmResultOf(error: unknown): VmResult | undefined {
  if (error instanceof ChildWorkflowFailure) return vmResultOf(error.cause);
  const endings: readonly string[] = Object.values(failureTypes);
  if (error instanceof ApplicationFailure && endings.includes(error.type ?? ''))
    return error.details?.[0] as VmResult;
  return undefined;
}
