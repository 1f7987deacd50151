/**
 * Theory of operation. A small process that does nothing but start children. It exists because `spawn()` blocks the event loop in
 * proportion to the memory of the process that calls it (measured: 1.7 ms at 45 MiB, 39 ms at 1 GiB), and a Temporal worker is large.
 *
 * INVARIANTS:
 * - Every child leads a process group of its own; whatever ends the child ends the whole group, so that no ssh is left behind.
 * - A deadline is counted in ticks that this process really lived through. A machine that was suspended, or starved of CPU, does not
 *   wake up to find that every child "did not answer in time".
 * - Only young children count against the bound on children. One that has waited for long waits for its host and costs no CPU here, so
 *   hung hosts never use up the slots of the others. One that stays lives for minutes by intent, and counts for nothing.
 * - When the parent goes, everything goes.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { ChildEnd, ChildRequest, FromGateway, ToGateway } from './protocol';

const tickMs = 50;
/** Starting virsh costs 19 ms of CPU; after this time a child has either answered or waits for somebody else. */
const youngMs = 300;
/** virsh takes 20 MB of memory: with the default of 16 young children this is 1.3 GB at the very worst. */
const allToYoungRatio = 4;
/** Definitions of a thousand VMs are about 6 MiB. */
const outputBytesMax = 64 * 1024 * 1024;
/** A detached grandchild may keep the pipes open after the child has gone. */
const pipesCloseMs = 200;

const youngMax = Number(process.argv[2] ?? '16');

interface Running {
  readonly id: number;
  readonly child: ChildProcess;
  readonly startedMs: number;
  readonly out: Buffer[];
  readonly err: Buffer[];
  bytes: number;
  ageMs: number;
  readonly deadlineMs: number;
  exitCode: number | undefined;
  /** The end of the turn of a child that stays; it is not ticked, because its deadline is no judgement. */
  readonly turn: NodeJS.Timeout | undefined;
}

interface Order {
  readonly id: number;
  readonly request: ChildRequest;
  readonly stays: boolean;
  /** Written to it before it was started. */
  readonly early: string[];
}

const waiting: Order[] = [];
const running = new Map<number, Running>();
let ticker: NodeJS.Timeout | undefined;

/** A parent that dies while it is told something must not end this process before it has ended its children. */
function tell(message: FromGateway): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

const counted = (): Running[] => [...running.values()].filter((r) => r.turn === undefined);

function pump(): void {
  for (;;) {
    const all = counted();
    const young = all.filter((r) => r.ageMs < youngMs).length;
    if (young >= youngMax || all.length >= youngMax * allToYoungRatio) break;
    const next = waiting.shift();
    if (next === undefined) break;
    start(next);
  }
  if (counted().length > 0) ticker ??= setInterval(tick, tickMs);
  else if (ticker !== undefined) {
    clearInterval(ticker);
    ticker = undefined;
  }
}

function tick(): void {
  for (const entry of counted()) {
    entry.ageMs += tickMs;
    if (entry.ageMs >= entry.deadlineMs) cutShort(entry, 'deadline');
  }
  pump();
}

/** Node throws what `execve` and `fork` refuse, but for a few causes that it tells by an event; either way nothing was started. */
function spawned({ id, request }: Order): ChildProcessWithoutNullStreams | undefined {
  try {
    return spawn(request.command, request.args, {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...request.env },
    });
  } catch (error) {
    // Of this one call only: the next may be of another program, or come when there is room again.
    tell({ kind: 'ended', id, end: { ended: 'not-started', why: (error as Error).message } });
    return undefined;
  }
}

