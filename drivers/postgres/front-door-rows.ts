import { and, desc, eq, isNull, lt, or, sql } from 'drizzle-orm';
import type { FrontDoorPort } from '../../activities/ports';
import type { AuditRecord, TokenRecord } from '../../domain/access';
import type { Connections } from './connection';
import { apiTokens, auditTrail, idempotentAnswers, webhookReceipts } from './schema';

const tokenRecord = (row: typeof apiTokens.$inferSelect): TokenRecord => ({
  tokenId: row.tokenId,
  name: row.name,
  role: row.role,
  digest: row.digest,
  createdAt: row.createdAt,
  createdBy: row.createdBy,
  expiresAt: row.expiresAt ?? undefined,
  revokedAt: row.revokedAt ?? undefined,
  lastUsedAt: row.lastUsedAt ?? undefined,
});

const auditRecord = (row: typeof auditTrail.$inferSelect): AuditRecord => ({
  ...row,
  requestId: row.requestId ?? undefined,
});

/** A token in steady use is written once in this time. */
const tokenUseEveryMs = 60_000;

export const frontDoorRows = (connections: Connections): FrontDoorPort => ({
  ...tokenRows(connections),
  ...auditRows(connections),
  ...answerRows(connections),

  async receive(source, messageId, at) {
    const made = await connections.run((db) =>
      db
        .insert(webhookReceipts)
        .values({ source, messageId, receivedAt: at })
        .onConflictDoNothing()
        .returning({ id: webhookReceipts.messageId }),
    );
    return made.length === 1 ? 'first' : 'again';
  },

  async forgetReceipt(source, messageId) {
    await connections.run((db) =>
      db
        .delete(webhookReceipts)
        .where(and(eq(webhookReceipts.source, source), eq(webhookReceipts.messageId, messageId))),
    );
  },
});

type Tokens = Pick<FrontDoorPort, 'createToken' | 'tokens' | 'token' | 'revokeToken' | 'noteTokenUse'>;

const tokenRows = (connections: Connections): Tokens => ({
  async createToken(token) {
    const made = await connections.run((db) =>
      db.insert(apiTokens).values(token).onConflictDoNothing().returning({ id: apiTokens.tokenId }),
    );
    return made.length === 1 ? 'created' : 'name-taken';
  },

  async tokens() {
    const rows = await connections.run((db) =>
      db.select().from(apiTokens).orderBy(desc(apiTokens.createdAt), desc(apiTokens.tokenId)),
    );
    return rows.map(tokenRecord);
  },

  async token(tokenId) {
    const [row] = await connections.run((db) =>
      db.select().from(apiTokens).where(eq(apiTokens.tokenId, tokenId)),
    );
    return row === undefined ? undefined : tokenRecord(row);
  },

  async revokeToken(token, by, at) {
    const revoked = await connections.run((db) =>
      db
        .update(apiTokens)
        .set({ revokedAt: at, revokedBy: by })
        .where(and(isNull(apiTokens.revokedAt), or(eq(apiTokens.name, token), eq(apiTokens.tokenId, token))))
        .returning({ id: apiTokens.tokenId }),
    );
    return revoked.length > 0 ? 'revoked' : 'not-valid';
  },

  async noteTokenUse(tokenId, at) {
    const long = new Date(Date.parse(at) - tokenUseEveryMs).toISOString();
    await connections.run((db) =>
      db
        .update(apiTokens)
        .set({ lastUsedAt: at })
        .where(
          and(
            eq(apiTokens.tokenId, tokenId),
            or(isNull(apiTokens.lastUsedAt), lt(apiTokens.lastUsedAt, long)),
          ),
        ),
    );
  },
});

const auditRows = (
  connections: Connections,
): Pick<FrontDoorPort, 'noteAudit' | 'noteAuditAnswer' | 'auditTrail'> => ({
  async noteAudit(entry) {
    const [made] = await connections.run((db) =>
      db.insert(auditTrail).values(entry).returning({ id: auditTrail.id }),
    );
    return (made as { id: number }).id;
  },

  async noteAuditAnswer(id, answer) {
    await connections.run((db) => db.update(auditTrail).set({ answer }).where(eq(auditTrail.id, id)));
  },

  async auditTrail({ limit, olderThan }) {
    const rows = await connections.run((db) =>
      db
        .select()
        .from(auditTrail)
        .where(olderThan === undefined ? undefined : lt(auditTrail.id, olderThan))
        .orderBy(desc(auditTrail.id))
        .limit(limit),
    );
    return rows.map(auditRecord);
  },
});

type Answers = Pick<FrontDoorPort, 'claimAnswer' | 'keepAnswer' | 'dropAnswer'>;

const ofKey = (caller: string, key: string) =>
  and(eq(idempotentAnswers.caller, caller), eq(idempotentAnswers.key, key));

const answerRows = (connections: Connections): Answers => ({
  async claimAnswer({ caller, key, asked, at, leaseMs }) {
    const lapsed = new Date(Date.parse(at) - leaseMs).toISOString();
    // One statement claims: a new row, or one whose claimer asked the same and never answered.
    const mine = await connections.run((db) =>
      db
        .insert(idempotentAnswers)
        .values({ caller, key, asked, begunAt: at })
        .onConflictDoUpdate({
          target: [idempotentAnswers.caller, idempotentAnswers.key],
          set: { begunAt: at },
          setWhere: sql`${idempotentAnswers.status} is null and ${idempotentAnswers.asked} = ${asked}
            and ${idempotentAnswers.begunAt} < ${lapsed}::timestamptz`,
        })
        .returning({ key: idempotentAnswers.key }),
    );
    if (mine.length === 1) return { claim: 'mine' };
    const [row] = await connections.run((db) =>
      db.select().from(idempotentAnswers).where(ofKey(caller, key)),
    );
    // Dropped between the two statements: whoever had it says "ask again", and so does this.
    if (row === undefined) return { claim: 'under-way' };
    if (row.asked !== asked) return { claim: 'other-request' };
    if (row.status === null || row.answer === null) return { claim: 'under-way' };
    return { claim: 'answered', answer: { status: row.status, ...row.answer } };
  },

  async keepAnswer(caller, key, { status, headers, body }) {
    await connections.run((db) =>
      db.update(idempotentAnswers).set({ status, answer: { headers, body } }).where(ofKey(caller, key)),
    );
  },

  async dropAnswer(caller, key) {
    await connections.run((db) =>
      db.delete(idempotentAnswers).where(and(ofKey(caller, key), isNull(idempotentAnswers.status))),
    );
  },
});
