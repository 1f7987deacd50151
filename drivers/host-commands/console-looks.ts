/**
 * Looks at guests' consoles, many by one command: a storm of restarts waits for every guest of a host at the same time, and a way in and a
 * shell for each look at each of them would take the CPU that the guests boot with.
 *
 * INVARIANT: a look that answers was begun after it was asked for. Who asks while one is under way is served by the next.
 */
import type { HealthMark } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { type ConsoleLook, firstByteOf, lookFrom } from './console';

interface Asker {
  readonly path: string;
  readonly mark: HealthMark;
  readonly settle: (look: ConsoleLook | DriverFault) => void;
}

/** A console may print megabytes, and a child's output is bounded: 64 MiB. */
const togetherMax = 10;

/** Runs `lookScript` with these arguments; gives what it printed, also when it did not come to its end. Throws `DriverFault` otherwise. */
export type RunLooks = (host: HostId, args: readonly string[]) => Promise<string>;

export class ConsoleLooks {
  private readonly waiting = new Map<HostId, Asker[]>();

  constructor(private readonly run: RunLooks) {}

  /** @throws DriverFault `HOST_COMMAND_FAILED`, which says nothing of the guest; also when the caller gives up first. */
  look(host: HostId, path: string, mark: HealthMark, signal: AbortSignal): Promise<ConsoleLook> {
    return new Promise((resolve, reject) => {
      const gaveUp = (): void =>
        reject(
          new DriverFault('HOST_COMMAND_FAILED', { host, detail: 'its caller gave up before it answered' }),
        );
      if (signal.aborted) return gaveUp();
      signal.addEventListener('abort', gaveUp, { once: true });
      const settle = (look: ConsoleLook | DriverFault): void => {
        signal.removeEventListener('abort', gaveUp);
        if (look instanceof DriverFault) reject(look);
        else resolve(look);
      };
      const queue = this.waiting.get(host);
      if (queue !== undefined) {
        queue.push({ path, mark, settle });
        return;
      }
      const own = [{ path, mark, settle }];
      this.waiting.set(host, own);
      void this.drain(host, own);
    });
  }

  private async drain(host: HostId, queue: Asker[]): Promise<void> {
    // After this turn of the event loop: several guests' pauses mostly end together.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) await this.together(host, queue.splice(0, togetherMax));
    this.waiting.delete(host);
  }

  private async together(host: HostId, askers: readonly Asker[]): Promise<void> {
    let lines: string[];
    try {
      const args = askers.flatMap(({ path, mark }) => [path, String(firstByteOf(mark))]);
      // The last piece is what follows the last line's end: nothing, or a line that was cut off.
      lines = (await this.run(host, args)).split('\n').slice(0, -1);
    } catch (error) {
      const why =
        error instanceof DriverFault
          ? error
          : new DriverFault('HOST_COMMAND_FAILED', { host, detail: String(error) }, { cause: error });
      askers.forEach((a) => a.settle(why));
      return;
    }
    askers.forEach(({ path, mark, settle }, n) => {
      const detail = lines[n] === undefined ? `reading ${path} took too long` : `${path} could not be read`;
      settle(lookFrom(lines[n], mark) ?? new DriverFault('HOST_COMMAND_FAILED', { host, detail }));
    });
  }
}
