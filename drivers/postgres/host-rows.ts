import { asc, eq, and, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { HostRecord } from '../../domain/records';
import type { Connections, Db } from './connection';
import { prepared } from './prepared';
import { hosts } from './schema';
import { inOrder, together } from './together';

type HostRow = typeof hosts.$inferSelect;
type HostChange = Parameters<InventoryPort['updateHost']>[2];

/** A quiet host's "last seen" is written no more often than this: a fleet at rest should leave the disk at rest. */
const seenEveryMs = 5_000;

const record = (row: HostRow): HostRecord => ({
  ...row,
  bootId: row.bootId ?? undefined,
  lastSeenAt: row.lastSeenAt ?? undefined,
});

export const hostRows = (
  connections: Connections,
): Pick<InventoryPort, 'ensureHosts' | 'hosts' | 'host' | 'updateHost'> => {
  const one = together(async (ids: readonly HostId[]) => {
    const rows = await connections.run((db) => someHosts(db).execute({ ids: [...new Set(ids)] }));
    return inOrder(ids, rows.map(record), (host) => host.hostId);
  });
  return {
    async ensureHosts(declared) {
      if (declared.length === 0) return;
      const rows = declared.map(({ hostId, clusterId }) => ({ hostId, clusterId }));
      await connections.run((db) => db.insert(hosts).values(rows).onConflictDoNothing());
    },

    async hosts(filter = {}) {
      const { clusterId } = filter;
      const rows = await connections.run((db) =>
        clusterId === undefined ? allHosts(db).execute() : clusterHosts(db).execute({ clusterId }),
      );
      return rows.map(record);
    },

    host: one,

    updateHost: (id, expectedVersion, change) =>
      connections.run((db) => update(db, id, expectedVersion, change), { host: id }),
  };
};

const allHosts = prepared((db) => db.select().from(hosts).orderBy(asc(hosts.hostId)).prepare('all_hosts'));

const clusterHosts = prepared((db) =>
  db
    .select()
    .from(hosts)
    .where(eq(hosts.clusterId, sql.placeholder('clusterId')))
    .orderBy(asc(hosts.hostId))
    .prepare('cluster_hosts'),
);

const someHosts = prepared((db) =>
  db
    .select()
    .from(hosts)
    .where(sql`${hosts.hostId} = any(${sql.placeholder('ids')})`)
    .prepare('some_hosts'),
);

const oneHost = prepared((db) =>
  db
    .select()
    .from(hosts)
    .where(eq(hosts.hostId, sql.placeholder('id')))
    .prepare('one_host'),
);

/** Makes "read what is there, then change it" one act per host. It does not hinder the foreign keys that name the host. */
const hostLock = prepared((db) =>
  db
    .select({ id: hosts.hostId })
    .from(hosts)
    .where(eq(hosts.hostId, sql.placeholder('id')))
    .for('no key update')
    .prepare('host_lock'),
);

/** Holds the host's row until the transaction ends. */
export async function lockHost(db: Db, id: HostId): Promise<void> {
  const [host] = await hostLock(db).execute({ id });
  if (host === undefined) throw await unknownHost(db, id);
}

export async function readHost(db: Db, id: HostId): Promise<HostRecord | undefined> {
  const [row] = await oneHost(db).execute({ id });
  return row === undefined ? undefined : record(row);
}

async function unknownHost(db: Db, id: HostId): Promise<DriverFault> {
  const known = await db.select({ id: hosts.hostId }).from(hosts).orderBy(asc(hosts.hostId)).limit(20);
  return new DriverFault('UNKNOWN_HOST', { host: id, known: known.map((h) => h.id).join(', ') || 'none' });
}

const standingNow = sql`coalesce(${sql.placeholder('standing')}::text, ${hosts.standing})`;
const bootNow = sql`case when ${sql.placeholder('keepsBoot')}::boolean then ${hosts.bootId} else ${sql.placeholder('bootId')}::text end`;
const seenNow = sql`${sql.placeholder('lastSeenAt')}::timestamptz`;
const isNews = sql`(${standingNow} <> ${hosts.standing} or ${bootNow} is distinct from ${hosts.bootId})`;

/** The whole change in one statement, where it is worth writing; no row says that it is not, or that the row has moved on. */
const changeHost = prepared((db) =>
  db
    .update(hosts)
    .set({
      standing: standingNow,
      bootId: bootNow,
      lastSeenAt: sql`greatest(${hosts.lastSeenAt}, ${seenNow})`,
      // Being seen is no change that anybody's decision rests on: it must not make another's write lose its race.
      version: sql`${hosts.version} + case when ${isNews} then 1 else 0 end`,
    })
    .where(
      and(
        eq(hosts.hostId, sql.placeholder('id')),
        eq(hosts.version, sql.placeholder('version')),
        sql`(${isNews} or coalesce(${seenNow} - ${hosts.lastSeenAt} >= ${sql.raw(`interval '${seenEveryMs} ms'`)}, ${seenNow} is not null))`,
      ),
    )
    .returning()
    .prepare('change_host'),
);

async function update(db: Db, id: HostId, version: number, change: HostChange): Promise<HostRecord> {
  const { standing = null, bootId = null, lastSeenAt = null } = change;
  const keepsBoot = !('bootId' in change);
  const [after] = await changeHost(db).execute({ id, version, standing, keepsBoot, bootId, lastSeenAt });
  if (after !== undefined) return record(after);
  const now = await readHost(db, id);
  if (now === undefined) throw await unknownHost(db, id);
  const isThere =
    (change.standing ?? now.standing) === now.standing && (keepsBoot || change.bootId === now.bootId);
  return now.version === version && isThere ? now : repeated(now, version, change);
}

/** The row has moved on. By exactly this change: then it is our own write, repeated. Otherwise somebody else's. */
function repeated(now: HostRecord, expectedVersion: number, change: HostChange): HostRecord {
  const decides = 'standing' in change || 'bootId' in change;
  const same =
    (!('standing' in change) || change.standing === now.standing) &&
    (!('bootId' in change) || change.bootId === now.bootId);
  if (decides && same && now.version === expectedVersion + 1) return now;
  throw new DriverFault('RECORD_CHANGED', { what: now.hostId });
}
