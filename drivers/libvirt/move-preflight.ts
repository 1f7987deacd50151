/** All that must hold before a disk is moved on libvirt hosts; every reason why not, at once. */
import type { Preflight } from '../../activities/ports';
import { type Fault, fault } from '../../domain/faults';
import { type Pool } from '../../domain/fleet';
import type { DiskBefore, MoveOrder } from '../../domain/volume-move';
import type { RunOnHost } from '../child-processes/on-host';
import { sizes } from './copy-scripts';
import type { DiskState } from './disk-state';
import type { PoolOf } from './domain-xml';
import { isActive, type SeenVm } from './vm-disks';

export interface PreflightBasis {
  readonly order: MoveOrder;
  readonly seen: SeenVm | undefined;
  /** Where else it is known, when its own host does not list it. */
  readonly elsewhere: readonly SeenVm[];
  readonly pools: readonly Pool[];
  readonly poolOf: PoolOf;
  readonly run: RunOnHost;
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
  const moved = order.disks.map((d) => ({
    to: d.to,
    key: d.disk,
    disk: now.find((x) => x.device === d.disk),
  }));
  const faults = moved.flatMap(({ key, to, disk }) => [
    ...poolFaults(basis, name, to),
    ...diskFaults(basis, name, key, to, disk),
  ]);
  if (order.disks.length !== 1)
    faults.push(
      fault('DISK_NOT_MOVABLE', {
        vm: name,
        disk: order.disks.map((d) => d.disk).join(', '),
        detail: 'on a KVM host each disk is an order of its own',
      }),
    );
  const state = seen.observed.state;
  if (state !== 'running' && isActive(seen.observed))
    faults.push(
      fault('DISK_NOT_MOVABLE', {
        vm: name,
        disk: order.disks[0]?.disk ?? '',
        detail: `the VM is ${state}: it must run, or be shut off`,
      }),
    );
  if (seen.observed.savedImage === true)
    faults.push(
      fault('DISK_NOT_MOVABLE', {
        vm: name,
        disk: order.disks[0]?.disk ?? '',
        detail: 'a saved memory image of the VM names its disk',
      }),
    );
  const room = faults.length > 0 ? [] : await roomFaults(basis, name, moved, signal);
  if (faults.length + room.length > 0) return { kind: 'refused', faults: [...faults, ...room] };
  const bytesOf = new Map(moved.map((m) => [m.key, m]));
  const sized = await Promise.all(
    now.map((d) => diskBefore(basis, seen, d, bytesOf.get(d.device)?.to, signal)),
  );
  return {
    kind: 'ready',
    before: {
      ...{ order, name, running: isActive(seen.observed), disks: sized, own: {} },
      readAt: new Date().toISOString(),
      switches: 'by-order',
    },
  };
}

function poolFaults(basis: PreflightBasis, vm: string, to: string): Fault[] {
  const pool = basis.pools.find((p) => p.id === to);
  if (pool === undefined)
    return [
      fault('POOL_NOT_USABLE', {
        pool: to,
        vm,
        detail: `it is not declared; known: ${basis.pools.map((p) => p.id).join(', ')}`,
      }),
    ];
  if ((pool.type === 'dir' || pool.type === 'nfs') && pool.path !== undefined) return [];
  return [
    fault('POOL_NOT_USABLE', {
      pool: to,
      vm,
      detail: `disks are moved to folders only, and it is of type ${pool.type}`,
    }),
  ];
}

function diskFaults(
  basis: PreflightBasis,
  vm: string,
  key: string,
  to: string,
  disk: DiskState | undefined,
): Fault[] {
  const known = (basis.seen?.next ?? []).map((d) => d.device).join(', ');
  if (disk === undefined) return [fault('UNKNOWN_DISK', { vm, disk: key, known })];
  const not = (detail: string): Fault => fault('DISK_NOT_MOVABLE', { vm, disk: key, detail });
  const faults: Fault[] = [];
  if (disk.kind !== 'file')
    faults.push(not(`it is no file but ${disk.kind === 'block' ? 'a block device' : 'something else'}`));
  if (disk.shareable) faults.push(not('it is shareable: others may write to it'));
  if (disk.removable) faults.push(not('it is a removable medium'));
  if (disk.hasBacking) faults.push(not('another image lies beneath it'));
  if (basis.poolOf(disk.path) === to) faults.push(not(`it lies on ${to} already`));
  const next = basis.seen?.next.find((d) => d.device === key);
  if (next !== undefined && next.path !== disk.path)
    faults.push(not(`it runs on ${disk.path} and would start from ${next.path}`));
  return faults;
}

async function roomFaults(
  basis: PreflightBasis,
  vm: string,
  moved: readonly { to: string; key: string; disk: DiskState | undefined }[],
  signal: AbortSignal,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const { to, key, disk } of moved) {
    const folder = basis.pools.find((p) => p.id === to)?.path;
    if (disk === undefined || folder === undefined) continue;
    const end = await basis.run(basis.order.hostId, sizes, [disk.path, disk.format, folder], sizesMs, signal);
    const [info = '', free = ''] = end.stdout.trim().split('\n');
    if (!info.startsWith('{'))
      faults.push(
        fault('DISK_NOT_MOVABLE', {
          vm,
          disk: key,
          detail: `${disk.path} cannot be read: ${end.stderr.trim().slice(0, 200)}`,
        }),
      );
    else if (free.trim() === '')
      faults.push(
        fault('POOL_NOT_USABLE', {
          pool: to,
          vm,
          detail: `${folder} on ${basis.order.hostId} is no folder that can be written to`,
        }),
      );
    else if (Number(free) < bytesIn(info, disk.format))
      faults.push(
        fault('POOL_FULL', { pool: to, vm, free: free.trim(), needed: String(bytesIn(info, disk.format)) }),
      );
  }
  return faults;
}

/** A raw file may become as large as its disk; the others as large as they are. */
function bytesIn(json: string, format: string): number {
  const info = JSON.parse(json) as { 'virtual-size': number; 'actual-size': number };
  return format === 'raw' ? info['virtual-size'] : info['actual-size'];
}

async function diskBefore(
  basis: PreflightBasis,
  seen: SeenVm,
  disk: DiskState,
  to: string | undefined,
  signal: AbortSignal,
): Promise<DiskBefore> {
  const { order, pools, poolOf, run } = basis;
  const pool = pools.find((p) => p.id === to);
  const path =
    pool?.path === undefined
      ? undefined
      : `${pool.path.replace(/\/+$/, '')}/${targetName(seen, disk, order.attempt)}`;
  const end = await run(order.hostId, sizes, [disk.path, disk.format, '/'], sizesMs, signal);
  const [info = ''] = end.stdout.trim().split('\n');
  return {
    disk: disk.device,
    device: disk.device,
    at: { poolId: poolOf(disk.path), path: disk.path, format: disk.format },
    wanted: pool === undefined ? undefined : { poolId: pool.id, path },
    bytes: info.startsWith('{') ? (JSON.parse(info) as { 'virtual-size': number })['virtual-size'] : 0,
  };
}

const targetName = (seen: SeenVm, disk: DiskState, attempt: string): string =>
  `${seen.observed.name.replace(/[^A-Za-z0-9._-]/g, '_')}-${disk.device}-${attempt}.${disk.format === 'raw' ? 'raw' : disk.format}`;
