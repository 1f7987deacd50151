/**
 * The hash chain of an incident's timeline: each entry's hash covers the one before it, so that a report exported today can be checked
 * later. It shows that an entry was changed, taken out or put between others; entries cut off at the end leave no trace in the chain,
 * which is why a closed incident ends with an entry that says so.
 */
import type { TimelineEntry } from './records';

/** Lower-case hexadecimal sha256 of a text's UTF-8 bytes. Handed in: this folder imports nothing, and sandboxes have no crypto. */
export type Sha256 = (text: string) => string;

export type UnlinkedEntry = Omit<TimelineEntry, 'hash'>;

export type TimelineVerdict =
  { readonly ok: true } | { readonly ok: false; readonly at: number; readonly why: string };

/** What the first entry names as the hash before it. */
export const chainStart = '';

/** JSON with one spelling per value (RFC 8785): keys sorted by UTF-16 code units, no space, `undefined` dropped. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === undefined) return 'null';
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, v]) => v !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, v]) => `${JSON.stringify(key)}:${canonicalJson(v)}`);
  return `{${members.join(',')}}`;
}

/** `sha256(previousHash + canonical JSON of the rest)`. */
export function linkHash(entry: UnlinkedEntry, sha256: Sha256): string {
  const { incidentId, seq, at, kind, sentence, facts } = entry;
  return sha256(entry.previousHash + canonicalJson({ incidentId, seq, at, kind, sentence, facts }));
}

/** Checks a whole timeline, oldest entry first. `at` is the sequence number where it breaks. */
export function verifyTimeline(entries: readonly TimelineEntry[], sha256: Sha256): TimelineVerdict {
  let previous: TimelineEntry | undefined;
  for (const [index, entry] of entries.entries()) {
    const why = flaw(entry, previous, index + 1, sha256);
    if (why !== undefined) return { ok: false, at: index + 1, why };
    previous = entry;
  }
  return { ok: true };
}

function flaw(
  entry: TimelineEntry,
  previous: TimelineEntry | undefined,
  seq: number,
  sha256: Sha256,
): string | undefined {
  if (entry.seq !== seq) return `entry ${seq} is missing: the next one found is ${entry.seq}`;
  if (previous !== undefined && entry.incidentId !== previous.incidentId)
    return `entry ${seq} belongs to ${entry.incidentId}, the ones before it to ${previous.incidentId}`;
  if (entry.previousHash !== (previous?.hash ?? chainStart))
    return `entry ${seq} does not follow the entry before it: that one was changed or exchanged`;
  if (entry.hash !== linkHash(entry, sha256))
    return `entry ${seq} was changed after it was written: its hash is of other content`;
  return undefined;
}
