/** Removes what is older than it is to be kept, in portions that hold no lock for long. */
import { sql } from 'drizzle-orm';
import type { DeliveriesPort } from '../../activities/ports';
import type { Connections, Db } from './connection';

const incidentsPerPortion = 50;
const rowsPerPortion = 1_000;

export async function removeOlderThan(
  connections: Connections,
  before: Parameters<DeliveriesPort['removeOlderThan']>[0],
): Promise<number> {
  let removed = 0;
  for (;;) {
    const some = await connections.transact((db) => removeIncidents(db, before.records));
    removed += some;
    if (some < incidentsPerPortion) break;
  }
  for (const [table, where] of [
    ['alerts', sql`cleared_at < ${before.records}::timestamptz`],
    ['audit_trail', sql`at < ${before.records}::timestamptz`],
    ['webhook_receipts', sql`received_at < ${before.answers}::timestamptz`],
    ['idempotent_answers', sql`begun_at < ${before.answers}::timestamptz`],
  ] as const)
    while ((await connections.run((db) => removeRows(db, table, where))) === rowsPerPortion);
  return removed;
}

/** A row stays behind for each, so that counters of outcomes never fall. */
async function removeIncidents(db: Db, before: string): Promise<number> {
  const { rows } = await db.execute<{ incident_id: string }>(sql`
    select i.incident_id from incidents i
     where i.closed_at < ${before}::timestamptz
       and exists (select 1 from incidents n
                    where n.target_kind = i.target_kind and n.target_id = i.target_id and n.epoch > i.epoch)
     order by i.closed_at limit ${incidentsPerPortion} for update skip locked`);
  if (rows.length === 0) return 0;
  const ids = sql`any(${sql.param(rows.map((r) => r.incident_id))}::text[])`;
  await db.execute(sql`
    insert into removed_incidents (incident_id, target_kind, cluster_id, outcome, seconds)
    select incident_id, target_kind, cluster_id, outcome, extract(epoch from closed_at - opened_at)
      from incidents where incident_id = ${ids} and outcome is not null
    on conflict do nothing`);
  await db.execute(sql`delete from timeline where incident_id = ${ids}`);
  await db.execute(sql`delete from incidents where incident_id = ${ids}`);
  return rows.length;
}

async function removeRows(db: Db, table: string, where: ReturnType<typeof sql>): Promise<number> {
  const name = sql.identifier(table);
  const gone = await db.execute(
    sql`delete from ${name} where ctid in (select ctid from ${name} where ${where} limit ${rowsPerPortion})`,
  );
  return gone.rowCount ?? 0;
}
