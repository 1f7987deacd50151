/** Loops that are one piece of work together: none of them may go on alone when another has failed. */
import { setMaxListeners } from 'node:events';

/** Every call has a deadline of seconds of its own. What has outlived this hangs, and must not keep the work from being begun anew. */
const endingMsMax = 60_000;

/**
 * Runs them until all have ended. When one throws, `over` is aborted, so that each other one ends once it has finished what it is doing, and
 * then that first error is thrown: whoever begins the work anew finds nothing of it still going on.
 *
 * @param patienceMs From the first error, at most.
 */
export async function sideBySide(
  loops: readonly ((over: AbortSignal) => Promise<void>)[],
  patienceMs = endingMsMax,
): Promise<void> {
  const ending = new AbortController();
  // Each loop listens while it waits: many are no leak.
  setMaxListeners(0, ending.signal);
  const errors: unknown[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    ending.signal.addEventListener('abort', () => (timer = setTimeout(resolve, patienceMs)), { once: true });
  });
  const all = loops.map(async (loop) => {
    try {
      await loop(ending.signal);
    } catch (error) {
      errors.push(error);
      ending.abort();
    }
  });
  await Promise.race([Promise.all(all), late]);
  clearTimeout(timer);
  if (errors.length > 0) throw errors[0];
}
