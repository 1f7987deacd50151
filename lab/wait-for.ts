import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/**
 * Looks until `look` gives something other than undefined or false, and answers that.
 *
 * @throws when `timeoutMs` have passed: "waited N s for WHAT", with what `onTimeout` adds.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  onTimeout: () => string = () => '',
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() >= deadline) {
      const more = onTimeout();
      throw new Error(`waited ${timeoutMs / 1000} s for ${what} in vain${more && `: ${more}`}`);
    }
    await delay(POLL_MS);
  }
}
