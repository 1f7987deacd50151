/** All that must hold before disks are moved on libvirt hosts; every reason why not, at once. */
import type { Preflight } from '../../activities/ports';
import { type Fault, fault } from '../../domain/faults';
import type { DiskBefore, MoveOrder } from '../../domain/volume-move';
import { sizes } from './copy-scripts';
import type { DiskState } from './disk-state';
import type { VolumeNames } from './logical-volumes';
import type { MoveReach } from './move-reach';
import { poolFaults, roomFaults } from './move-room';
import type { OwnVolumes } from './places';
import { isActive, type SeenVm } from './vm-disks';

export interface PreflightBasis {
  readonly order: MoveOrder;
  readonly seen: SeenVm | undefined;
  /** Where else it is known, when its own host does not list it. */
  readonly elsewhere: readonly SeenVm[];
  readonly reach: MoveReach;
}

/** One disk as it is ordered to move, before it is known whether it may. */
export interface Wanted {
  readonly key: string;
  readonly to: string;
  readonly disk: DiskState | undefined;
  /** What it can hold; undefined where that cannot be read. */
  readonly bytes: number | undefined;
  /** What a file of it may grow to. */
  readonly room: number | undefined;
  /** Where it is a logical volume. */
  readonly volume: (VolumeNames & { readonly uuid: string }) | undefined;
  readonly why: string | undefined;
}

const sizesMs = 10_000;

export async function preflightMove(basis: PreflightBasis, signal: AbortSignal): Promise<Preflight> {
  const { order, seen, elsewhere } = basis;
  if (seen === undefined) {
    const where = elsewhere.map((s) => s.hostId).join(', ');
    const detail =
      where === ''
        ? 'every host of its cluster was asked, and none lists it'
        : `it is on ${where}, and the order says ${order.hostId}`;
    return { kind: 'refused', faults: [fault('VM_NOT_IN_INVENTORY', { vm: order.vmId ?? 'no VM', detail })] };
  }
  const { name } = seen.observed;
  const now = seen.live ?? seen.next;
  const wanted: Wanted[] = [];
  for (const { disk: key, to } of order.disks) {
    const disk = now.find((x) => x.device === key);
    wanted.push({ key, to, disk, ...(await sizeOf(basis, disk, signal)) });
  }
  const faults = [
    ...vmFaults(seen, order),
    ...wanted.flatMap((w) => [...poolFaults(basis, name, w.to), ...diskFaults(basis, seen, w)]),
  ];
  const room = faults.length > 0 ? [] : await roomFaults(basis, name, wanted, signal);
  const elsewhereFaults = faults.length > 0 ? [] : await usedElsewhere(basis, seen, wanted, signal);
  const all = [...faults, ...room, ...elsewhereFaults];
  if (all.length > 0) return { kind: 'refused', faults: all };
  const disks: DiskBefore[] = [];
  const volumes: Record<string, OwnVolumes> = {};
  for (const disk of now) {
    const want = wanted.find((w) => w.disk === disk);
    const before = await diskBefore(basis, seen, disk, want, signal);
    disks.push(before);
    const target = want === undefined ? undefined : targetVolume(basis, want.to, before);
    if (want?.volume !== undefined || target !== undefined)
      volumes[disk.device] = {
        ...(want?.volume !== undefined && { source: want.volume }),
        ...(target !== undefined && { target }),
      };
  }
  return {
    kind: 'ready',
    before: {
      ...{ order, name, running: isActive(seen.observed), disks },
      own: Object.keys(volumes).length === 0 ? {} : { volumes },
      readAt: new Date().toISOString(),
      switches: 'by-order',
    },
  };
}

function vmFaults(seen: SeenVm, order: MoveOrder): Fault[] {
  const { name, state } = seen.observed;
  const disk = order.disks.map((d) => d.disk).join(', ');
  const not = (detail: string): Fault => fault('DISK_NOT_MOVABLE', { vm: name, disk, detail });
  const faults: Fault[] = [];
  if (order.disks.length === 0) faults.push(not('the order names no disk'));
  if (new Set(order.disks.map((d) => d.disk)).size < order.disks.length)
    faults.push(not('the order names a disk twice'));
  if (state !== 'running' && isActive(seen.observed))
    faults.push(not(`the VM is ${state}: it must run, or be shut off`));
  if (seen.observed.savedImage === true) faults.push(not('a saved memory image of the VM names its disk'));
  return faults;
}

function diskFaults({ reach }: PreflightBasis, seen: SeenVm, wanted: Wanted): Fault[] {
  const vm = seen.observed.name;
  const { key, to, disk } = wanted;
  const known = seen.next.map((d) => d.device).join(', ');
  if (disk === undefined) return [fault('UNKNOWN_DISK', { vm, disk: key, known })];
  const not = (detail: string): Fault => fault('DISK_NOT_MOVABLE', { vm, disk: key, detail });
  const faults: Fault[] = [];
  if (disk.kind === 'other') faults.push(not('it is neither a file nor a block device'));
  if (disk.kind === 'block' && !isOnLvm(reach, disk.path))
    faults.push(not('it is a block device, and no logical volume of a declared pool of type lvm'));
  if (disk.kind === 'block' && disk.format !== 'raw')
    faults.push(not(`it is a ${disk.format} within a logical volume, and only raw ones are moved`));
  if (disk.shareable) faults.push(not('it is shareable: others may write to it'));
  if (disk.removable) faults.push(not('it is a removable medium'));
  if (disk.hasBacking) faults.push(not('another image lies beneath it'));
  if (reach.options.poolOf(disk.path) === to) faults.push(not(`it lies on ${to} already`));
  if (faults.length === 0 && wanted.why !== undefined)
    faults.push(not(`${disk.path} cannot be read: ${wanted.why}`));
  const next = seen.next.find((d) => d.device === key);
  if (next !== undefined && next.path !== disk.path)
    faults.push(not(`it runs on ${disk.path} and would start from ${next.path}`));
  return faults;
}

