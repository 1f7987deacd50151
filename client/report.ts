/**
 * The evidence report of an incident: its record and its whole timeline, whose entries form a hash chain and carry each evidence in full;
 * signed with Ed25519 (RFC 8032), so that it can be checked on another machine, years later, without any of VMedic's servers.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { z } from 'zod';
import type { InventoryPort } from '../activities/ports';
import type { IncidentRecord, TimelineEntry } from '../domain/records';
import { canonicalJson, verifyTimeline } from '../domain/timeline';
import { Refusal } from './errors';
import { knownIncident } from './known';

const format = 'vmedic-incident-report/1';

export interface Report {
  readonly format: typeof format;
  readonly exportedAt: string;
  readonly incident: Omit<IncidentRecord, 'version'>;
  readonly timeline: readonly TimelineEntry[];
  /** What the chain ends with, so that entries cut off at its end are missed. */
  readonly chain: { readonly entries: number; readonly head: string };
}

export interface SignedReport extends Report {
  readonly signature: {
    readonly algorithm: 'Ed25519';
    /** SubjectPublicKeyInfo, DER, base64. */
    readonly publicKey: string;
    /** Over the canonical JSON (RFC 8785) of everything but this object. */
    readonly value: string;
  };
}

export async function reportOf(
  inventory: Pick<InventoryPort, 'incident' | 'timeline'>,
  incident: string,
): Promise<Report> {
  const { version: _, ...record } = await knownIncident(inventory, incident);
  const timeline = await inventory.timeline(record.incidentId);
  const chain = { entries: timeline.length, head: timeline.at(-1)?.hash ?? '' };
  return { format, exportedAt: new Date().toISOString(), incident: record, timeline, chain };
}

export function signReport(report: Report, key: KeyObject): SignedReport {
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Refusal(
      'usage',
      'WRONG_KEY',
      `Reports are signed with Ed25519, and this key is ${key.asymmetricKeyType ?? 'of no such kind'}`,
      'openssl genpkey -algorithm ed25519 -out report.key',
    );
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
  const value = sign(null, Buffer.from(canonicalJson(report)), key).toString('base64');
  return { ...report, signature: { algorithm: 'Ed25519', publicKey, value } };
}

/** A private key from its PEM text. @throws Refusal that names what is wrong, never the text. */
export function signingKey(pem: string, from: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new Refusal(
      'usage',
      'WRONG_KEY',
      `${from} holds no private key in PEM form`,
      'openssl genpkey -algorithm ed25519 -out report.key',
      { cause },
    );
  }
}

export const newSigningKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

/** By which people name a key to each other: sha256 of the public key, in hexadecimal. */
export const fingerprintOf = (publicKey: string): string =>
  createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex');

export interface ReportVerdict {
  readonly ok: boolean;
  /** Everything that is wrong with it, each a sentence. */
  readonly problems: readonly string[];
  readonly incidentId: string | undefined;
  readonly entries: number;
  readonly fingerprint: string | undefined;
  /** Whether the key was compared with one that is trusted; without, the report only agrees with itself. */
  readonly keyCompared: boolean;
}

const entry = z.looseObject({
  incidentId: z.string(),
  seq: z.int(),
  at: z.string(),
  kind: z.string(),
  sentence: z.string(),
  facts: z.record(z.string(), z.unknown()),
  previousHash: z.string(),
  hash: z.string(),
});
const document = z.looseObject({
  format: z.literal(format),
  incident: z.looseObject({ incidentId: z.string() }),
  timeline: z.array(entry),
  chain: z.object({ entries: z.int(), head: z.string() }),
  signature: z.object({ algorithm: z.literal('Ed25519'), publicKey: z.string(), value: z.string() }),
});

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');

/**
 * Checks a report. @param trusted The fingerprint that the key must have, as its owner told it by another way.
 */
export function judgeReport(text: string, trusted?: string): ReportVerdict {
  const parsed = parse(text);
  if (typeof parsed === 'string')
    return {
      ...{ ok: false, problems: [parsed], incidentId: undefined, entries: 0 },
      ...{ fingerprint: undefined, keyCompared: false },
    };
  const { signature, ...report } = parsed;
  const fingerprint = fingerprintOf(signature.publicKey);
  const problems: string[] = [];
  if (!isSigned(canonicalJson(report), signature))
    problems.push('the signature is not of this content: something was changed after it was signed');
  if (trusted !== undefined && fingerprint !== trusted.toLowerCase().replace(/[^0-9a-f]/g, ''))
    problems.push(`it is signed by the key ${fingerprint}, not by the one that is trusted`);
  const chain = verifyTimeline(report.timeline as unknown as TimelineEntry[], sha256);
  if (!chain.ok) problems.push(`the timeline is broken at entry ${chain.at}: ${chain.why}`);
  const last = report.timeline.at(-1);
  if (report.chain.entries !== report.timeline.length || report.chain.head !== (last?.hash ?? ''))
    problems.push('the timeline does not end where the report says: entries are missing or were added');
  const { incidentId } = report.incident;
  if (last !== undefined && last.incidentId !== incidentId)
    problems.push(`the timeline is of ${last.incidentId}, the record of ${incidentId}`);
  return {
    ...{ ok: problems.length === 0, problems, incidentId, fingerprint },
    ...{ entries: report.timeline.length, keyCompared: trusted !== undefined },
  };
}

function parse(text: string): z.output<typeof document> | string {
  try {
    const result = document.safeParse(JSON.parse(text));
    if (result.success) return result.data;
    const first = result.error.issues[0];
    return `it is no incident report of VMedic: ${first?.path.join('.') ?? ''}: ${first?.message ?? ''}`;
  } catch (cause) {
    if (cause instanceof SyntaxError) return `it is no JSON: ${cause.message}`;
    throw cause;
  }
}

function isSigned(content: string, signature: SignedReport['signature']): boolean {
  try {
    const key = createPublicKey({
      key: Buffer.from(signature.publicKey, 'base64'),
      type: 'spki',
      format: 'der',
    });
    if (key.asymmetricKeyType !== 'ed25519') return false;
    return verify(null, Buffer.from(content), key, Buffer.from(signature.value, 'base64'));
  } catch {
    // What is no key has signed nothing.
    return false;
  }
}
