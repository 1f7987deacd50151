/** What the front door answers when it cannot do as asked: a kind that callers map to exit codes or HTTP, a sentence and the way out. */
import { isGrpcServiceError, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { DriverFault } from '../domain/faults';

/** `usage`: asked wrongly. `refused`: asked rightly, not allowed now. `unreachable`: Temporal or the inventory does not answer. */
export type RefusalKind = 'usage' | 'refused' | 'unreachable';

export class Refusal extends Error {
  override readonly name = 'Refusal';
  constructor(
    readonly kind: RefusalKind,
    /** Stable, for programs: an upper-case code, a fault's where there is one. */
    readonly code: string,
    sentence: string,
    readonly next?: string,
    options: { cause?: unknown } = {},
  ) {
    super(sentence, options);
  }
}

/** gRPC status codes by which a server that is not there, or not in time, shows itself. */
const notThere: readonly number[] = [4 /* DEADLINE_EXCEEDED */, 14 /* UNAVAILABLE */];

/** Whether the error says that nobody answered, so that nothing is known of what was asked. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof DriverFault) return error.fault.code === 'INVENTORY_UNREACHABLE';
  if (error instanceof Refusal) return error.kind === 'unreachable';
  if (isGrpcServiceError(error)) return notThere.includes(error.code);
  if (error instanceof Error && error.cause !== undefined) return isUnanswered(error.cause);
  return false;
}

export function temporalUnreachable(address: string, cause: unknown): Refusal {
  return new Refusal(
    'unreachable',
    'TEMPORAL_UNREACHABLE',
    `Temporal does not answer on ${address}`,
    'start VMedic (vmedic up), or name another server by TEMPORAL_ADDRESS',
    { cause },
  );
}

export const isGone = (error: unknown): boolean => error instanceof WorkflowNotFoundError;

/** The sentence with which a workflow refused an update; undefined when it was not a refusal. */
export function updateRefusal(error: unknown): string | undefined {
  if (!(error instanceof WorkflowUpdateFailedError)) return undefined;
  return error.cause instanceof ApplicationFailure || error.cause instanceof Error
    ? error.cause.message
    : error.message;
}
