/** Whether pools can take disks: of folders by their file system, of volume groups by what LVM says. */
import { type Fault, fault } from '../../domain/faults';
import { sizes } from './copy-scripts';
import type { PreflightBasis, Wanted } from './move-preflight';

const sizesMs = 10_000;

export function poolFaults({ reach }: PreflightBasis, vm: string, to: string): Fault[] {
  const { pools } = reach.options;
  const not = (detail: string): Fault[] => [fault('POOL_NOT_USABLE', { pool: to, vm, detail })];
  const pool = pools.find((p) => p.id === to);
  if (pool === undefined) return not(`it is not declared; known: ${pools.map((p) => p.id).join(', ')}`);
  if (['dir', 'nfs', 'lvm'].includes(pool.type) && pool.path !== undefined) return [];
  return not(`disks are moved to folders and volume groups only, and it is of type ${pool.type}`);
}

/** Of all disks that go to one pool together. */
export async function roomFaults(
  basis: PreflightBasis,
  vm: string,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const to of new Set(wanted.map((w) => w.to))) {
    const pool = basis.reach.options.pools.find((p) => p.id === to);
    const own = wanted.filter((w) => w.to === to);
    if (pool?.path === undefined) continue;
    const check = pool.type === 'lvm' ? groupFaults : folderFaults;
    faults.push(...(await check(basis, vm, { to, path: pool.path }, own, signal)));
  }
  return faults;
}

type Pool = Readonly<Record<'to' | 'path', string>>;

const sum = (numbers: readonly (number | undefined)[]): number =>
  numbers.reduce<number>((a, b) => a + (b ?? 0), 0);

const full = (vm: string, { to }: Pool, free: number, needed: number): Fault =>
  fault('POOL_FULL', { pool: to, vm, free: String(free), needed: String(needed) });

async function folderFaults(
  { reach, order }: PreflightBasis,
  vm: string,
  pool: Pool,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<Fault[]> {
  const end = await reach.run(order.hostId, sizes, ['', '', pool.path], sizesMs, signal);
  const free = end.stdout.trim();
  const needed = sum(wanted.map((w) => w.room));
  if (free !== '') return Number(free) < needed ? [full(vm, pool, Number(free), needed)] : [];
  const detail = `${pool.path} on ${order.hostId} is no folder that can be written to`;
  return [fault('POOL_NOT_USABLE', { pool: pool.to, vm, detail })];
}

async function groupFaults(
  { reach, order }: PreflightBasis,
  vm: string,
  pool: Pool,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<Fault[]> {
  const name = pool.path.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const group = await reach.places.volumes.group(order.hostId, name, signal);
  const hosts = reach.options.pools
    .filter((p) => p.id === pool.to)
    .flatMap((p) => reach.options.hostsOf(p.id));
  const faults: Fault[] = [];
  const not = (detail: string): void =>
    void faults.push(fault('POOL_NOT_USABLE', { pool: pool.to, vm, detail }));
  // LVM writes its metadata as a whole, and locks it on its own host only.
  if (hosts.some((h) => h !== order.hostId) && !group.guarded)
    not(
      `several hosts use volume group ${name}, and lvmlockd does not guard it: two of them changing it at once would destroy it`,
    );
  if (group.missingDisks > 0) not(`${group.missingDisks} physical volumes of ${name} are missing`);
  for (const { key, bytes = 0 } of wanted) {
    const over = bytes % group.extentBytes;
    if (over === 0 && bytes > 0) continue;
    not(
      `${key} has ${bytes} bytes, which is no multiple of the ${group.extentBytes} of its extents, and a volume must have exactly its size: grow the disk by ${group.extentBytes - over} bytes first`,
    );
  }
  const needed = sum(wanted.map((w) => w.bytes));
  if (group.freeBytes < needed) faults.push(full(vm, pool, group.freeBytes, needed));
  return faults;
}
