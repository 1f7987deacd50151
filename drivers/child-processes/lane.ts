/** One host's share of calls: so many at once, so many waiting, and not for long. Keeps a hung host from piling up work. */
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { manyMayListen } from './signals';

export interface LaneLimits {
  readonly atOnce: number;
  readonly queueMax: number;
  /** A call that waited longer than this was not sent. */
  readonly waitMsMax: number;
}

export class Lane {
  private running = 0;
  private readonly queue: (() => void)[] = [];

  constructor(
    private readonly host: HostId,
    private readonly bounds: LaneLimits,
  ) {}

  /** Throws `HYPERVISOR_BUSY` when full, when it waited too long, and when it was aborted while it waited: it was not sent. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.enter(signal);
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  private enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(this.busy(signal.reason));
    if (this.running < this.bounds.atOnce) {
      this.running += 1;
      return Promise.resolve();
    }
    if (this.queue.length >= this.bounds.queueMax) return Promise.reject(this.busy());
    manyMayListen(signal);
    return new Promise((resolve, reject) => {
      const granted = (): void => {
        stopWaiting();
        resolve();
      };
      const given = (why: DriverFault): void => {
        stopWaiting();
        reject(why);
      };
      const aborted = (): void => given(this.busy(signal.reason));
      const timer = setTimeout(() => given(this.busy()), this.bounds.waitMsMax);
      const stopWaiting = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        const at = this.queue.indexOf(granted);
        if (at >= 0) this.queue.splice(at, 1);
      };
      signal.addEventListener('abort', aborted, { once: true });
      this.queue.push(granted);
    });
  }

  private busy(cause?: unknown): DriverFault {
    return new DriverFault('HYPERVISOR_BUSY', { host: this.host }, { cause });
  }

  /** Hands its place to the first who waits, so that `running` never dips and nobody overtakes. */
  private leave(): void {
    const next = this.queue[0];
    if (next === undefined) this.running -= 1;
    else next();
  }
}
