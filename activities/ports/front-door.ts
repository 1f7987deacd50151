import type { AuditRecord, TokenRecord } from '../../domain/access';
import type { Timestamp } from '../../domain/observations';

/** What was answered to a request with an `Idempotency-Key`, to be answered again. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

export type AnswerClaim =
  | { readonly claim: 'mine' }
  | { readonly claim: 'under-way' }
  | { readonly claim: 'other-request' }
  | { readonly claim: 'answered'; readonly answer: KeptAnswer };

/**
 * What the API keeps in the inventory: tokens, the audit trail, answers by idempotency key, and receipts of webhooks. Every write may be
 * repeated. Fault: `INVENTORY_UNREACHABLE`.
 */
export interface FrontDoorPort {
  createToken(token: Omit<TokenRecord, 'revokedAt' | 'lastUsedAt'>): Promise<'created' | 'name-taken'>;
  /** Newest first; revoked ones too. */
  tokens(): Promise<TokenRecord[]>;
  token(tokenId: string): Promise<TokenRecord | undefined>;
  /** By name or id. */
  revokeToken(token: string, by: string, at: Timestamp): Promise<'revoked' | 'not-valid'>;
  noteTokenUse(tokenId: string, at: Timestamp): Promise<void>;

  /** Written before the act, so that nothing is done that is not in the trail; `answer` then says what became of it. */
  noteAudit(entry: Omit<AuditRecord, 'id'>): Promise<number>;
  noteAuditAnswer(id: number, answer: string): Promise<void>;
  /** Newest first; `olderThan` is the id of the last one of the page before. */
  auditTrail(page: { readonly limit: number; readonly olderThan?: number }): Promise<AuditRecord[]>;

  /**
   * `mine`: nobody has this key, or whoever had it did not answer for `leaseMs`. Then `keepAnswer` follows, or `dropAnswer` when it may be
   * asked again. Exactly one of many at once gets `mine`.
   */
  claimAnswer(claim: {
    readonly caller: string;
    readonly key: string;
    readonly asked: string;
    readonly at: Timestamp;
    readonly leaseMs: number;
  }): Promise<AnswerClaim>;
  keepAnswer(caller: string, key: string, answer: KeptAnswer): Promise<void>;
  dropAnswer(caller: string, key: string): Promise<void>;

  /** Exactly one of many at once is the first. */
  receive(source: string, messageId: string, at: Timestamp): Promise<'first' | 'again'>;
  /** The sender will send it again, and then it counts as the first. */
  forgetReceipt(source: string, messageId: string): Promise<void>;
}