const isOnLvm = ({ options }: MoveReach, path: string): boolean => {
  const pool = options.poolOf(path);
  const isLvm = options.pools.some((p) => p.id === pool && p.type === 'lvm');
  return isLvm && options.volumes.namesIn(path) !== undefined;
};

/** A volume that is active on another host may be written to from there: between hosts it has no lock. A guest that runs here has it open here. */
async function usedElsewhere(
  { reach, order }: PreflightBasis,
  seen: SeenVm,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<Fault[]> {
  if (seen.live !== undefined) return [];
  const faults: Fault[] = [];
  for (const { key, disk, volume } of wanted) {
    if (disk === undefined || volume === undefined) continue;
    const pool = reach.options.poolOf(disk.path);
    const others = pool === undefined ? [] : reach.options.hostsOf(pool).filter((h) => h !== order.hostId);
    for (const host of others) {
      const there = await reach.places.volumes.group(host, volume.group, signal);
      if (!there.volumes.some((v) => v.uuid === volume.uuid && v.active)) continue;
      const detail = `${disk.path} is active on ${host}: deactivate it there (lvchange -an) if nobody uses it`;
      faults.push(fault('DISK_NOT_MOVABLE', { vm: seen.observed.name, disk: key, detail }));
    }
  }
  return faults;
}

/** Of a file by QEMU, of a volume by LVM, because one that is not active cannot be opened. */
async function sizeOf(
  { reach, order }: PreflightBasis,
  disk: DiskState | undefined,
  signal: AbortSignal,
): Promise<Pick<Wanted, 'bytes' | 'room' | 'volume' | 'why'>> {
  const none = { bytes: undefined, room: undefined, volume: undefined, why: undefined };
  if (disk === undefined || disk.path === '') return none;
  const names =
    disk.kind === 'block' && isOnLvm(reach, disk.path) ? reach.options.volumes.namesIn(disk.path) : undefined;
  if (names !== undefined) {
    const seen = await reach.places.volumes.find(order.hostId, names, signal);
    if (seen === undefined) return { ...none, why: `${names.group} holds no ${names.volume}` };
    return { ...none, bytes: seen.bytes, room: seen.bytes, volume: { ...names, uuid: seen.uuid } };
  }
  const end = await reach.run(order.hostId, sizes, [disk.path, disk.format, ''], sizesMs, signal);
  const [info = ''] = end.stdout.trim().split('\n');
  if (!info.startsWith('{')) return { ...none, why: end.stderr.trim().slice(0, 200) };
  const said = JSON.parse(info) as { 'virtual-size': number; 'actual-size': number };
  // A raw file may become as large as its disk; the others as large as they are.
  const room = disk.format === 'raw' ? said['virtual-size'] : said['actual-size'];
  return { ...none, bytes: said['virtual-size'], room };
}

async function diskBefore(
  basis: PreflightBasis,
  seen: SeenVm,
  disk: DiskState,
  wanted: Wanted | undefined,
  signal: AbortSignal,
): Promise<DiskBefore> {
  const { order, reach } = basis;
  const pool = reach.options.pools.find((p) => p.id === wanted?.to);
  const isVolume = pool?.type === 'lvm';
  // Of a volume that stays nothing is asked: LVM that does not answer is no matter of this order.
  const { bytes = 0 } =
    wanted ?? (isOnLvm(reach, disk.path) ? { bytes: undefined } : await sizeOf(basis, disk, signal));
  const path =
    pool?.path === undefined
      ? undefined
      : `${pool.path.replace(/\/+$/, '')}/${isVolume ? volumeName(seen, disk, order.attempt) : targetName(seen, disk, order.attempt)}`;
  return {
    disk: disk.device,
    device: disk.device,
    at: { poolId: reach.options.poolOf(disk.path), path: disk.path, format: disk.format },
    wanted: pool === undefined ? undefined : { poolId: pool.id, path, ...(isVolume && { format: 'raw' }) },
    bytes,
  };
}

/** The volume that is to be made where the pool is one of volumes. */
function targetVolume(
  { reach }: PreflightBasis,
  to: string,
  { wanted }: DiskBefore,
): VolumeNames | undefined {
  const isVolume = reach.options.pools.some((p) => p.id === to && p.type === 'lvm');
  return isVolume && wanted?.path !== undefined ? reach.options.volumes.namesIn(wanted.path) : undefined;
}

const targetName = (seen: SeenVm, disk: DiskState, attempt: string): string =>
  `${seen.observed.name.replace(/[^A-Za-z0-9._-]/g, '_')}-${disk.device}-${attempt}.${disk.format}`;

/** LVM keeps words with underscores and some beginnings to itself; 127 characters are its most. */
const volumeName = (seen: SeenVm, disk: DiskState, attempt: string): string =>
  `vm-${seen.observed.name.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 60)}-${disk.device}-${attempt}`;
