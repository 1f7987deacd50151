import { and, desc, eq, inArray, isNull, lt, lte, min, sql } from 'drizzle-orm';
import type { DeliveriesPort, Delivery } from '../../activities/ports';
import { alertRecord } from './alert-rows';
import type { Connections, Db } from './connection';
import { incidentRecord } from './incident-rows';
import { removeOlderThan } from './retention';
import { alertDeliveries, alerts, incidents } from './schema';

const ofDelivery = ({ alertId, channel, notice, round }: Delivery) =>
  and(
    eq(alertDeliveries.alertId, alertId),
    eq(alertDeliveries.channel, channel),
    eq(alertDeliveries.notice, notice),
    eq(alertDeliveries.round, round),
  );

/** A text array as a parameter: drizzle spreads an array into a list. */
const textArray = (values: readonly string[]) => sql`${sql.param([...values])}::text[]`;

export const deliveryRows = (connections: Connections): DeliveriesPort => ({
  async planDeliveries({ channels, since, at, pageAgainMs }) {
    if (channels.length === 0) return 0;
    const again = new Date(Date.parse(at) - pageAgainMs).toISOString();
    return connections.run((db) => plan(db, channels, since, at, again));
  },

  async claimDeliveries({ channels, at, leaseMs, limit }) {
    if (channels.length === 0) return [];
    const until = new Date(Date.parse(at) + leaseMs).toISOString();
    return connections.transact((db) => claim(db, { channels, at, until, limit }));
  },

  async noteDelivered(delivery, at) {
    await connections.run((db) =>
      db.update(alertDeliveries).set({ deliveredAt: at, lastError: null }).where(ofDelivery(delivery)),
    );
  },

  async noteNotDelivered(delivery, why, dueAt, tried = true) {
    await connections.run((db) =>
      db
        .update(alertDeliveries)
        .set({ lastError: why, dueAt, ...(!tried && { attempts: delivery.attempts - 1 }) })
        .where(and(ofDelivery(delivery), isNull(alertDeliveries.deliveredAt))),
    );
  },

  async owedDeliveries() {
    const rows = await connections.run((db) =>
      db
        .select({
          channel: alertDeliveries.channel,
          count: sql<number>`count(*)::int`,
          oldestAt: min(alerts.raisedAt),
        })
        .from(alertDeliveries)
        .innerJoin(alerts, eq(alerts.id, alertDeliveries.alertId))
        .where(isNull(alertDeliveries.deliveredAt))
        .groupBy(alertDeliveries.channel),
    );
    return rows.flatMap((r) => (r.oldestAt === null ? [] : [{ ...r, oldestAt: r.oldestAt }]));
  },

  async acknowledgeAlerts(which, by, at) {
    const these = 'key' in which ? eq(alerts.key, which.key) : eq(alerts.incidentId, which.incidentId);
    const rows = await connections.run((db) =>
      db
        .update(alerts)
        .set({
          acknowledgedAt: at,
          acknowledgedBy: by,
          clearedAt: sql`case when ${isResult} then ${at}::timestamptz end`,
        })
        .where(and(these, isNull(alerts.clearedAt), isNull(alerts.acknowledgedAt)))
        .returning({ id: alerts.id }),
    );
    return rows.length;
  },

  async endOldNews(raisedBefore, at) {
    await connections.run((db) =>
      db
        .update(alerts)
        .set({ clearedAt: at })
        .where(and(eq(alerts.severity, 'info'), isNull(alerts.clearedAt), lt(alerts.raisedAt, raisedBefore))),
    );
  },

  removeOlderThan: (before) => removeOlderThan(connections, before),

  outcomeFigures: (bounds) => connections.run((db) => outcomes(db, bounds)),
});

/** Raised when its incident was closed already: it tells how that ended, and no workflow will ever clear it. */
const isResult = sql`exists (select 1 from incidents i where i.incident_id = ${alerts.incidentId}
  and i.closed_at <= ${alerts.raisedAt})`;

