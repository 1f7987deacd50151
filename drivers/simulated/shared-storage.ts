/**
 * Disks as their servers see them. Theory of operation: every guest process writes to a disk's log when it starts and whenever the set of its
 * possible writers changes, so two processes on one disk always leave an interleaving: a boot that is not one contiguous run. Locks behave
 * as QEMU's do: exclusive per image, advisory (a process that lost its lock writes on), absent on lockless pools and shareable disks. On a
 * pool whose server remembers its clients they outlive a host whose power was cut.
 */
import type { HostId, PoolId, VmId } from '../../domain/ids';
import type { DiskSpec, PoolSpec } from './world-spec';

export interface DiskWrite {
  readonly seq: number;
  readonly boot: string;
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly at: number;
}

export interface ImageLock {
  readonly lockId: string;
  readonly path: string;
  readonly poolId: PoolId;
  /** A host of ours, or the name of somebody else. */
  readonly owner: string;
  readonly boot: string;
  /** Set once its holder is gone and only the server still remembers it. */
  readonly staleSinceMs: number | undefined;
}

export type DiskSightSaid = 'usable' | 'missing' | 'unreadable' | 'hung';

export interface Disk {
  readonly path: string;
  readonly poolId: PoolId;
  readonly shareable: boolean;
  /** What it is, whatever it is called: another volume may take its name. */
  identity: string;
  sight: DiskSightSaid;
  /** Where one host alone sees it otherwise. */
  readonly sightOn: Map<HostId, DiskSightSaid>;
  /** Hosts on which it is activated, each with who did so: `boot`, or the tag of a recovery. */
  readonly activeOn: Map<HostId, string>;
  readonly writes: DiskWrite[];
  /** The attempt of a move that made it; undefined for a disk that was there before. */
  readonly madeBy: string | undefined;
  /** Every write goes there too: the target of a block copy under way. */
  mirror: Disk | undefined;
}

export class SharedStorage {
  readonly disks = new Map<string, Disk>();
  private readonly pools = new Map<PoolId, { spec: PoolSpec; lockless: boolean; freeBytes: number }>();
  private readonly locks = new Map<string, ImageLock>();
  /** Hosts of which the pool's server takes no write. */
  private readonly cut = new Map<PoolId, Set<HostId>>();
  private lockCount = 0;

  constructor(
    pools: readonly PoolSpec[],
    private readonly nowMs: () => number,
  ) {
    for (const spec of pools)
      this.pools.set(spec.id, {
        ...{ spec, lockless: spec.lockless === true },
        freeBytes: spec.freeBytes ?? Number.MAX_SAFE_INTEGER,
      });
  }

  pool(id: PoolId): PoolSpec | undefined {
    return this.pools.get(id)?.spec;
  }

  freeBytes(id: PoolId): number {
    return this.pools.get(id)?.freeBytes ?? 0;
  }

  setFree(id: PoolId, bytes: number): void {
    const pool = this.pools.get(id);
    if (pool !== undefined) pool.freeBytes = bytes;
  }

  isLockless(id: PoolId): boolean {
    return this.pools.get(id)?.lockless === true;
  }

  setLockless(id: PoolId, lockless: boolean): void {
    const pool = this.pools.get(id);
    if (pool !== undefined) pool.lockless = lockless;
  }

  isCut(pool: PoolId, host: HostId): boolean {
    return this.cut.get(pool)?.has(host) === true;
  }

  /** False when it was so already. */
  setCut(pool: PoolId, host: HostId, cut: boolean): boolean {
    if (this.isCut(pool, host) === cut) return false;
    const hosts = this.cut.get(pool) ?? new Set();
    if (cut) hosts.add(host);
    else hosts.delete(host);
    this.cut.set(pool, hosts);
    return true;
  }

  allCut(): { readonly poolId: PoolId; readonly hostId: HostId }[] {
    return [...this.cut].flatMap(([poolId, hosts]) => [...hosts].map((hostId) => ({ poolId, hostId })));
  }

  ensureDisk(disk: Pick<DiskSpec, 'path' | 'poolId' | 'shareable'>, madeBy?: string): Disk {
    const known = this.disks.get(disk.path);
    if (known !== undefined) return known;
    const made: Disk = {
      path: disk.path,
      poolId: disk.poolId,
      shareable: disk.shareable === true,
      identity: `volume-${this.disks.size + 1}`,
      sight: 'usable',
      sightOn: new Map(),
      activeOn: new Map(),
      writes: [],
      madeBy,
      mirror: undefined,
    };
    this.disks.set(disk.path, made);
    return made;
  }

  needsActivation(disk: Disk): boolean {
    return this.pool(disk.poolId)?.needsActivation === true;
  }

  /** Why this host cannot open the disk now; undefined when it can. */
  obstacle(path: string, host: HostId): string | undefined {
    const disk = this.disks.get(path);
    const sight = disk?.sightOn.get(host) ?? disk?.sight;
    if (disk === undefined || sight === 'missing') return `cannot access storage file '${path}'`;
    if (sight !== 'usable') return `storage file '${path}' is ${sight ?? 'missing'}`;
    if (this.isCut(disk.poolId, host)) return `'${path}' is read-only there`;
    if (this.needsActivation(disk) && !disk.activeOn.has(host)) return `'${path}' is not active there`;
    return undefined;
  }

  /** The lock that keeps others off this image now. */
  lockOn(path: string): ImageLock | undefined {
    const lock = this.locks.get(path);
    if (lock?.staleSinceMs === undefined) return lock;
    const leaseMs = this.pool(lock.poolId)?.leaseMs;
    if (leaseMs === undefined || this.nowMs() - lock.staleSinceMs < leaseMs) return lock;
    this.locks.delete(path);
    return undefined;
  }

  allLocks(): ImageLock[] {
    return [...this.locks.keys()].map((p) => this.lockOn(p)).filter((l) => l !== undefined);
  }

  take(disk: DiskSpec, owner: string, boot: string): void {
    if (disk.shareable === true || this.pools.get(disk.poolId)?.lockless === true) return;
    this.lockCount += 1;
    this.locks.set(disk.path, {
      lockId: `lock-${this.lockCount}`,
      path: disk.path,
      poolId: disk.poolId,
      owner,
      boot,
      staleSinceMs: undefined,
    });
  }

  release(path: string): void {
    this.locks.delete(path);
  }

  /** The process ended in order: its own locks go with it. */
  dropLocksOf(boot: string): void {
    for (const lock of [...this.locks.values()]) if (lock.boot === boot) this.locks.delete(lock.path);
  }

  /** The host lost its power: locks go with it where they live in its kernel, and stay where a server remembers its clients. */
  abandonLocksOf(host: HostId): void {
    for (const lock of [...this.locks.values()]) {
      if (lock.owner !== host) continue;
      const strategy = this.pool(lock.poolId)?.lockStrategy ?? 'none';
      if (strategy === 'none') this.locks.delete(lock.path);
      else this.locks.set(lock.path, { ...lock, staleSinceMs: this.nowMs() });
    }
    for (const disk of this.disks.values()) disk.activeOn.delete(host);
  }

  /** The host is back: its boot notice makes servers forget the locks it had before. */
  forgetStaleLocksOf(host: HostId): void {
    for (const lock of [...this.locks.values()])
      if (lock.owner === host && lock.staleSinceMs !== undefined) this.locks.delete(lock.path);
  }
}
