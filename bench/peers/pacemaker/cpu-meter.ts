/** CPU time of the cluster under test and of everybody else: on a shared machine a time says nothing without it. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** `proc(5)`: the unit of /proc/stat on every Linux we run on (USER_HZ). */
const ticksPerSecond = 100;

export interface CpuReading {
  /** CPU seconds of the cluster's processes, the ended ones too; undefined without a cgroup v2 file system. */
  readonly cluster: number | undefined;
  readonly machineBusy: number;
  readonly machineAll: number;
}

function machineSeconds(): { readonly busy: number; readonly all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const seconds = line
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .map((ticks) => Number(ticks) / ticksPerSecond);
  const all = seconds.reduce((sum, value) => sum + value, 0);
  return { all, busy: all - (seconds[3] ?? 0) - (seconds[4] ?? 0) };
}

/** Share of the machine's CPU time that was not idle over `spanMs`: 0 to 1. */
export async function machineBusy(spanMs: number): Promise<number> {
  const before = machineSeconds();
  await delay(spanMs);
  const after = machineSeconds();
  return (after.busy - before.busy) / Math.max(0.01, after.all - before.all);
}

function unifiedHierarchy(): string | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return mounts.find(([, , type]) => type === 'cgroup2')?.[1];
}

/** A control group of its own: the kernel adds up all that ever ran in it. */
export class CpuMeter {
  private readonly group: string | undefined;

  constructor(name: string) {
    const root = unifiedHierarchy();
    if (root === undefined) return;
    this.group = join(root, name);
    mkdirSync(this.group);
  }

  /** Counts this process from now on, with all it will start. */
  attach(pid: number): void {
    if (this.group !== undefined) writeFileSync(join(this.group, 'cgroup.procs'), String(pid));
  }

  read(): CpuReading {
    const { busy, all } = machineSeconds();
    const found =
      this.group === undefined
        ? undefined
        : /^usage_usec (\d+)$/m.exec(readFileSync(join(this.group, 'cpu.stat'), 'utf8'))?.[1];
    return {
      cluster: found === undefined ? undefined : Number(found) / 1e6,
      machineBusy: busy,
      machineAll: all,
    };
  }

  /** Only once every process in it is gone. May be called again. */
  remove(): void {
    if (this.group !== undefined && existsSync(this.group)) rmdirSync(this.group);
  }
}
