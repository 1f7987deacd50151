import { eq, lte, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { Connections } from './connection';
import { readiness } from './schema';

export const readinessRows = (
  connections: Connections,
): Pick<InventoryPort, 'storeReadiness' | 'readiness'> => ({
  async storeReadiness(report) {
    const { clusterId, at } = report;
    await connections.run((db) =>
      db
        .insert(readiness)
        .values({ clusterId, at, body: report })
        .onConflictDoUpdate({
          target: readiness.clusterId,
          set: { at: sql`excluded.at`, body: sql`excluded.body` },
          setWhere: lte(readiness.at, at),
        }),
    );
  },

  async readiness(cluster) {
    const [row] = await connections.run((db) =>
      db.select({ body: readiness.body }).from(readiness).where(eq(readiness.clusterId, cluster)),
    );
    return row?.body;
  },
});
