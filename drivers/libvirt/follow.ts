/**
 * Lifecycle events of one host by a `virsh event` child, one after another. Its lines come within 10 ms, and nothing that happens between two
 * children is ever told again: so an end is a hint as well, and what the events say is not even read.
 */
import type { ChildGateway } from '../child-processes/gateway';
import { keepalive } from './virsh';

export interface FollowedHost {
  readonly gateway: ChildGateway;
  /** The virsh program. */
  readonly program: string;
  readonly uri: string;
}

/** Each child is ended after so long and followed by another: one that hears nothing any more, and has not noticed, must not stay. */
const childMs = 600_000;
/** Longer than ssh tries to connect: a child that lived on had been connected, and its end means that something became of its host. */
const connectedMs = 5_000;
const restartMs = { first: 1_000, max: 30_000 } as const;

/** Read-only: it can never act. */
const listening = ['-q', '-r', ...keepalive];

/** Until the signal is aborted. Never throws. */
export async function followEvents(
  { gateway, program, uri }: FollowedHost,
  heard: () => void,
  signal: AbortSignal,
): Promise<void> {
  const args = [...listening, '-c', uri, 'event --event lifecycle --loop --timestamp'];
  let waitMs: number = restartMs.first;
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    const begunMs = performance.now();
    const printed = (_text: string, to: 'out' | 'err'): void => (to === 'out' ? heard() : undefined);
    const end = await gateway.follow({ command: program, args, deadlineMs: childMs }, printed, signal);
    if (isOver()) return;
    const wasConnected = end.ended === 'deadline' || performance.now() - begunMs >= connectedMs;
    if (wasConnected) {
      waitMs = restartMs.first;
      heard();
    }
    if (end.ended === 'deadline') continue;
    await rest(waitMs * (1 - Math.random() / 2), signal);
    waitMs = Math.min(waitMs * 2, restartMs.max);
  }
}

/** Keeps no process alive. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal.addEventListener('abort', done, { once: true });
  });
}
