import { and, desc, eq, isNull, or, sql } from 'drizzle-orm';
import type { IncidentChange, IncidentPlace, InventoryPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import {
  type DiskId,
  type HostId,
  type IncidentId,
  type IncidentTarget,
  targetId,
  type VmId,
} from '../../domain/ids';
import { limits } from '../../domain/limits';
import type { IncidentRecord, Trigger } from '../../domain/records';
import type { Connections, Db } from './connection';
import { prepared } from './prepared';
import { incidents } from './schema';
import { storable } from './storable';

type IncidentRow = typeof incidents.$inferSelect;

/** Tries to open: a second one is needed only when the incident that stood in the way was closed in between. */
const opensMax = 3;

export const incidentRecord = (row: IncidentRow): IncidentRecord => ({
  incidentId: row.incidentId,
  target: targetOf(row),
  clusterId: row.clusterId,
  epoch: row.epoch,
  phase: row.phase,
  summary: row.summary,
  nextCommand: row.nextCommand ?? undefined,
  outcome: row.outcome ?? undefined,
  openedAt: row.openedAt,
  closedAt: row.closedAt ?? undefined,
  triggers: row.triggers,
  workflowId: row.workflowId,
  version: row.version,
});

function targetOf({ targetKind: kind, targetId: id }: IncidentRow): IncidentTarget {
  switch (kind) {
    case 'host':
      return { kind, hostId: id as HostId };
    case 'vm':
      return { kind, vmId: id as VmId };
    case 'disk':
      return { kind, diskId: id as DiskId };
  }
}

function wantedTarget({ hostId, vmId, diskId }: NonNullable<Parameters<InventoryPort['incidents']>[0]>) {
  if (hostId !== undefined) return ofTarget({ kind: 'host', hostId });
  if (vmId !== undefined) return ofTarget({ kind: 'vm', vmId });
  return diskId === undefined ? undefined : ofTarget({ kind: 'disk', diskId });
}

const ofTarget = (target: IncidentTarget) =>
  and(eq(incidents.targetKind, target.kind), eq(incidents.targetId, targetId(target)));

export const unknownIncident = (id: IncidentId): DriverFault =>
  new DriverFault('UNKNOWN_INCIDENT', { incident: id });

export const incidentRows = (
  connections: Connections,
): Pick<InventoryPort, 'openIncident' | 'attachTrigger' | 'incident' | 'incidents' | 'updateIncident'> => ({
  openIncident: (incident, trigger) =>
    connections.run((db) => open(db, incident, trigger), { incident: incident.incidentId }),

  async attachTrigger(id, trigger) {
    await connections.run(async (db) => {
      if ((await attach(db, id, trigger)) === undefined) throw unknownIncident(id);
    });
  },

  incident: (id) => connections.run((db) => readIncident(db, id)),

  async incidents(filter = {}) {
    const where = and(
      filter.open === undefined ? undefined : sql`(${incidents.closedAt} is null) = ${filter.open}`,
      wantedTarget(filter),
      filter.clusterId === undefined ? undefined : eq(incidents.clusterId, filter.clusterId),
      filter.olderThan === undefined ? undefined : olderThan(filter.olderThan),
    );
    const rows = await connections.run((db) => {
      const query = db
        .select()
        .from(incidents)
        .where(where)
        .orderBy(desc(incidents.openedAt), desc(incidents.epoch), desc(incidents.incidentId));
      return filter.limit === undefined ? query : query.limit(filter.limit);
    });
    return rows.map(incidentRecord);
  },

  updateIncident: (id, change) => connections.run((db) => update(db, id, change), { incident: id }),
});

/** After this one in the order of the list, which is newest first. */
const olderThan = ({ openedAt, epoch, incidentId }: IncidentPlace) =>
  sql`(${incidents.openedAt}, ${incidents.epoch}, ${incidents.incidentId})
    < (${openedAt}::timestamptz, ${epoch}::int, ${incidentId}::text)`;

const oneIncident = prepared((db) =>
  db
    .select()
    .from(incidents)
    .where(eq(incidents.incidentId, sql.placeholder('id')))
    .prepare('one_incident'),
);

async function readIncident(db: Db, id: IncidentId): Promise<IncidentRecord | undefined> {
  const [row] = await oneIncident(db).execute({ id });
  return row === undefined ? undefined : incidentRecord(row);
}

async function open(
  db: Db,
  wanted: Parameters<InventoryPort['openIncident']>[0],
  trigger: Trigger,
): Promise<IncidentRecord> {
  const { incidentId, target, clusterId, epoch, workflowId, openedAt } = wanted;
  for (let n = 0; n < opensMax; n += 1) {
    const [opened] = await db
      .insert(incidents)
      .values({
        incidentId,
        targetKind: target.kind,
        targetId: targetId(target),
        clusterId,
        epoch,
        workflowId,
        openedAt,
        triggers: [trigger],
      })
      .onConflictDoNothing()
      .returning();
    if (opened !== undefined) return incidentRecord(opened);
    const [inTheWay] = await db
      .select()
      .from(incidents)
      .where(or(and(ofTarget(target), isNull(incidents.closedAt)), eq(incidents.incidentId, incidentId)))
      // The open one before a closed one of the same id.
      .orderBy(sql`${incidents.closedAt} desc nulls first`)
      .limit(1);
    if (inTheWay === undefined) continue;
    // A late repeat for an incident that is over changes nothing: its record is what the caller needs to see that.
    if (inTheWay.closedAt !== null) return incidentRecord(inTheWay);
    const attached = await attach(db, inTheWay.incidentId, trigger);
    // Closed in between, it is not "the one open already": the next try opens the one that was asked for.
    if (attached !== undefined && (attached.closedAt === undefined || attached.incidentId === incidentId))
      return attached;
  }
  throw new DriverFault('RECORD_CHANGED', { what: incidentId });
}

/** Adds the trigger unless it is there already. One statement, so that none of many at once is lost. */
async function attach(db: Db, id: IncidentId, trigger: Trigger): Promise<IncidentRecord | undefined> {
  const one = JSON.stringify([storable(trigger)]);
  const count = sql`jsonb_array_length(${incidents.triggers})`;
  const room = sql`${count} < ${limits.triggersKeptMax}`;
  const [row] = await db
    .update(incidents)
    .set({
      triggers: sql`case when ${room} then ${incidents.triggers} || ${one}::jsonb else ${incidents.triggers} end`,
      triggersDropped: sql`${incidents.triggersDropped} + case when ${room} then 0 else 1 end`,
      version: sql`${incidents.version} + 1`,
    })
    .where(and(eq(incidents.incidentId, id), sql`not ${incidents.triggers} @> ${one}::jsonb`))
    .returning();
  return row === undefined ? readIncident(db, id) : incidentRecord(row);
}

/** Only the fields named change; one that is named and undefined is emptied. The same again writes nothing. */
async function update(db: Db, id: IncidentId, change: IncidentChange): Promise<IncidentRecord> {
  const columns = {
    ...(change.phase === undefined ? {} : { phase: change.phase }),
    ...(change.summary === undefined ? {} : { summary: change.summary }),
    ...('nextCommand' in change ? { nextCommand: change.nextCommand ?? null } : {}),
    ...('outcome' in change ? { outcome: change.outcome ?? null } : {}),
    ...('closedAt' in change ? { closedAt: change.closedAt ?? null } : {}),
  };
  const names = Object.keys(columns) as (keyof typeof columns)[];
  const differs = names.map((name) => {
    const value = columns[name];
    return sql`${incidents[name]} is distinct from ${sql.param(value, incidents[name])}`;
  });
  if (differs.length > 0) {
    const [row] = await db
      .update(incidents)
      .set({ ...columns, version: sql`${incidents.version} + 1` })
      .where(and(eq(incidents.incidentId, id), or(...differs)))
      .returning();
    if (row !== undefined) return incidentRecord(row);
  }
  const now = await readIncident(db, id);
  if (now === undefined) throw unknownIncident(id);
  return now;
}
