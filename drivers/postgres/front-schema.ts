/** Tables of the front door: who may come in, what was asked, and what was answered. */
import { sql } from 'drizzle-orm';
import {
  bigint,
  doublePrecision,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import type { AuditRecord, Role } from '../../domain/access';
import { document, instant, words } from './columns';

/** The secret itself is nowhere: 256 random bits need no slow hash, so its sha256 is what is kept. */
export const apiTokens = pgTable(
  'api_tokens',
  {
    tokenId: text('token_id').primaryKey(),
    name: text('name').notNull(),
    role: text('role').$type<Role>().notNull(),
    digest: text('digest').notNull(),
    createdAt: instant('created_at').notNull(),
    createdBy: words('created_by').notNull(),
    expiresAt: instant('expires_at'),
    revokedAt: instant('revoked_at'),
    revokedBy: words('revoked_by'),
    lastUsedAt: instant('last_used_at'),
  },
  (t) => [
    uniqueIndex('api_tokens_one_valid')
      .on(t.name)
      .where(sql`revoked_at is null`),
  ],
);

export const auditTrail = pgTable(
  'audit_trail',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    at: instant('at').notNull(),
    who: words('who').notNull(),
    via: text('via').$type<AuditRecord['via']>().notNull(),
    origin: words('origin').notNull(),
    action: text('action').notNull(),
    target: words('target').notNull(),
    reason: words('reason').notNull(),
    answer: words('answer').notNull(),
    requestId: text('request_id'),
  },
  (t) => [index('audit_trail_newest').on(t.at)],
);

export const idempotentAnswers = pgTable(
  'idempotent_answers',
  {
    caller: text('caller').notNull(),
    key: text('key').notNull(),
    /** sha256 of what was asked: the same key for something else is a mistake of the caller's. */
    asked: text('asked').notNull(),
    begunAt: instant('begun_at').notNull(),
    status: integer('status'),
    answer: document('answer').$type<{ readonly headers: Record<string, string>; readonly body: unknown }>(),
  },
  (t) => [primaryKey({ columns: [t.caller, t.key] }), index('idempotent_answers_oldest').on(t.begunAt)],
);

/** What was received already, so that a message sent again is known. */
export const webhookReceipts = pgTable(
  'webhook_receipts',
  {
    source: text('source').notNull(),
    messageId: text('message_id').notNull(),
    receivedAt: instant('received_at').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.source, t.messageId] }),
    index('webhook_receipts_oldest').on(t.receivedAt),
  ],
);

/** What stays of an incident that retention removed: enough that counters never fall. */
export const removedIncidents = pgTable('removed_incidents', {
  incidentId: text('incident_id').primaryKey(),
  targetKind: text('target_kind').notNull(),
  clusterId: text('cluster_id').notNull(),
  outcome: text('outcome').notNull(),
  seconds: doublePrecision('seconds').notNull(),
});
