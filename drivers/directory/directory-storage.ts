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
import { fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { PoolId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import { createNoLocks } from '../no-locks';

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
  const why = 'a pool with lock strategy "none" has no locks that could be released';
  return { storageLocks: createNoLocks(served, why), volumes: plainFiles(options, served) };
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
