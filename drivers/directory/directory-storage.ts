/**
 * Pools that are a shared directory (or an NFS export declared so) and carry no locks between hosts (`lockStrategy: none`). There is nothing to release and nothing to
 * activate: the evidence alone decides, and a disk is ready when it can be read where the VM is to start.
 */
import type {
  HostCommandsPort,
  StorageLocksPort,
  StorageReadiness,
  VolumesPort,
} from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { PoolId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';

export interface DirectoryStorageOptions {
  readonly pools: readonly Pool[];
  readonly inspectDisks: HostCommandsPort['inspectDisks'];
}

export interface DirectoryStorage {
  readonly storageLocks: StorageLocksPort;
  readonly volumes: VolumesPort;
}

export function createDirectoryStorage(options: DirectoryStorageOptions): DirectoryStorage {
  const served = (id: PoolId): boolean =>
    options.pools.some(
      (p) => p.id === id && (p.type === 'dir' || p.type === 'nfs') && p.lockStrategy === 'none',
    );
  return { storageLocks: noLocks(served), volumes: plainFiles(options, served) };
}

function noLocks(served: (pool: PoolId) => boolean): StorageLocksPort {
  const check = (pool: PoolId): void => {
    if (!served(pool)) throw new DriverFault('POOL_UNSUPPORTED', { pool });
  };
  return {
    strategies: ['none'],
    // Async throughout, so that a pool of another kind is a rejection like every other fault.
    async list(pool) {
      check(pool);
      return Promise.resolve({
        poolId: pool,
        observedAt: new Date().toISOString(),
        knows: 'none',
        locks: [],
      });
    },
    async release(pool, locks, evidence) {
      check(pool);
      if (locks.length === 0) return Promise.resolve();
      throw new DriverFault('LOCKS_NOT_RELEASED', {
        host: evidence.hostId,
        pool,
        detail: 'a pool with lock strategy "none" has no locks that could be released',
      });
    },
    async probe(pool) {
      check(pool);
      return Promise.resolve('free');
    },
  };
}

function plainFiles(options: DirectoryStorageOptions, served: (pool: PoolId) => boolean): VolumesPort {
  return {
    async makeReady(permit, disks, signal): Promise<StorageReadiness> {
      const foreign = disks.find((d) => d.poolId !== undefined && !served(d.poolId));
      if (foreign?.poolId !== undefined)
        return { ready: false, fault: fault('POOL_UNSUPPORTED', { pool: foreign.poolId, vm: permit.vmId }) };
      const detail = await whatIsWrong(options, permit.target, disks, signal);
      if (detail === '') return { ready: true, activated: [] };
      return {
        ready: false,
        fault: fault('STORAGE_NOT_READY', { vm: permit.vmId, host: permit.target, detail }),
      };
    },
    // Files are known by their paths.
    identify: (_host, disks) => Promise.resolve([...disks]),
    // `makeReady` activates nothing, so there is nothing to take back.
    standDown: () => Promise.resolve(),
  };
}

async function whatIsWrong(
  { inspectDisks }: DirectoryStorageOptions,
  ...[host, disks, signal]: [Parameters<HostCommandsPort['inspectDisks']>[0], readonly VmDisk[], AbortSignal]
): Promise<string> {
  const sights = await inspectDisks(host, disks, signal);
  return sights
    .flatMap((s) => (s.seen === 'usable' ? [] : [`${s.path} is ${s.seen} (${s.detail})`]))
    .join('; ');
}
