/** Which hosts an NFS server lets write: `cutAccess: exportfs`, over the shell on the server. */
import type { StorageAccessPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId, PoolId } from '../../domain/ids';
import {
  type CutTarget,
  cutScript,
  cutTargets,
  cutWords,
  exportsFrom,
  exportsScript,
  type ExportTable,
  forgetScript,
  overlaps,
  restoreScript,
  restoreWords,
  whyOpen,
} from './exports';
import { namesOf, type NfsPool, type NfsWorld, onServer, understood, unreadable } from './nfs-pool';

/** Above what `getent` may take for a few names. */
const readMs = 15_000;
const actMs = 10_000;

interface Sight {
  readonly pool: NfsPool;
  readonly names: readonly string[];
  readonly table: ExportTable;
  readonly targets: readonly CutTarget[];
  readonly open: string | undefined;
}

export function createNfsAccess(world: NfsWorld, pools: readonly NfsPool[]): StorageAccessPort {
  const find = (id: PoolId): NfsPool => {
    const pool = pools.find((p) => p.id === id && p.cutAccess === 'exportfs');
    if (pool === undefined) throw new DriverFault('POOL_UNSUPPORTED', { pool: id, vm: 'its VMs' });
    return pool;
  };
  const look = async (id: PoolId, host: HostId, signal: AbortSignal): Promise<Sight> => {
    const pool = find(id);
    const names = namesOf(world, host);
    if (names.length === 0) throw unreadable(pool, `the config names no storageNames of ${host}`);
    const table = understood(pool, await onServer(pool, exportsScript, [host], readMs, signal), exportsFrom);
    const targets = cutTargets(table, pool.exportPath, names);
    if (targets.length === 0)
      throw unreadable(pool, `it exports nothing at ${pool.exportPath} to ${names.join(', ')}`);
    return { pool, names, table, targets, open: whyOpen(table, targets, names) };
  };
  const notChanged = (id: PoolId, host: HostId, what: 'cut' | 'restored', detail: string): DriverFault =>
    new DriverFault('ACCESS_NOT_CHANGED', { host, pool: id, what, detail });

  return {
    async read(id, host, signal) {
      return (await look(id, host, signal)).open === undefined ? 'cut' : 'open';
    },

    async cut(id, host, signal) {
      const before = await look(id, host, signal);
      if (before.open === undefined) return;
      await onServer(before.pool, cutScript, [host, ...cutWords(before.targets)], actMs, signal);
      const { open } = await look(id, host, signal);
      if (open !== undefined) throw notChanged(id, host, 'cut', open);
    },

    async restore(id, host, signal) {
      const before = await look(id, host, signal);
      const marks = before.table.marks.filter((m) => overlaps(m.path, before.pool.exportPath));
      const words = restoreWords(before.table, marks);
      if (words.length > 0) await onServer(before.pool, restoreScript, words, actMs, signal);
      const after = words.length > 0 ? await look(id, host, signal) : before;
      if (after.open === undefined)
        throw notChanged(
          id,
          host,
          'restored',
          'its server exports it for reading only, and not by our doing',
        );
      if (marks.length > 0)
        await onServer(
          before.pool,
          forgetScript,
          [host, ...marks.flatMap((m) => [m.path, m.client])],
          actMs,
          signal,
        );
    },
  };
}
