import { and, desc, eq, isNull, lt, lte, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { EvidenceId } from '../../domain/ids';
import type { Connections } from './connection';
import { prepared } from './prepared';
import { evidence } from './schema';
import { inOrder, together } from './together';

export const evidenceRows = (
  connections: Connections,
): Pick<InventoryPort, 'storeEvidence' | 'evidence' | 'evidenceFor' | 'lapseEvidence'> => {
  const one = together(async (ids: readonly EvidenceId[]) => {
    const rows = await connections.run((db) => someEvidence(db).execute({ ids: [...new Set(ids)] }));
    return inOrder(ids, rows, (row) => row.evidenceId);
  });
  return {
    async storeEvidence(made) {
      const row = {
        evidenceId: made.id,
        hostId: made.hostId,
        observedAt: made.observedAt,
        body: made,
        lapsedAt: null,
      };
      await connections.run((db) =>
        db
          .insert(evidence)
          .values(row)
          // The same reading again changes nothing, a lapse included; a later reading under the same id is a proof of its own.
          .onConflictDoUpdate({
            target: evidence.evidenceId,
            set: row,
            setWhere: lt(evidence.observedAt, made.observedAt),
          }),
      );
    },

    async evidence(id) {
      const row = await one(id);
      return row === undefined ? undefined : { evidence: row.body, lapsedAt: row.lapsedAt ?? undefined };
    },

    async evidenceFor(host) {
      const [row] = await connections.run((db) => newestFor(db).execute({ host }));
      return row?.body;
    },

    async lapseEvidence(host, at) {
      // Evidence read after the host was seen is about a later moment, and stands.
      await connections.run((db) =>
        db
          .update(evidence)
          .set({ lapsedAt: at })
          .where(and(eq(evidence.hostId, host), isNull(evidence.lapsedAt), lte(evidence.observedAt, at))),
      );
    },
  };
};

const someEvidence = prepared((db) =>
  db
    .select()
    .from(evidence)
    .where(sql`${evidence.evidenceId} = any(${sql.placeholder('ids')})`)
    .prepare('some_evidence'),
);

const newestFor = prepared((db) =>
  db
    .select()
    .from(evidence)
    .where(and(eq(evidence.hostId, sql.placeholder('host')), isNull(evidence.lapsedAt)))
    .orderBy(desc(evidence.observedAt), desc(evidence.evidenceId))
    .limit(1)
    .prepare('newest_evidence'),
);
