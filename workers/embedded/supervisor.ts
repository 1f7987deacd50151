/** Keeps one process running: started again when it ends by itself, on the same files and ports, with a pause that grows. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Progress } from './progress';
import type { ServerProcess } from './server-process';

export interface Kept<T extends ServerProcess> {
  /** The process as it runs now, or ran last. */
  readonly current: T;
  /** Ends it for good. Idempotent. */
  stop(): Promise<void>;
}

export interface KeepOptions<T> {
  readonly name: string;
  readonly start: () => Promise<T>;
  readonly progress: Progress;
  readonly onRestart: (process: T) => void;
}

/** A process that lived this long was well: its end is new, and the pause begins small again. */
const wellAfterMs = 30_000;
const pauseMs = { first: 100, max: 10_000 } as const;

/** Starts it, and returns when it runs for the first time. @throws what the first start throws; later ones are tried again. */
export async function keepRunning<T extends ServerProcess>(options: KeepOptions<T>): Promise<Kept<T>> {
  const stopping = new AbortController();
  const kept = { current: await options.start() };
  const tended = tend(options, kept, stopping.signal);
  return {
    get current() {
      return kept.current;
    },
    async stop() {
      stopping.abort();
      await tended;
      await kept.current.stop();
    },
  };
}

async function tend<T extends ServerProcess>(
  { name, start, progress, onRestart }: KeepOptions<T>,
  kept: { current: T },
  stopping: AbortSignal,
): Promise<void> {
  const stopped = new Promise<'stopping'>((resolve) =>
    stopping.addEventListener('abort', () => resolve('stopping'), { once: true }),
  );
  let pause: number = pauseMs.first;
  while (!stopping.aborted) {
    const startedMs = Date.now();
    const end = await Promise.race([kept.current.exited, stopped]);
    if (end === 'stopping') return;
    if (Date.now() - startedMs > wellAfterMs) pause = pauseMs.first;
    progress(`${name} ended (${end.signal ?? `code ${String(end.code)}`}); starting it again`);
    for (;;) {
      if ((await Promise.race([delay(pause), stopped])) === 'stopping') return;
      pause = Math.min(pause * 2, pauseMs.max);
      try {
        kept.current = await start();
        onRestart(kept.current);
        progress(`${name} runs again (process ${kept.current.pid})`);
        break;
      } catch (error) {
        progress(`${name} could not be started: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}
