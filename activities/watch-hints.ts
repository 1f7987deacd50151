/**
 * Hints make the next look at a host come sooner, and do nothing else.
 *
 * INVARIANT: with every hint lost a look comes no later than without them, and with any number of them at most one look in each interval is an
 * extra one. What the watch concludes rests on looks alone, and two that must agree are never brought together by a hint (`watch.ts`).
 */
import { pause } from './environment';

/** What happens at once (a guest that stops is told in three events) is seen by one look. */
const settleShare = 1 / 20;

/** The pauses between the looks at one host. */
export class EarlyLooks {
  private hinted = false;
  private waker: AbortController | undefined;
  /** When the last look came early. */
  private earlyMs = Number.NEGATIVE_INFINITY;

  /** @param over Aborted when no look follows any more. */
  constructor(
    private readonly everyMs: number,
    private readonly over: AbortSignal,
  ) {}

  hint(): void {
    this.hinted = true;
    this.waker?.abort();
  }

  /** Waits so long, or less after a hint. A hint during the look before counts as well: it may have come too late for that one. */
  async pause(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    if (!this.hinted) {
      this.waker = new AbortController();
      await pause(ms, this.waker.signal, this.over);
      this.waker = undefined;
    }
    if (!this.hinted) return;
    const nowMs = performance.now();
    const soonMs = Math.max(nowMs + this.everyMs * settleShare, this.earlyMs + this.everyMs);
    if (soonMs < untilMs) this.earlyMs = soonMs;
    await pause(Math.max(0, Math.min(soonMs, untilMs) - nowMs), this.over);
    // The look that follows begins after all that was heard until now.
    this.hinted = false;
  }
}