function start(order: Order): void {
  const child = spawned(order);
  if (child === undefined) return;
  const { id, request, stays, early } = order;
  const entry: Running = {
    id,
    child,
    startedMs: Date.now(),
    out: [],
    err: [],
    bytes: 0,
    ageMs: 0,
    deadlineMs: request.deadlineMs,
    exitCode: undefined,
    turn: stays ? setTimeout(() => cutShort(entry, 'deadline'), request.deadlineMs) : undefined,
  };
  running.set(id, entry);
  child.once('error', (error) => {
    if (child.pid === undefined) finish(entry, { ended: 'not-started', why: error.message });
  });
  if (child.pid === undefined) return;
  tell({ kind: 'started', id, pid: child.pid });
  const collect = (into: Buffer[]) => (chunk: Buffer) => {
    into.push(chunk);
    entry.bytes += chunk.length;
    if (entry.bytes > outputBytesMax) cutShort(entry, 'output-too-large');
  };
  const telling =
    (to: 'out' | 'err') =>
    (text: string): void =>
      tell({ kind: 'printed', id, to, text });
  if (stays) {
    child.stdout.setEncoding('utf8').on('data', telling('out'));
    child.stderr.on('data', (chunk: Buffer) => telling('err')(chunk.toString('utf8')));
  } else child.stdout.on('data', collect(entry.out));
  child.stderr.on('data', collect(entry.err));
  // A child that ends before it has read its input is no error of ours; its exit code tells.
  child.stdin.on('error', () => undefined);
  if (stays) for (const text of early) child.stdin.write(text);
  else child.stdin.end(request.stdin ?? '');
  child.once('exit', (code, signalName) => {
    entry.exitCode = code ?? (signalName === null ? 255 : 128);
    killGroup(entry);
    finishWhenDrained(entry);
  });
  child.once('close', () => exited(entry));
}

/**
 * What the child printed may still be in its pipes. Normally "close" comes first; when something else holds them open, they count as empty
 * after a pause in which nothing more came. The last look is behind a round of the event loop, so that this process having been starved of
 * CPU is not taken for such a pause.
 */
function finishWhenDrained(entry: Running): void {
  const before = entry.bytes;
  setTimeout(
    () => setImmediate(() => (entry.bytes === before ? exited(entry) : finishWhenDrained(entry))),
    pipesCloseMs,
  );
}

function exited(entry: Running): void {
  finish(entry, {
    ended: 'exit',
    code: entry.exitCode ?? 255,
    ...textOf(entry),
    tookMs: Date.now() - entry.startedMs,
  });
}

const textOf = (entry: Running) => ({
  stdout: Buffer.concat(entry.out).toString('utf8'),
  stderr: Buffer.concat(entry.err).toString('utf8'),
});

function cutShort(entry: Running, ended: 'deadline' | 'cancelled' | 'output-too-large'): void {
  killGroup(entry);
  finish(entry, { ended, ...textOf(entry) });
}

function finish(entry: Running, end: ChildEnd): void {
  if (!running.delete(entry.id)) return;
  clearTimeout(entry.turn);
  tell({ kind: 'ended', id: entry.id, end });
  pump();
}

function killGroup(entry: Running): void {
  if (entry.child.pid === undefined) return;
  try {
    process.kill(-entry.child.pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left: what was wanted is so.
  }
}

function cancel(id: number): void {
  const queued = waiting.findIndex((w) => w.id === id);
  if (queued >= 0) {
    waiting.splice(queued, 1);
    tell({ kind: 'ended', id, end: { ended: 'not-started', why: 'cancelled before it was started' } });
    return;
  }
  const entry = running.get(id);
  if (entry !== undefined) cutShort(entry, 'cancelled');
}

function write(id: number, text: string): void {
  const entry = running.get(id);
  if (entry !== undefined) entry.child.stdin?.write(text);
  else waiting.find((w) => w.id === id)?.early.push(text);
}

process.on('message', (message: ToGateway) => {
  if (message.kind === 'cancel') cancel(message.id);
  else if (message.kind === 'write') write(message.id, message.text);
  else {
    waiting.push({ id: message.id, request: message.request, stays: message.stays === true, early: [] });
    pump();
  }
});

process.once('disconnect', () => process.exit(0));
// However this process comes to its end by itself, an error of its own included.
process.once('exit', () => {
  for (const entry of running.values()) killGroup(entry);
});

// A terminal's Ctrl-C and a service manager's stop reach the whole group; the parent still needs its children to wind down.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
