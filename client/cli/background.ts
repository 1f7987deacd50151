/** The embedded system as a process that outlives the command that started it. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RuntimeFile } from '../../workers/embedded/runtime-file';
import { Refusal } from '../errors';
import type { Context } from './command';

/** Building Temporal from source, the longest that a first start can take, is said line by line meanwhile. */
const startMs = 15 * 60_000;

/** Returns when the system takes work. @throws Refusal with its last lines when it does not get there. */
export async function startInBackground(
  context: Context,
  configPath: string,
  stateDir: string,
): Promise<RuntimeFile> {
  const { packageRoot } = await import('../../workers/embedded/package-root');
  const { readRuntime } = await import('../../workers/embedded/runtime-file');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const logFile = join(stateDir, 'up.log');
  const log = openSync(logFile, 'w', 0o600);
  const launcher = join(packageRoot(), 'bin', 'vmedic');
  const child = spawn(process.execPath, [launcher, 'up', '--config', configPath, '--state-dir', stateDir], {
    detached: true,
    stdio: ['ignore', 'ignore', log],
    env: context.io.env,
  });
  closeSync(log);
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended ??= signal ?? `exit code ${String(code)}`));
  const said = new LinesOf(logFile);
  for (const deadline = Date.now() + startMs; ; await delay(100)) {
    for (const line of said.fresh()) context.out.note(`  ${line}`);
    const runtime = readRuntime(stateDir);
    if (runtime?.stage === 'running' && runtime.supervisor.pid === child.pid) {
      child.unref();
      return runtime;
    }
    if (ended !== undefined || Date.now() > deadline)
      throw new Refusal(
        'unreachable',
        'SYSTEM_NOT_UP',
        `VMedic did not come up (${ended ?? 'no sign of it in time'})`,
        `read ${logFile}`,
      );
  }
}

/** What a growing file holds beyond the last look, line by line. */
class LinesOf {
  private shown = 0;
  constructor(private readonly file: string) {}

  fresh(): string[] {
    const whole = readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
    const lines = whole.slice(this.shown);
    this.shown = whole.length;
    return lines;
  }
}
