import { ActivityFailure, CancellationScope, CancelledFailure, TimeoutFailure } from '@temporalio/workflow';

/**
 * Throws when this scope was cancelled. An activity that came to its end all the same reports no cancellation, so whoever goes on after it
 * would act on an order that was taken back.
 */
export function throwIfCancelled(): void {
  if (CancellationScope.current().consideredCancelled)
    throw new CancelledFailure('cancelled before the next act');
}

/** For what must be written down whatever was cancelled: the opening and the closing of an incident. */
export const shielded = <T>(block: () => Promise<T>): Promise<T> => CancellationScope.nonCancellable(block);

/**
 * Runs in a scope that others may cancel. The server never tries an activity again that was asked to stop: where its worker dies before it has
 * stopped, all that comes of it is a timeout. That is the stop that was asked for, and no failure of the act.
 */
export async function stoppable<T>(scope: CancellationScope, block: () => Promise<T>): Promise<T> {
  try {
    return await scope.run(block);
  } catch (error) {
    const timedOut = error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;
    if (scope.consideredCancelled && timedOut)
      throw new CancelledFailure('stopped, and its worker died before it said so');
    throw error;
  }
}
