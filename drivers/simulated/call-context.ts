import type { World } from './world';

/** Why a call ended before its answer: the caller went away, or nobody was there to answer. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** One call's view of time. Waiting for an answer ends with the caller; what was sent goes on without it. */
export class CallContext {
  /** Set at the moment from which the act may happen whatever becomes of the caller. */
  sent = false;

  constructor(
    readonly world: World,
    readonly signal: AbortSignal,
  ) {}

  /** Waits as the caller does: ends with it. */
  async wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, ms);
      const { signal } = this;
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Waits as the device does: a caller that went away changes nothing. */
  async work(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => setTimeout(resolve, ms));
  }

  /** Nobody answers: the driver's deadline, then the end. */
  async silence(detail: string): Promise<never> {
    await this.wait(this.world.costs.silenceMs);
    throw new NoAnswer(detail);
  }
}

/** A port as the world serves it: the same methods, with the call's context in the signal's place. */
export type Served<Port> = {
  readonly [K in keyof Port as Port[K] extends (...args: never[]) => unknown ? K : never]: Port[K] extends (
    ...args: [...infer Args, AbortSignal]
  ) => infer Answer
    ? (...args: [...Args, CallContext]) => Answer
    : never;
};
