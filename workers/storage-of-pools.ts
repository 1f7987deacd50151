/** Many kinds of pool behind one port: each disk and each lock goes to the driver that serves its pool. */
import type { StorageLocksPort, StorageReadiness, VolumesPort } from '../activities/ports';
import { DriverFault, fault } from '../domain/faults';
import type { LockStrategy } from '../domain/fleet';
import type { PoolId } from '../domain/ids';
import type { VmDisk } from '../domain/records';

export interface PoolDriver {
  readonly serves: (pool: PoolId) => boolean;
  readonly strategies: readonly LockStrategy[];
  readonly volumes: VolumesPort;
  readonly storageLocks: Pick<StorageLocksPort, 'list' | 'release' | 'probe'>;
}

export function storageOfPools(drivers: readonly PoolDriver[]): {
  volumes: VolumesPort;
  storageLocks: StorageLocksPort;
} {
  const serving = (pool: PoolId): PoolDriver => {
    const found = drivers.find((d) => d.serves(pool));
    if (found === undefined) throw new DriverFault('POOL_UNSUPPORTED', { pool });
    return found;
  };
  const storageLocks: StorageLocksPort = {
    strategies: [...new Set(drivers.flatMap((d) => d.strategies))],
    // Async throughout, so that a pool that nobody serves is a rejection like every other fault.
    list: async (pool, images, suspect, signal) =>
      serving(pool).storageLocks.list(pool, images, suspect, signal),
    release: async (pool, locks, evidence, signal) =>
      serving(pool).storageLocks.release(pool, locks, evidence, signal),
    probe: async (pool, image, from, signal) => serving(pool).storageLocks.probe(pool, image, from, signal),
  };
  return { volumes: volumesOf(drivers), storageLocks };
}

function volumesOf(drivers: readonly PoolDriver[]): VolumesPort {
  const own = (driver: PoolDriver, disks: readonly VmDisk[]): VmDisk[] =>
    disks.filter((d) => d.poolId !== undefined && driver.serves(d.poolId));
  return {
    async makeReady(permit, disks, signal): Promise<StorageReadiness> {
      const orphan = disks.find(
        (d) => d.poolId === undefined || !drivers.some((s) => own(s, [d]).length > 0),
      );
      if (orphan !== undefined) {
        const pool = orphan.poolId ?? `of ${orphan.path}`;
        return { ready: false, fault: fault('POOL_UNSUPPORTED', { pool, vm: permit.vmId }) };
      }
      const activated: string[] = [];
      for (const driver of drivers) {
        const mine = own(driver, disks);
        if (mine.length === 0) continue;
        const part = await driver.volumes.makeReady(permit, mine, signal);
        if (!part.ready) return part;
        activated.push(...part.activated);
      }
      return { ready: true, activated };
    },
    async identify(host, disks, signal) {
      let known = [...disks];
      for (const driver of drivers)
        if (own(driver, known).length > 0) known = await driver.volumes.identify(host, known, signal);
      return known;
    },
    async standDown(host, activated, signal) {
      if (activated.length === 0) return;
      for (const driver of drivers) await driver.volumes.standDown(host, activated, signal);
    },
  };
}
