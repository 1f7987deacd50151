/** Who may do what through the API. Pure. */
import type { Timestamp } from './observations';

/**
 * `viewer` reads. `operator` starts recoveries and says what is undone easily. `approver` also says what cannot be checked or taken back:
 * that a host is off, and that more may be fenced than the blast radius allows.
 */
export const roles = ['viewer', 'operator', 'approver'] as const;
export type Role = (typeof roles)[number];

export const isRole = (text: string): text is Role => (roles as readonly string[]).includes(text);

/** Each role may do all that the ones before it may. */
export const mayActAs = (has: Role, needed: Role): boolean => roles.indexOf(has) >= roles.indexOf(needed);

export interface TokenRecord {
  /** Public: it stands in the token itself and in lists. */
  readonly tokenId: string;
  /** At most one token of a name is valid at a time. */
  readonly name: string;
  readonly role: Role;
  /** Lower-case hexadecimal sha256 of the secret part. */
  readonly digest: string;
  readonly createdAt: Timestamp;
  readonly createdBy: string;
  readonly expiresAt: Timestamp | undefined;
  readonly revokedAt: Timestamp | undefined;
  /** To within a minute: a row written at each request would be a write per read. */
  readonly lastUsedAt: Timestamp | undefined;
}

/** One change that was asked for, whatever became of it. */
export interface AuditRecord {
  readonly id: number;
  readonly at: Timestamp;
  readonly who: string;
  readonly via: 'api' | 'webhook' | 'command-line';
  /** The address that it came from, or the machine of a command line. */
  readonly origin: string;
  readonly action: string;
  readonly target: string;
  readonly reason: string;
  /** What was answered: an HTTP status, or a word. */
  readonly answer: string;
  readonly requestId: string | undefined;
}
