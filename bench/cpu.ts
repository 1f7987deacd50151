/** CPU time by who spent it: on a machine that others share, a time alone says little. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** `proc(5)`: USER_HZ on every Linux we run on. */
const ticksPerSecond = 100;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly seconds: number;
}

/** User and system time of the process and of children it has waited for; undefined when it is gone. */
function statOf(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    // It ended between the listing and this look.
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  return { pid, parent: Number(fields[1]), seconds: ticks / ticksPerSecond };
}

/** CPU seconds so far of each named group of processes, with all that descends from them. */
export function cpuSeconds<Name extends string>(
  groups: Record<Name, readonly number[]>,
): Record<Name, number> {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? []);
  const sum = (pids: readonly number[]): number =>
    all
      .filter((stat) => pids.includes(stat.pid))
      .reduce((total, stat) => total + stat.seconds + sum(childrenOf(stat.pid)), 0);
  const childrenOf = (pid: number): number[] => all.filter((s) => s.parent === pid).map((s) => s.pid);
  return Object.fromEntries(
    Object.entries<readonly number[]>(groups).map(([name, pids]) => [name, sum(pids)]),
  ) as Record<Name, number>;
}

/** CPU seconds that the whole machine was busy and had in all. */
export function machineSeconds(): { readonly busy: number; readonly all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n');
  const seconds = line
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .map((ticks) => Number(ticks) / ticksPerSecond);
  const all = seconds.reduce((total, value) => total + value, 0);
  return { all, busy: all - (seconds[3] ?? 0) - (seconds[4] ?? 0) };
}

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly load: number;
  /** Share of the CPU in use while nothing of the bench ran: 0 to 1. */
  readonly busy: number;
}

const lookMs = 2_000;

export async function lookAtMachine(): Promise<Machine> {
  const before = machineSeconds();
  await delay(lookMs);
  const after = machineSeconds();
  return {
    cores: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    load: loadavg()[0] ?? 0,
    busy: (after.busy - before.busy) / Math.max(0.01, after.all - before.all),
  };
}