/** Every row is derived from what is stored, so that planning twice, or by two processes at once, plans once. */
async function plan(
  db: Db,
  channels: readonly string[],
  since: string,
  at: string,
  again: string,
): Promise<number> {
  const planned = await db.execute(sql`
    with channel as (select unnest(${textArray(channels)}) as name),
    owed as (
      select a.id, c.name as channel, 'raised' as notice, 0 as round
        from ${alerts} a cross join channel c
       where a.cleared_at is null or a.raised_at > ${since}::timestamptz
      union all
      select a.id, c.name, 'cleared', 0
        from ${alerts} a cross join channel c
       where a.cleared_at is not null and a.severity <> 'info' and a.raised_at > ${since}::timestamptz
      union all
      -- What was told of before is told the end of, however long ago it began.
      select a.id, d.channel, 'cleared', 0
        from ${alerts} a join ${alertDeliveries} d on d.alert_id = a.id and d.notice = 'raised' and d.round = 0
       where a.cleared_at is not null and a.severity <> 'info' and d.channel = any(${textArray(channels)})
      union all
      select a.id, d.channel, 'raised', max(d.round) + 1
        from ${alerts} a join ${alertDeliveries} d on d.alert_id = a.id and d.notice = 'raised'
       where a.cleared_at is null and a.acknowledged_at is null and a.severity = 'critical'
         and d.channel = any(${textArray(channels)})
       group by a.id, d.channel
      having bool_and(d.delivered_at is not null) and max(d.delivered_at) <= ${again}::timestamptz
    )
    insert into ${alertDeliveries} (alert_id, channel, notice, round, due_at)
    select distinct id, channel, notice, round, ${at}::timestamptz from owed
    on conflict do nothing
    returning alert_id`);
  return planned.rowCount ?? 0;
}

async function claim(
  db: Db,
  { channels, at, until, limit }: { channels: readonly string[]; at: string; until: string; limit: number },
): Promise<Delivery[]> {
  const raise = sql`select 1 from alert_deliveries r where r.alert_id = ${alertDeliveries.alertId}
    and r.channel = ${alertDeliveries.channel} and r.notice = 'raised' and r.round = 0 and r.delivered_at is null`;
  const due = await db
    .select()
    .from(alertDeliveries)
    .where(
      and(
        isNull(alertDeliveries.deliveredAt),
        lte(alertDeliveries.dueAt, at),
        inArray(alertDeliveries.channel, [...channels]),
        sql`(${alertDeliveries.notice} = 'raised' or not exists (${raise}))`,
      ),
    )
    .orderBy(alertDeliveries.alertId, desc(alertDeliveries.notice), alertDeliveries.round)
    .limit(limit)
    .for('update', { skipLocked: true });
  if (due.length === 0) return [];
  const ids = [...new Set(due.map((d) => d.alertId))];
  const about = await db
    .select({ alert: alerts, incident: incidents })
    .from(alerts)
    .leftJoin(incidents, eq(incidents.incidentId, alerts.incidentId))
    .where(inArray(alerts.id, ids));
  const taken: Delivery[] = [];
  for (const row of due) {
    const found = about.find((a) => a.alert.id === row.alertId);
    if (found === undefined) continue;
    const delivery: Delivery = {
      alertId: row.alertId,
      channel: row.channel,
      notice: row.notice,
      round: row.round,
      attempts: row.attempts + 1,
      dedupeKey: `${found.alert.key}@${found.alert.raisedAt}/${row.notice}/${row.round}`,
      alert: alertRecord(found.alert),
      incident: found.incident === null ? undefined : incidentRecord(found.incident),
    };
    await db
      .update(alertDeliveries)
      .set({ dueAt: until, attempts: delivery.attempts })
      .where(ofDelivery(delivery));
    taken.push(delivery);
  }
  return taken;
}

interface OutcomeRow extends Record<string, unknown> {
  readonly cluster: string;
  readonly target: 'host' | 'vm';
  readonly outcome: string;
  readonly count: number;
  readonly sum: number;
  readonly at_most: readonly number[];
}

async function outcomes(db: Db, bounds: readonly number[]) {
  const atMost = sql.join(
    bounds.map((bound) => sql`count(*) filter (where seconds <= ${bound}::float8)::int`),
    sql`, `,
  );
  const { rows } = await db.execute<OutcomeRow>(sql`
    with ended as (
      select cluster_id, target_kind, outcome, extract(epoch from closed_at - opened_at)::float8 as seconds
        from ${incidents} where closed_at is not null and outcome is not null
      union all
      select cluster_id, target_kind, outcome, seconds from removed_incidents
    )
    select cluster_id as cluster, target_kind as target, outcome, count(*)::int as count,
           sum(seconds)::float8 as sum, array[${atMost}]::int[] as at_most
      from ended group by 1, 2, 3 order by 1, 2, 3`);
  return rows.map(({ cluster, target, outcome, count, sum, at_most }) => ({
    ...{ cluster, target, outcome, count, sumSeconds: sum, atMost: at_most },
  }));
}
