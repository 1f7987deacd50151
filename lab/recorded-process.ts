/** Processes known by id *and* start time, as they wrote themselves down (`host recorded`): ids are used again, pairs are not. */
import { readFileSync } from 'node:fs';
import { waitFor } from './wait-for';

export interface RecordedProcess {
  readonly pid: number;
  /** Clock ticks since the machine's boot, as /proc tells them. */
  readonly startTime: string;
}

/** undefined when the file is missing or was cut short: then no process came as far as running its program. */
export function readRecord(file: string): RecordedProcess | undefined {
  const match = /^(\d+) (\d+)\n/.exec(readIfThere(file) ?? '');
  return match ? { pid: Number(match[1]), startTime: match[2] as string } : undefined;
}

/** A process that has ended but was not yet reaped does not live: it holds no file, no socket and no port. */
export function isAlive(process: RecordedProcess): boolean {
  const stat = readIfThere(`/proc/${process.pid}/stat`);
  if (stat === undefined) return false;
  // The name in parentheses may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] === process.startTime && fields[0] !== 'Z' && fields[0] !== 'X';
}

/** Nothing happens to another process that has come by the same id. @returns whether the process was there. */
export function sendSignal(target: RecordedProcess, signal: NodeJS.Signals): boolean {
  if (!isAlive(target)) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw cause;
  }
}

/** SIGKILL, which ends stopped processes too; done when it is gone. Idempotent. */
export async function endProcess(target: RecordedProcess): Promise<void> {
  if (!sendSignal(target, 'SIGKILL')) return;
  await waitFor(`process ${target.pid} to end`, 10_000, () => !isAlive(target));
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw cause;
  }
}
