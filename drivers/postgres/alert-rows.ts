import { and, desc, eq, isNull, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { AlertRecord } from '../../domain/records';
import type { Connections } from './connection';
import { alerts } from './schema';

type AlertRow = typeof alerts.$inferSelect;

export const alertRecord = (row: AlertRow): AlertRecord => ({
  key: row.key,
  severity: row.severity,
  sentence: row.sentence,
  nextCommand: row.nextCommand ?? undefined,
  incidentId: row.incidentId ?? undefined,
  raisedAt: row.raisedAt,
  clearedAt: row.clearedAt ?? undefined,
  acknowledgedAt: row.acknowledgedAt ?? undefined,
  acknowledgedBy: row.acknowledgedBy ?? undefined,
});

export const alertRows = (
  connections: Connections,
): Pick<InventoryPort, 'raiseAlert' | 'clearAlert' | 'alerts'> => ({
  async raiseAlert(alert) {
    const { key, severity, sentence, nextCommand, incidentId, raisedAt } = alert;
    // Two unique indexes answer for this: one alert open per key, and one per key and moment, so that a late repeat of a raise that was
    // cleared since does not raise it again.
    const made = await connections.run((db) =>
      db
        .insert(alerts)
        .values({ key, severity, sentence, nextCommand, incidentId, raisedAt })
        .onConflictDoNothing()
        .returning({ id: alerts.id }),
    );
    return made.length === 1 ? 'raised' : 'already';
  },

  async clearAlert(key, at) {
    const cleared = await connections.run((db) =>
      db
        .update(alerts)
        .set({ clearedAt: at })
        .where(and(eq(alerts.key, key), isNull(alerts.clearedAt)))
        .returning({ id: alerts.id }),
    );
    return cleared.length === 1 ? 'cleared' : 'not-raised';
  },

  async alerts(filter = {}) {
    const where = filter.open === undefined ? undefined : sql`(${alerts.clearedAt} is null) = ${filter.open}`;
    const rows = await connections.run((db) =>
      db.select().from(alerts).where(where).orderBy(desc(alerts.raisedAt), desc(alerts.id)),
    );
    return rows.map(alertRecord);
  },
});
