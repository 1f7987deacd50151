/** Tokens: made, told once, and known again by the digest of their secret part. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FrontDoorPort } from '../activities/ports';
import type { Role, TokenRecord } from '../domain/access';

/** `vmedic_<id>_<secret>`: the id finds the row, and scanners for leaked secrets find the whole. */
const tokenPattern = /^vmedic_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

const secretBytes = 32;
const idBytes = 6;

const digestOf = (secret: string): string => createHash('sha256').update(secret, 'utf8').digest('hex');

export interface NewToken {
  readonly name: string;
  readonly role: Role;
  readonly by: string;
  readonly expiresAt: string | undefined;
}

/** A new token. `text` is what its bearer sends, and is kept nowhere. */
export function makeToken(wanted: NewToken): {
  readonly text: string;
  readonly record: Parameters<FrontDoorPort['createToken']>[0];
} {
  const tokenId = randomBytes(idBytes).toString('hex');
  const secret = randomBytes(secretBytes).toString('base64url');
  const { name, role, by, expiresAt } = wanted;
  const createdAt = new Date().toISOString();
  const record = { tokenId, name, role, digest: digestOf(secret), createdAt, createdBy: by, expiresAt };
  return { text: `vmedic_${tokenId}_${secret}`, record };
}

export type TokenVerdict =
  | { readonly ok: true; readonly token: TokenRecord }
  | { readonly ok: false; readonly why: 'malformed' | 'unknown' | 'revoked' | 'expired' };

/** Whose token this is. The comparison takes the same time wherever the texts differ. */
export async function judgeToken(
  inventory: Pick<FrontDoorPort, 'token'>,
  text: string,
  nowMs: number,
): Promise<TokenVerdict> {
  const [, tokenId, secret] = tokenPattern.exec(text) ?? [];
  if (tokenId === undefined || secret === undefined) return { ok: false, why: 'malformed' };
  const token = await inventory.token(tokenId);
  const given = Buffer.from(digestOf(secret), 'hex');
  const known = Buffer.from(token?.digest ?? ''.padEnd(64, '0'), 'hex');
  if (!timingSafeEqual(given, known) || token === undefined) return { ok: false, why: 'unknown' };
  if (token.revokedAt !== undefined) return { ok: false, why: 'revoked' };
  if (token.expiresAt !== undefined && Date.parse(token.expiresAt) <= nowMs)
    return { ok: false, why: 'expired' };
  return { ok: true, token };
}
