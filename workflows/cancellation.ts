import { CancellationScope, CancelledFailure } from '@temporalio/workflow';

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
