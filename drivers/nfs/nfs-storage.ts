/**
 * Pools on NFS: the locks that a dead host left there, and whether an image can be used where its VM is to start.
 *
 * INVARIANTS:
 * - Only one host's state is ever released, named by evidence; nothing here restarts a service, unlocks a file system or a server address, or
 *   mounts without locks.
 * - "Free" is read: from the server's own tables, or by taking the lock on the target host.
 */
import type { StorageLocksPort, StorageReadiness, VolumesPort } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { LockStrategy } from '../../domain/fleet';
import type { HostId, PoolId } from '../../domain/ids';
import { mayBeShared } from '../../domain/records';
import { Nfs3Notify } from './nfs3-notify';
import { Nfs4Expire, Nfs4Lease } from './nfs4';
import { NfsAppliance } from './nfs-appliance';
import { type LockReleaser, type NfsPool, type NfsWorld, notReleased } from './nfs-pool';
import { obstacle, sightsFrom, targetScript, type TargetSight } from './on-target';

export interface NfsStorageOptions extends NfsWorld {
  readonly pools: readonly NfsPool[];
}

export interface NfsStorage {
  serves(pool: PoolId): boolean;
  readonly storageLocks: StorageLocksPort;
  readonly volumes: VolumesPort;
}

export const nfsStrategies = ['nfs3-notify', 'nfs4-expire', 'nfs4-lease', 'nfs-appliance'] as const;

/** Above the script's own patience with one image, which it looks at all at once. */
const targetMs = 30_000;

export function createNfsStorage(options: NfsStorageOptions): NfsStorage {
  const releasers: Readonly<Record<(typeof nfsStrategies)[number], LockReleaser>> = {
    'nfs3-notify': new Nfs3Notify(options),
    'nfs4-expire': new Nfs4Expire(options),
    'nfs4-lease': new Nfs4Lease(options),
    'nfs-appliance': new NfsAppliance(options),
  };
  const find = (id: PoolId): { pool: NfsPool; releaser: LockReleaser } => {
    const pool = options.pools.find((p) => p.id === id);
    const releaser = (releasers as Partial<Record<LockStrategy, LockReleaser>>)[
      pool?.lockStrategy ?? 'unsupported'
    ];
    if (pool === undefined || releaser === undefined)
      throw new DriverFault('POOL_UNSUPPORTED', { pool: id, vm: 'its VMs' });
    return { pool, releaser };
  };
  const serves = (id: PoolId): boolean =>
    options.pools.some((p) => p.id === id && Object.hasOwn(releasers, p.lockStrategy));
  return { serves, storageLocks: locksPort(options, find), volumes: imagesPort(options, find) };
}

type Find = (id: PoolId) => { pool: NfsPool; releaser: LockReleaser };

function locksPort(options: NfsStorageOptions, find: Find): StorageLocksPort {
  return {
    strategies: nfsStrategies,
    async list(id, images, suspect, signal) {
      const { pool, releaser } = find(id);
      const locks = await releaser.list(pool, images, suspect, signal);
      const knows = pool.shell === undefined ? 'probe-only' : releaser.knows;
      return { poolId: id, observedAt: new Date().toISOString(), knows, locks };
    },
    async release(id, locks, evidence, signal) {
      const { pool, releaser } = find(id);
      const foreign = locks.find((l) => l.owner !== evidence.hostId);
      if (foreign !== undefined)
        throw notReleased(
          pool,
          evidence.hostId,
          `${foreign.path} is not locked by the host that the evidence is about`,
        );
      await releaser.release(pool, locks, evidence, signal);
    },
    async probe(id, image, from, signal) {
      find(id);
      const [sight] = await lookFrom(options, from, [image], signal);
      if (sight?.says === 'free' || sight?.says === 'held') return sight.says;
      const detail = sight === undefined ? 'nothing was looked at' : (obstacle(sight) ?? '');
      throw new DriverFault('HOST_COMMAND_FAILED', { host: from, detail });
    },
  };
}

function imagesPort(options: NfsStorageOptions, find: Find): VolumesPort {
  return {
    async makeReady(permit, disks, signal): Promise<StorageReadiness> {
      const { target: host, vmId: vm } = permit;
      for (const { poolId } of disks) if (poolId !== undefined) find(poolId);
      const sights = await lookFrom(
        options,
        host,
        disks.map((d) => d.path),
        signal,
        disks.filter(mayBeShared).map((d) => d.path),
      );
      const detail = sights.flatMap((s) => obstacle(s) ?? []).join('; ');
      if (detail === '') return { ready: true, activated: [] };
      // Whoever holds it holds it wherever the VM would be started.
      const everywhere = sights.some((s) => s.says === 'held') && ({ everywhere: 'yes' } as const);
      return { ready: false, fault: fault('STORAGE_NOT_READY', { vm, host, detail, ...everywhere }) };
    },
    // Images are known by their paths.
    identify: (_host, disks) => Promise.resolve([...disks]),
    // `makeReady` only looks, so there is nothing to take back.
    standDown: () => Promise.resolve(),
  };
}

async function lookFrom(
  options: NfsStorageOptions,
  host: HostId,
  paths: readonly string[],
  signal: AbortSignal,
  shared: readonly string[] = [],
): Promise<TargetSight[]> {
  const distinct = [...new Set(paths)];
  const asked = distinct.map((path) => (shared.includes(path) ? `shared:${path}` : path));
  const end = await options.runOnHost(host, targetScript, asked, targetMs, signal);
  if (end.code === 0 && end.stdout.trimEnd().endsWith('complete')) return sightsFrom(distinct, end.stdout);
  const detail = `the look at its images failed: ${end.stderr.trim().slice(0, 200) || `exit code ${end.code}`}`;
  throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
}
