/**
 * A server that runs as a process of its own beside VMedic and outlives it if need be.
 *
 * INVARIANTS:
 * - one record file per server names its process by id *and* start time, because ids are used again;
 * - a server whose supervisor still lives is never touched: two supervisors on one state folder are refused;
 * - a server left behind by a dead supervisor is stopped before a new one opens the same files.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Progress } from './progress';

/** A process that cannot be confused with a later one of the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
}

interface ServerRecord {
  readonly server: ProcessIdentity;
  readonly supervisor: ProcessIdentity;
}

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerProcess {
  readonly pid: number;
  /** Settles when the process is gone, for whatever reason. Never rejects. */
  readonly exited: Promise<ServerExit>;
  /** Ends it politely, then by force; done when it is gone. Idempotent. */
  stop(): Promise<void>;
}

export interface ServerLaunch {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly recordFile: string;
  readonly logFile: string;
  /** How this server is asked to end at once but cleanly: SIGTERM means "when all clients left" to PostgreSQL. */
  readonly stopSignal: NodeJS.Signals;
  readonly stopMs: number;
  /** The server dies with this process, even by SIGKILL. For tests; a supervisor wants its servers to survive it. */
  readonly dieWithParent?: boolean;
}

/** Who runs under `pid` now; undefined when nobody does. */
export function identify(pid: number): ProcessIdentity | undefined {
  if (process.platform === 'linux') {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch (cause) {
      if (isCode(cause, 'ENOENT') || isCode(cause, 'ESRCH')) return undefined;
      throw cause;
    }
    // The name in parentheses may hold spaces and parentheses; the fields after the last one are counted from "state".
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    const startedAt = fields[19];
    if (state === 'Z' || state === 'X' || startedAt === undefined) return undefined;
    return { pid, startedAt };
  }
  const asked = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const startedAt = asked.stdout.trim();
  return startedAt === '' ? undefined : { pid, startedAt };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/**
 * Stops the server that an earlier, dead supervisor left behind. Idempotent.
 *
 * @throws when its supervisor is alive: the folder is in use.
 */
export async function stopLeftBehind(launch: ServerLaunch, progress: Progress): Promise<void> {
  const record = readRecord(launch.recordFile);
  if (record === undefined) return;
  if (record.supervisor.pid !== process.pid && isAlive(record.supervisor))
    throw new Error(
      `${launch.name} of ${dirname(launch.recordFile)} is already run by process ${record.supervisor.pid}; ` +
        'stop that one first, or choose another state folder',
    );
  if (isAlive(record.server)) {
    progress(`stopping the ${launch.name} that an earlier run left behind (process ${record.server.pid})`);
    await endProcess(record.server, launch.stopSignal, launch.stopMs);
  }
  rmSync(launch.recordFile, { force: true });
}

/** Starts the server and records it. It is running, not yet ready, when this returns. */
export async function launchServer(launch: ServerLaunch): Promise<ServerProcess> {
  mkdirSync(dirname(launch.logFile), { recursive: true });
  const log = openSync(launch.logFile, 'a', 0o600);
  let child: ChildProcess;
  try {
    const [command, args] = launch.dieWithParent ? boundToParent(launch) : [launch.command, launch.args];
    // A process group of its own: a Ctrl-C in the terminal reaches the supervisor, which then stops its servers in order.
    child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', log, log],
      env: launch.env ?? process.env,
    });
    await started(child, launch);
  } finally {
    closeSync(log);
  }
  const pid = child.pid;
  const server = pid === undefined ? undefined : identify(pid);
  const supervisor = identify(process.pid);
  if (server === undefined || supervisor === undefined)
    throw new Error(`${launch.name} ended as soon as it was started:\n${logTail(launch.logFile)}`);
  child.unref();
  const record: ServerRecord = { server, supervisor };
  writeFileSync(launch.recordFile, JSON.stringify(record), { mode: 0o600 });
  return supervise(child, server, launch);
}

/** The last lines a server wrote, for the sentence that reports its failure. */
export function logTail(logFile: string, lines = 12): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return '(it wrote nothing)';
    throw cause;
  }
}

/** Ends a process that need not be our child; done when it is gone. */
export async function endProcess(
  identity: ProcessIdentity,
  stopSignal: NodeJS.Signals,
  stopMs: number,
): Promise<void> {
  for (const [signal, budgetMs] of [
    [stopSignal, stopMs],
    ['SIGKILL', 10_000],
  ] as const) {
    sendSignal(identity, signal);
    const deadline = Date.now() + budgetMs;
    while (isAlive(identity) && Date.now() < deadline) await delay(20);
    if (!isAlive(identity)) return;
  }
  throw new Error(
    `process ${identity.pid} does not end, not even by SIGKILL: it hangs in the kernel (state D)`,
  );
}

/** By its code alone: an error of Node's own is no `instanceof Error` of the realm that jest runs a test in. */
export function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

function supervise(child: ChildProcess, server: ProcessIdentity, launch: ServerLaunch): ServerProcess {
  const exited = new Promise<ServerExit>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null)
      resolve({ code: child.exitCode, signal: child.signalCode });
    else child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  return {
    pid: server.pid,
    exited,
    async stop() {
      await endProcess(server, launch.stopSignal, launch.stopMs);
      child.ref();
      await exited;
      if (readRecord(launch.recordFile)?.server.startedAt === server.startedAt)
        rmSync(launch.recordFile, { force: true });
    },
  };
}

function started(child: ChildProcess, launch: ServerLaunch): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve());
    child.once('error', (cause) =>
      reject(
        new Error(`${launch.name} could not be started from ${launch.command}: ${cause.message}`, { cause }),
      ),
    );
  });
}

function boundToParent(launch: ServerLaunch): [string, readonly string[]] {
  // setpriv is part of util-linux; elsewhere the stop in the caller's teardown has to do.
  const setpriv = process.platform === 'linux' && spawnSync('setpriv', ['--version']).status === 0;
  return setpriv
    ? ['setpriv', ['--pdeathsig', launch.stopSignal.slice(3), '--', launch.command, ...launch.args]]
    : [launch.command, launch.args];
}

function sendSignal(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (cause) {
    if (!isCode(cause, 'ESRCH')) throw cause;
  }
}

function readRecord(file: string): ServerRecord | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined;
    throw cause;
  }
  try {
    return JSON.parse(text) as ServerRecord;
  } catch {
    // Cut short by a power loss: no process of before it can be alive either.
    return undefined;
  }
}
