/** From instants to figures. Pure. */
export interface Spread {
  readonly first: number;
  readonly median: number;
  readonly last: number;
}

/** Seconds since `originMs`; the median by nearest rank. @throws RangeError when there is nothing. */
export function spread(upMs: readonly number[], originMs: number): Spread {
  const sorted = [...upMs].sort((a, b) => a - b);
  const at = (index: number): number => {
    const ms = sorted[index];
    if (ms === undefined) throw new RangeError('no VM came up: there is nothing to measure');
    return (ms - originMs) / 1000;
  };
  return { first: at(0), median: at(Math.ceil(sorted.length / 2) - 1), last: at(sorted.length - 1) };
}

/** CPU seconds of one start of the lab's smallest guest, nearly all of it QEMU's own; one start alone takes 0.4 s. */
export const startCpuSeconds = 0.37;
const loneStartSeconds = 0.4;

/** What this many real starts take at best, and nothing else: the machine's floor. */
export const idealSeconds = (vms: number, cores: number): number =>
  Math.max(loneStartSeconds, (vms * startCpuSeconds) / cores);

/** Pacemaker's seconds from the fence to the last of so many zero-cost VMs, as this bench's peer measured it on 2 cores. */
export const pacemakerSeconds: ReadonlyMap<number, number> = new Map([
  [100, 3.4],
  [300, 20],
]);

/** What we set out to reach, in seconds from the fence to the last VM. */
export const aimSeconds: ReadonlyMap<number, number> = new Map([
  [100, 3.4],
  [300, 10],
]);

/** Real starts: no more than this many times the bare calls. */
export const aimOfBare = 1.15;
