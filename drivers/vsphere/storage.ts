/**
 * Datastores of ESXi hosts. Their locks are files beside the disks, kept by the hosts and ended by their silence; no server releases them,
 * so no other strategy than `none` may be claimed for such a pool. Whoever holds one shows when the VM is switched on.
 */
import type { HostCommandsPort, StorageLocksPort, VolumesPort } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { PoolId } from '../../domain/ids';
import { createNoLocks } from '../no-locks';

export interface VsphereStorage {
  readonly storageLocks: StorageLocksPort;
  readonly volumes: VolumesPort;
}

export function vsphereStorage(
  pools: readonly Pool[],
  inspectDisks: HostCommandsPort['inspectDisks'],
): VsphereStorage {
  const served = (id: PoolId): boolean => pools.some((p) => p.id === id && p.lockStrategy === 'none');
  return {
    storageLocks: createNoLocks(served, 'an ESXi host keeps its locks itself; they end when it is off'),
    volumes: {
      async makeReady(permit, disks, signal) {
        const foreign = disks.find((d) => d.poolId !== undefined && !served(d.poolId))?.poolId;
        if (foreign !== undefined)
          return { ready: false, fault: fault('POOL_UNSUPPORTED', { pool: foreign, vm: permit.vmId }) };
        const sights = await inspectDisks(permit.target, disks, signal);
        const wrong = sights.flatMap((s) =>
          s.seen === 'usable' ? [] : [`${s.path} is ${s.seen} (${s.detail})`],
        );
        if (wrong.length === 0) return { ready: true, activated: [] };
        const facts = { vm: permit.vmId, host: permit.target, detail: wrong.join('; ') };
        return { ready: false, fault: fault('STORAGE_NOT_READY', facts) };
      },
      // Nothing is activated, so there is nothing to take back.
      identify: (_host, disks) => Promise.resolve([...disks]),
      standDown: () => Promise.resolve(),
    },
  };
}
