import { createHash } from 'node:crypto';
import { and, asc, desc, eq, inArray, lt, ne, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { InventoryPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { VmId } from '../../domain/ids';
import type { StoredDefinition, VmRecord } from '../../domain/records';
import { canonicalJson } from '../../domain/timeline';
import type { Connections, Db } from './connection';
import { prepared } from './prepared';
import { definitions, sightings, vms } from './schema';
import { storableText } from './storable';
import { inOrder, together } from './together';

export type VmRow = typeof vms.$inferSelect;
type VmChange = Parameters<InventoryPort['updateVm']>[2];

export const vmRecord = (row: VmRow): VmRecord => ({
  vmId: row.vmId,
  name: row.name,
  clusterId: row.clusterId,
  hostId: row.hostId,
  desired: row.desired,
  observed: { state: row.observedState, reason: row.observedReason, at: row.observedAt },
  protected: row.protected,
  persistent: row.persistent,
  priority: row.priority,
  antiAffinity: row.antiAffinity ?? undefined,
  shape: {
    memoryMiB: row.memoryMiB,
    vcpus: row.vcpus,
    disks: row.disks.map((d) => ({ ...d, poolId: d.poolId })),
    networks: row.networks,
    consolePath: row.consolePath ?? undefined,
  },
  definitionVersion: row.definitionVersion,
  epoch: row.epoch,
  version: row.version,
});

export const vmRows = (
  connections: Connections,
): Pick<
  InventoryPort,
  | 'vms'
  | 'vmsMark'
  | 'vm'
  | 'updateVm'
  | 'redefineVm'
  | 'definition'
  | 'sightings'
  | 'recordSighting'
  | 'removeSighting'
> => {
  const askers = readersOf(connections);
  return {
    async vms(filter = {}) {
      const { ids, notHostId } = filter;
      if (ids?.length === 0) return [];
      // What the watch asks of every list.
      if (ids !== undefined && notHostId !== undefined && Object.keys(filter).length === 2) {
        const elsewhere = await connections.run((db) => notOn(db).execute({ ids: [...ids], notHostId }));
        return elsewhere.map(vmRecord);
      }
      const where = and(
        filter.clusterId === undefined ? undefined : eq(vms.clusterId, filter.clusterId),
        filter.hostId === undefined ? undefined : eq(vms.hostId, filter.hostId),
        filter.notHostId === undefined ? undefined : ne(vms.hostId, filter.notHostId),
        filter.ids === undefined ? undefined : inArray(vms.vmId, [...filter.ids]),
      );
      const rows = await connections.run((db) => db.select().from(vms).where(where).orderBy(asc(vms.vmId)));
      return rows.map(vmRecord);
    },

    async vmsMark(hostId) {
      const [row] = await connections.run((db) => markOf(db).execute({ hostId }));
      return row?.mark ?? '';
    },

    vm: askers.vm,

    updateVm: (id, expectedVersion, change) =>
      connections.run((db) => update(db, askers.vm, id, expectedVersion, change), {
        vm: id,
        ...(change.hostId === undefined ? {} : { host: change.hostId }),
      }),

    redefineVm: (id, expectedVersion, now) =>
      connections.transact((db) => redefine(db, id, expectedVersion, now), { vm: id }),

    definition: askers.definition,

    async sightings(ids) {
      const [only] = ids;
      if (only === undefined) return [];
      if (ids.length === 1) return askers.sightings(only);
      return connections.run((db) => sightingsOf(db).execute({ ids: [...ids] }));
    },

    async recordSighting(vmId, hostId, seenAt) {
      await connections.run((db) => sight(db).execute({ vmId, hostId, seenAt }), { vm: vmId, host: hostId });
    },

    async removeSighting(vmId, hostId) {
      await connections.run((db) => unsight(db).execute({ vmId, hostId }));
    },
  };
};

type DefinitionRow = Awaited<ReturnType<ReturnType<typeof newestDefinitions>['execute']>>[number];

const readersOf = (connections: Connections) => ({
  vm: together(async (ids: readonly VmId[]) => {
    const rows = await connections.run((db) => someVms(db).execute({ ids: [...new Set(ids)] }));
    return inOrder(ids, rows.map(vmRecord), (vm) => vm.vmId);
  }),
  definition: together(async (ids: readonly VmId[]) => {
    const rows = await connections.run((db) => newestDefinitions(db).execute({ ids: [...new Set(ids)] }));
    return inOrder(ids, rows.map(storedDefinition), (d) => d.vmId);
  }),
  sightings: together(async (ids: readonly VmId[]) => {
    const rows = await connections.run((db) => sightingsOf(db).execute({ ids: [...new Set(ids)] }));
    return ids.map((id) => rows.filter((row) => row.vmId === id));
  }),
});

const storedDefinition = ({ vmId, version, text, readFrom, readAt }: DefinitionRow): StoredDefinition => ({
  ...{ vmId, version, text, readFrom, readAt },
});

const someVms = prepared((db) =>
  db
    .select()
    .from(vms)
    .where(sql`${vms.vmId} = any(${sql.placeholder('ids')})`)
    .prepare('some_vms'),
);

const notOn = prepared((db) =>
  db
    .select()
    .from(vms)
    .where(
      and(sql`${vms.vmId} = any(${sql.placeholder('ids')})`, ne(vms.hostId, sql.placeholder('notHostId'))),
    )
    .orderBy(asc(vms.vmId))
    .prepare('vms_not_on'),
);

/** Every change of a row raises its version. */
const markOf = prepared((db) =>
  db
    .select({
      mark: sql<
        string | null
      >`md5(string_agg(${vms.vmId} || ' ' || ${vms.version}, ',' order by ${vms.vmId}))`,
    })
    .from(vms)
    .where(eq(vms.hostId, sql.placeholder('hostId')))
    .prepare('vms_mark'),
);

const newestDefinitions = prepared((db) =>
  db
    .selectDistinctOn([definitions.vmId])
    .from(definitions)
    .where(sql`${definitions.vmId} = any(${sql.placeholder('ids')})`)
    .orderBy(asc(definitions.vmId), desc(definitions.version))
    .prepare('newest_definitions'),
);

const sightingsOf = prepared((db) =>
  db
    .select()
    .from(sightings)
    .where(sql`${sightings.vmId} = any(${sql.placeholder('ids')})`)
    .orderBy(asc(sightings.vmId), asc(sightings.hostId))
    .prepare('sightings_of'),
);

const sight = prepared((db) =>
  db
    .insert(sightings)
    .values({
      vmId: sql.placeholder('vmId'),
      hostId: sql.placeholder('hostId'),
      seenAt: sql.placeholder('seenAt'),
    })
    .onConflictDoUpdate({
      target: [sightings.vmId, sightings.hostId],
      set: { seenAt: sql`excluded.seen_at` },
      setWhere: lt(sightings.seenAt, sql`excluded.seen_at`),
    })
    .prepare('sight'),
);

const unsight = prepared((db) =>
  db
    .delete(sightings)
    .where(and(eq(sightings.vmId, sql.placeholder('vmId')), eq(sightings.hostId, sql.placeholder('hostId'))))
    .prepare('unsight'),
);

const given = (name: string, column: PgColumn) => sql`${sql.param(sql.placeholder(name), column)}`;

/** All that may change, changed or not: one statement for every change. */
const changeVm = prepared((db) =>
  db
    .update(vms)
    .set({
      hostId: given('hostId', vms.hostId),
      desired: given('desired', vms.desired),
      observedState: given('observedState', vms.observedState),
      observedReason: given('observedReason', vms.observedReason),
      observedAt: given('observedAt', vms.observedAt),
      protected: given('protected', vms.protected),
      epoch: given('epoch', vms.epoch),
      version: sql`${vms.version} + 1`,
    })
    .where(and(eq(vms.vmId, sql.placeholder('id')), eq(vms.version, sql.placeholder('expectedVersion'))))
    .returning()
    .prepare('change_vm'),
);

async function update(
  db: Db,
  readVm: (id: VmId) => Promise<VmRecord | undefined>,
  id: VmId,
  expectedVersion: number,
  change: VmChange,
): Promise<VmRecord> {
  const before = await readVm(id);
  if (before === undefined) throw new DriverFault('UNKNOWN_VM', { vm: id });
  const same = holds(before, change);
  if (same && before.version === expectedVersion) return before;
  if (before.version !== expectedVersion) return repeated(before, expectedVersion, change);
  const next = { ...before, ...change };
  const { hostId, desired, observed, epoch } = next;
  const [after] = await changeVm(db).execute({
    id,
    expectedVersion,
    hostId,
    desired,
    observedState: observed.state,
    observedReason: observed.reason,
    observedAt: observed.at,
    protected: next.protected,
    epoch,
  });
  if (after !== undefined) return vmRecord(after);
  return repeated((await readVm(id)) ?? before, expectedVersion, change);
}

/** The row has moved on. By exactly this change: then it is our own write, repeated. Otherwise somebody else's. */
function repeated(now: VmRecord, expectedVersion: number, change: VmChange): VmRecord {
  if (now.version === expectedVersion + 1 && holds(now, change)) return now;
  throw new DriverFault('RECORD_CHANGED', { what: now.name });
}

function holds(now: VmRecord, change: VmChange): boolean {
  const { observed, ...plain } = change;
  if (observed !== undefined) {
    const { state, reason, at } = now.observed;
    if (observed.state !== state || observed.reason !== reason || Date.parse(observed.at) !== Date.parse(at))
      return false;
  }
  return (Object.keys(plain) as (keyof typeof plain)[]).every((field) => plain[field] === now[field]);
}

async function redefine(
  db: Db,
  id: VmId,
  expectedVersion: number,
  now: Parameters<InventoryPort['redefineVm']>[2],
): Promise<VmRecord> {
  const [row] = await db.select().from(vms).where(eq(vms.vmId, id)).for('no key update');
  if (row === undefined) throw new DriverFault('UNKNOWN_VM', { vm: id });
  const text = storableText(now.text);
  const digest = createHash('sha256').update(text).digest('hex');
  const [stored] = await db
    .select({ digest: definitions.digest })
    .from(definitions)
    .where(and(eq(definitions.vmId, id), eq(definitions.version, row.definitionVersion)));
  const sameDisks = canonicalJson(row.disks) === canonicalJson(now.disks);
  if (stored?.digest === digest && sameDisks) return vmRecord(row);
  if (row.version !== expectedVersion) throw new DriverFault('RECORD_CHANGED', { what: row.name });
  const version = row.definitionVersion + (stored?.digest === digest ? 0 : 1);
  if (stored?.digest !== digest)
    await db
      .insert(definitions)
      .values({ vmId: id, version, text, digest, readFrom: now.readFrom, readAt: now.readAt });
  const [after] = await db
    .update(vms)
    .set({ disks: [...now.disks], definitionVersion: version, version: sql`${vms.version} + 1` })
    .where(eq(vms.vmId, id))
    .returning();
  if (after === undefined) throw new DriverFault('UNKNOWN_VM', { vm: id });
  return vmRecord(after);
}
