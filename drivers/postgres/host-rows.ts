import { asc, eq, and, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { millisOf, type Timestamp } from '../../domain/observations';
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
      const where = filter.clusterId === undefined ? undefined : eq(hosts.clusterId, filter.clusterId);
      const rows = await connections.run((db) =>
        db.select().from(hosts).where(where).orderBy(asc(hosts.hostId)),
      );
      return rows.map(record);
    },

    host: one,

    updateHost: (id, expectedVersion, change) =>
      connections.run((db) => update(db, id, expectedVersion, change), { host: id }),
  };
};

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

async function update(db: Db, id: HostId, expectedVersion: number, change: HostChange): Promise<HostRecord> {
  const before = await readHost(db, id);
  if (before === undefined) throw await unknownHost(db, id);
  if (before.version !== expectedVersion) return repeated(before, expectedVersion, change);
  const next = { ...before, ...change, lastSeenAt: later(before.lastSeenAt, change.lastSeenAt) };
  const changed = next.standing !== before.standing || next.bootId !== before.bootId;
  if (!changed && !worthWriting(before.lastSeenAt, next.lastSeenAt)) return before;
  const [after] = await db
    .update(hosts)
    .set({
      standing: next.standing,
      bootId: next.bootId ?? null,
      lastSeenAt: next.lastSeenAt ?? null,
      // Being seen is no change that anybody's decision rests on: it must not make another's write lose its race.
      version: changed ? sql`${hosts.version} + 1` : hosts.version,
    })
    .where(and(eq(hosts.hostId, id), eq(hosts.version, expectedVersion)))
    .returning();
  if (after !== undefined) return record(after);
  const winner = await readHost(db, id);
  return repeated(winner ?? before, expectedVersion, change);
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

function later(a: Timestamp | undefined, b: Timestamp | undefined): Timestamp | undefined {
  if (a === undefined || b === undefined) return b ?? a;
  return millisOf(b) > millisOf(a) ? b : a;
}

function worthWriting(before: Timestamp | undefined, next: Timestamp | undefined): boolean {
  if (next === undefined) return false;
  return before === undefined || millisOf(next) - millisOf(before) >= seenEveryMs;
}
