/** Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): signature and window. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SignedMessage {
  readonly id: string;
  /** Seconds since 1970, as text. */
  readonly timestamp: string;
  readonly body: string;
  /** `v1,<base64>`, several of them apart by blanks while a secret is changed. */
  readonly signature: string;
}

/** How far a message's clock may be from ours, either way; the specification's own libraries take five minutes. */
export const windowSeconds = 300;

export type SignatureVerdict = 'good' | 'malformed' | 'too-old-or-new' | 'not-signed-by-this-secret';

/** `whsec_` and base64; anything else is taken as it is. */
const keyOf = (secret: string): Buffer =>
  secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);

export const signatureOf = (
  secret: string,
  { id, timestamp, body }: Omit<SignedMessage, 'signature'>,
): string =>
  `v1,${createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64')}`;

/** Pure. The signature is judged first: a stranger learns nothing about clocks. */
export function judgeSignature(secret: string, message: SignedMessage, nowMs: number): SignatureVerdict {
  if (!/^\d{1,12}$/.test(message.timestamp) || message.id === '') return 'malformed';
  const expected = Buffer.from(signatureOf(secret, message));
  const matches = message.signature.split(' ').some((given) => {
    const bytes = Buffer.from(given);
    return bytes.length === expected.length && timingSafeEqual(bytes, expected);
  });
  if (!matches) return 'not-signed-by-this-secret';
  return Math.abs(nowMs / 1000 - Number(message.timestamp)) > windowSeconds ? 'too-old-or-new' : 'good';
}
