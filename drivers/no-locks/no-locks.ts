/** The strategy `none`: pools that keep no locks between hosts, or whose locks end with their holder. The evidence alone decides. */
import type { StorageLocksPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { PoolId } from '../../domain/ids';

/**
 * Lists nothing and calls every image free, and says that it knows nothing (`knows: 'none'`).
 *
 * @param why a sentence's part, for whoever asks for the release of a lock that cannot exist: "logical volumes carry no locks"
 * @throws `POOL_UNSUPPORTED` for a pool that is not `served`; `LOCKS_NOT_RELEASED` when there is a lock to release
 */
export function createNoLocks(served: (pool: PoolId) => boolean, why: string): StorageLocksPort {
  const check = (pool: PoolId): void => {
    if (!served(pool)) throw new DriverFault('POOL_UNSUPPORTED', { pool });
  };
  return {
    strategies: ['none'],
    // Async throughout, so that a pool of another kind is a rejection like every other fault.
    async list(pool) {
      check(pool);
      return Promise.resolve({
        ...{ poolId: pool, observedAt: new Date().toISOString() },
        ...{ knows: 'none', locks: [] },
      });
    },
    async release(pool, locks, evidence) {
      check(pool);
      if (locks.length === 0) return Promise.resolve();
      throw new DriverFault('LOCKS_NOT_RELEASED', { host: evidence.hostId, pool, detail: why });
    },
    async probe(pool) {
      check(pool);
      return Promise.resolve('free');
    },
  };
}
