/** What processes weigh: memory by what the kernel holds for each of them. */
import { readFileSync, readdirSync } from 'node:fs';

/** Resident memory in MiB of these processes and all that descend from them; shared pages count once in each (PSS where the kernel tells). */
export function memoryMiB(pids: readonly number[]): number {
  const all = new Set(pids);
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    const stat = read(`/proc/${name}/stat`);
    if (stat !== undefined)
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  // A child is found after its parent, whatever the order of their ids: as often as there are generations.
  for (let grew = true; grew;) {
    grew = false;
    for (const [pid, parent] of parents)
      if (all.has(parent) && !all.has(pid)) {
        all.add(pid);
        grew = true;
      }
  }
  return [...all].reduce((sum, pid) => sum + kib(pid), 0) / 1024;
}

function kib(pid: number): number {
  const pss = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1];
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return Number(pss ?? rss ?? 0);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // The process ended meanwhile, or is not ours to look into: it weighs nothing here.
    return undefined;
  }
}
