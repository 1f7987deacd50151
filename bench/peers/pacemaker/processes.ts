/** Children of the bench, and what /proc says about them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export class BenchError extends Error {
  override readonly name = 'BenchError';
}

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const defaultDeadlineMs = 30_000;

/** Runs a program to its end. Throws only when it cannot be started or is killed at its deadline. */
export function run(argv: readonly string[], deadlineMs = defaultDeadlineMs): Promise<Ran> {
  const [program = '', ...words] = argv;
  return new Promise((resolve, reject) => {
    const options = { timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 } as const;
    execFile(program, words, options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code;
      if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr });
      else reject(new BenchError(`${argv.join(' ')}: ${error?.message ?? 'no exit code'}`, { cause: error }));
    });
  });
}

/** Like `run`, for programs that must succeed. */
export async function must(argv: readonly string[], deadlineMs = defaultDeadlineMs): Promise<string> {
  const { exitCode, stdout, stderr } = await run(argv, deadlineMs);
  if (exitCode === 0) return stdout;
  throw new BenchError(`${argv.join(' ')}: exit code ${exitCode}: ${(stderr || stdout).trim().slice(-400)}`);
}

/** Asks again and again until the answer is not undefined. Throws, saying what it waited for, at the limit. */
export async function until<T>(
  what: string,
  limitMs: number,
  everyMs: number,
  ask: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new BenchError(`waited ${Math.round(limitMs / 1000)} s for: ${what}`);
    await delay(everyMs);
  }
}

export const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`);

/** The only child of `unshare --fork`: PID 1 of the new namespaces. */
export function onlyChildOf(pid: number): number | undefined {
  const words = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return words === '' ? undefined : Number(words.split(' ')[0]);
}

/**
 * Starts `unshare` such that it dies with us, and what it started dies with it, whatever way we end (prctl's parent-death
 * signal, twice). Its complaints go to `namespaces.log` in `cwd`: being killed is one of them.
 */
export function spawnInNamespaces(
  namespaces: readonly string[],
  argv: readonly string[],
  cwd: string,
): ChildProcess {
  const mortal = ['--pdeathsig', 'KILL', 'unshare', ...namespaces, '--fork', '--kill-child=KILL', ...argv];
  const log = openSync(join(cwd, 'namespaces.log'), 'a');
  try {
    return spawn('setpriv', mortal, { cwd, stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}
