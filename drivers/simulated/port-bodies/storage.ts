import type { HeldLock, StorageAccessPort, StorageLocksPort, VolumesPort } from '../../../activities/ports';
import { DriverFault, fault } from '../../../domain/faults';
import type { LockStrategy } from '../../../domain/fleet';
import type { HostId, PoolId } from '../../../domain/ids';
import type { Served } from '../call-context';
import type { ImageLock } from '../shared-storage';
import type { World } from '../world';
import type { PoolSpec } from '../world-spec';
import { reach } from './host-commands';

export const simulatedStrategies: readonly LockStrategy[] = [
  'none',
  'nfs3-notify',
  'nfs4-expire',
  'nfs4-lease',
  'nfs-appliance',
];

export function storageLocksBody(world: World): Served<StorageLocksPort> {
  return {
    async list(pool, images, _suspect, context) {
      const spec = supported(world, pool);
      await context.wait(world.costs.readMs);
      const base = { poolId: pool, observedAt: world.now() };
      if (spec.lockStrategy === 'none') return { ...base, knows: 'none', locks: [] };
      const locks = images.map((i) => world.storage.lockOn(i)).filter((l) => l !== undefined);
      return { ...base, knows: 'locks', locks: locks.map((l) => heldLock(world, l)) };
    },

    async release(pool, locks, evidence, context) {
      const spec = supported(world, pool);
      const blocked = (detail: string): DriverFault =>
        new DriverFault('LOCKS_NOT_RELEASED', { host: evidence.hostId, pool, detail });
      const foreign = locks.find((l) => l.owner !== evidence.hostId);
      if (foreign !== undefined)
        throw blocked(`${foreign.path} is not locked by the host that the evidence is about`);
      await context.wait(world.costs.readMs);
      if (locks.length > 0 && spec.lockStrategy === 'none')
        throw blocked('this pool has no locks to release');
      for (const lock of locks) {
        const now = world.storage.lockOn(lock.path);
        // Another id: the lock asked for is gone, and somebody has taken a new one since.
        if (now?.lockId !== lock.lockId) continue;
        if (spec.lockStrategy === 'nfs4-lease')
          throw new DriverFault('HOST_COMMAND_FAILED', {
            host: `the server of ${pool}`,
            detail: 'the lease is not over yet',
          });
        world.storage.release(lock.path);
        world.journal.effect({
          ...{ effect: 'lock-released', poolId: pool, path: lock.path, owner: now.owner, evidence },
          ownerAlive: world.hosts.get(now.owner as HostId)?.power === 'on',
        });
      }
    },

    async probe(pool, image, from, context) {
      supported(world, pool);
      await reach(world, from, context);
      return world.storage.lockOn(image) === undefined ? 'free' : 'held';
    },
  };
}

export function storageAccessBody(world: World): Served<StorageAccessPort> {
  const known = (pool: PoolId, host: HostId): void => {
    if (world.storage.pool(pool)?.cutAccess === undefined)
      throw new DriverFault('POOL_UNSUPPORTED', { pool, vm: 'its VMs' });
    world.host(host);
  };
  return {
    async read(pool, host, context) {
      known(pool, host);
      await context.wait(world.costs.readMs);
      return world.storage.isCut(pool, host) ? 'cut' : 'open';
    },
    async cut(pool, host, context) {
      known(pool, host);
      await context.wait(world.costs.readMs);
      if (world.storage.setCut(pool, host, true))
        world.journal.effect({ effect: 'access-cut', poolId: pool, hostId: host });
    },
    async restore(pool, host, context) {
      known(pool, host);
      await context.wait(world.costs.readMs);
      if (world.storage.setCut(pool, host, false))
        world.journal.effect({ effect: 'access-restored', poolId: pool, hostId: host });
    },
  };
}

export function volumesBody(world: World): Served<VolumesPort> {
  return {
    async makeReady(permit, disks, context) {
      const { target, vmId } = permit;
      await reach(world, target, context);
      const by = `${permit.incidentId}/${vmId}`;
      const notReady = (detail: string, everywhere?: 'everywhere') =>
        ({
          ready: false,
          fault: fault('STORAGE_NOT_READY', {
            ...{ vm: vmId, host: target, detail },
            ...(everywhere !== undefined && { everywhere: 'yes' }),
          }),
        }) as const;
      const activated: string[] = [];
      for (const { path, volume } of disks) {
        const disk = world.storage.disks.get(path);
        const sight = disk?.sightOn.get(target) ?? disk?.sight ?? 'missing';
        if (disk === undefined || sight !== 'usable') return notReady(`${path} is ${sight}`);
        if (world.storage.isCut(disk.poolId, target)) return notReady(`${path} is read-only there`);
        // As a look at an NFS mount finds it, which asks for the lock.
        const guarded = world.storage.pool(disk.poolId)?.lockStrategy.startsWith('nfs') === true;
        const lock = guarded && !disk.shareable ? world.storage.lockOn(path) : undefined;
        if (lock !== undefined && lock.owner !== target)
          return notReady(`${path} is locked by somebody`, 'everywhere');
        if (!world.storage.needsActivation(disk)) continue;
        if (volume !== undefined && volume.volume !== disk.identity)
          return notReady(`${path} is another volume now: ${disk.identity}, and it was ${volume.volume}`);
        const elsewhere = [...disk.activeOn.keys()].find((h) => h !== target);
        if (elsewhere !== undefined) return notReady(`${path} is active on ${elsewhere}`, 'everywhere');
        if (!disk.activeOn.has(target)) {
          disk.activeOn.set(target, by);
          world.journal.effect({ effect: 'storage-activated', path, hostId: target, by });
        }
        if (disk.activeOn.get(target) === by) activated.push(path);
      }
      return { ready: true, activated };
    },

    async identify(host, disks, context) {
      await reach(world, host, context);
      return disks.map((disk) => {
        const known = world.storage.disks.get(disk.path);
        if (known === undefined || !world.storage.needsActivation(known)) return disk;
        return { ...disk, volume: { group: `uuid-of-${known.poolId}`, volume: known.identity } };
      });
    },

    async standDown(host, activated, context) {
      await reach(world, host, context);
      for (const path of activated) {
        const disk = world.storage.disks.get(path);
        const by = disk?.activeOn.get(host);
        if (disk === undefined || by === undefined || by === 'boot' || by === 'hand') continue;
        const user = world.processesOn(host).find((p) => p.definition.disks.some((d) => d.path === path));
        if (user !== undefined)
          throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: `${path} is in use by ${user.name}` });
        disk.activeOn.delete(host);
        world.journal.effect({ effect: 'storage-deactivated', path, hostId: host, by });
      }
    },
  };
}

function supported(world: World, id: PoolId): PoolSpec {
  const spec = world.storage.pool(id);
  if (spec === undefined || !simulatedStrategies.includes(spec.lockStrategy))
    throw new DriverFault('POOL_UNSUPPORTED', { pool: id, vm: 'its VMs' });
  return spec;
}

function heldLock(world: World, lock: ImageLock): HeldLock {
  const { poolId, path, lockId, owner } = lock;
  const ours = world.hosts.has(owner as HostId);
  return { poolId, path, lockId, owner: ours ? (owner as HostId) : { foreign: owner } };
}
