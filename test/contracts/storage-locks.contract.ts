import type { HeldLock, StorageLocksPort } from '../../activities/ports';
import type { FenceEvidence } from '../../domain/evidence';
import type { LockStrategy } from '../../domain/fleet';
import { type HostId, poolId, type PoolId } from '../../domain/ids';
import { type ContractCase, faultCode, notAborted } from './contract';
import { evidenceAbout } from './permits';

export interface StorageLocksSubject {
  readonly port: StorageLocksPort;
  readonly pool: PoolId;
  readonly strategy: LockStrategy;
  /** `a` runs the guest of `imageOfA`, `b` that of `imageOfB`; both are on the pool. */
  readonly a: HostId;
  readonly b: HostId;
  readonly imageOfA: string;
  readonly imageOfB: string;
  readonly world: {
    powerOff(host: HostId): Promise<void>;
    /** Locks an image in the name of somebody outside the fleet. */
    lockByStranger(image: string): Promise<void>;
    freeImage(image: string): Promise<void>;
  };
}

const about = (host: HostId): FenceEvidence => evidenceAbout(host);

export const storageLocksContract: readonly ContractCase<StorageLocksSubject>[] = [
  {
    name: 'names the strategy of the pool among those it masters',
    async run({ port, strategy }) {
      expect(port.strategies).toContain(strategy);
      expect(port.strategies).not.toContain('unsupported');
    },
  },
  {
    name: 'says what it knows of locks, and when it read it',
    async run({ port, pool, a, imageOfA }) {
      const listing = await port.list(pool, [imageOfA], a, notAborted());
      expect(listing.poolId).toBe(pool);
      expect(['locks', 'probe-only', 'none']).toContain(listing.knows);
      if (listing.knows === 'none') expect(listing.locks).toEqual([]);
      expect(Date.now() - Date.parse(listing.observedAt)).toBeLessThan(5_000);
    },
  },
  {
    name: 'has nothing to say of a pool it does not know',
    async run({ port, a, imageOfA }) {
      const call = port.list(poolId('no-such-pool'), [imageOfA], a, notAborted());
      expect(await faultCode(call)).toBe('POOL_UNSUPPORTED');
    },
  },
  {
    name: 'takes a release of nothing as done',
    async run({ port, pool, a, imageOfB }) {
      await port.release(pool, [], about(a), notAborted());
      const { locks } = await port.list(pool, [imageOfB], a, notAborted());
      expect(locks.filter((l) => l.owner === a)).toEqual([]);
    },
  },
  {
    name: 'finds the locks of a host that lost its power still held, by that host',
    needs: 'server-locks',
    async run({ port, pool, a, b, imageOfA, world }) {
      await world.powerOff(a);
      const { locks, knows } = await port.list(pool, [imageOfA], a, notAborted());
      expect(knows).toBe('locks');
      expect(locks).toMatchObject([{ poolId: pool, path: imageOfA, owner: a }]);
      expect(await port.probe(pool, imageOfA, b, notAborted())).toBe('held');
    },
  },
  {
    name: 'releases the dead host’s locks and no others',
    needs: 'server-locks',
    async run({ port, pool, a, b, imageOfA, imageOfB, world }) {
      await world.powerOff(a);
      const both = await port.list(pool, [imageOfA, imageOfB], a, notAborted());
      const dead = both.locks.filter((l) => l.owner === a);
      await port.release(pool, dead, about(a), notAborted());
      const after = await port.list(pool, [imageOfA, imageOfB], a, notAborted());
      expect(after.locks.map((l) => [l.path, l.owner])).toEqual([[imageOfB, b]]);
      expect(await port.probe(pool, imageOfA, b, notAborted())).toBe('free');
    },
  },
  {
    name: 'takes a release that was made already as done',
    needs: 'server-locks',
    async run({ port, pool, a, imageOfA, world }) {
      await world.powerOff(a);
      const { locks } = await port.list(pool, [imageOfA], a, notAborted());
      await port.release(pool, locks, about(a), notAborted());
      await port.release(pool, locks, about(a), notAborted());
      expect((await port.list(pool, [imageOfA], a, notAborted())).locks).toEqual([]);
    },
  },
  {
    name: 'refuses to release a lock of another host than the evidence is about',
    needs: 'server-locks',
    async run({ port, pool, a, b, imageOfB }) {
      const { locks } = await port.list(pool, [imageOfB], a, notAborted());
      expect(await faultCode(port.release(pool, locks, about(a), notAborted()))).toBe('LOCKS_NOT_RELEASED');
      expect((await port.list(pool, [imageOfB], a, notAborted())).locks).toMatchObject([{ owner: b }]);
    },
  },
  {
    name: 'never releases a lock that was taken anew since it was listed',
    needs: 'server-locks',
    async run({ port, pool, a, imageOfA, world }) {
      await world.powerOff(a);
      const { locks } = await port.list(pool, [imageOfA], a, notAborted());
      await world.freeImage(imageOfA);
      await world.lockByStranger(imageOfA);
      await port.release(pool, locks, about(a), notAborted()).catch(() => undefined);
      const after: readonly HeldLock[] = (await port.list(pool, [imageOfA], a, notAborted())).locks;
      expect(after).toHaveLength(1);
      expect(after[0]?.owner).not.toBe(a);
    },
  },
  {
    name: 'shows a stranger’s lock as a stranger’s',
    needs: 'server-locks',
    async run({ port, pool, a, imageOfA, world }) {
      await world.freeImage(imageOfA);
      await world.lockByStranger(imageOfA);
      const { locks } = await port.list(pool, [imageOfA], a, notAborted());
      expect(locks[0]?.owner).toHaveProperty('foreign');
    },
  },
];
