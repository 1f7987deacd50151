import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export interface Ran {
  /** undefined when it was ended by a signal or by its deadline. */
  readonly code: number | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** After the exit, nothing more for this long: what holds the pipes open has no more to say. */
const PIPES_AFTER_EXIT_MS = 200;

/** Where Debian keeps what an ordinary user's PATH often lacks: libvirtd, the fence agents. */
export function toolPath(env: NodeJS.ProcessEnv = process.env): string {
  return [env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin', '/usr/sbin', '/sbin'].join(':');
}

export function isOnPath(program: string, env: NodeJS.ProcessEnv): boolean {
  return toolPath(env)
    .split(':')
    .some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        // Not there, or not for us: the next folder may have it.
        return false;
      }
    });
}

/**
 * Runs a program to its end or its deadline, then kills its whole process group: a killed shell would leave its children behind.
 * Never rejects because of what the program answers, only when it cannot be started at all.
 */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...(options.env ?? process.env), PATH: toolPath(options.env), LC_ALL: 'C' },
    });
    let timedOut = false;
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const deadline = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) killGroup(child.pid);
    }, options.timeoutMs);
    child.once('error', (cause) => {
      clearTimeout(deadline);
      reject(new Error(`${command} cannot be started: ${cause.message}`, { cause }));
    });
    const done = (): void => {
      clearTimeout(deadline);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code: child.exitCode ?? undefined, timedOut, stdout, stderr });
    };
    child.once('close', done);
    // A daemon left behind may hold the pipes open for ever. The last look is behind a round of the event loop: that this process was starved
    // of CPU is no silence of the child, and a list of VMs cut short would look as if they were gone.
    const whenDrained = (): void => {
      const before = stdout.length + stderr.length;
      const look = (): void => (stdout.length + stderr.length === before ? done() : whenDrained());
      setTimeout(() => setImmediate(look), PIPES_AFTER_EXIT_MS).unref();
    };
    child.once('exit', whenDrained);
  });
}

/** As `run`, for programs that have to succeed. @throws an Error that says what was run and what it answered. */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<string> {
  const ran = await run(command, args, options);
  if (ran.code === 0) return ran.stdout;
  throw new Error(`${[command, ...args].join(' ')} ${endOf(ran, options)}`);
}

function endOf(ran: Ran, options: RunOptions): string {
  if (ran.timedOut) return `did not end within ${options.timeoutMs} ms`;
  const said = (ran.stderr.trim() || ran.stdout.trim()).split('\n').slice(-4).join(' / ');
  return `failed${ran.code === undefined ? '' : ` with code ${ran.code}`}: ${said || '(it said nothing)'}`;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (cause) {
    // It ended in this very moment.
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
}
