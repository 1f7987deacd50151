/**
 * Theory of operation. A chain has one end, so appends to one incident are one after another, under a lock on its row. A storm of restarts
 * appends hundreds of lines at once: those that wait while a transaction is under way go into the next one together, and each caller
 * hears only when its own lines are committed.
 */
import { createHash } from 'node:crypto';
import { and, asc, desc, eq, gt, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { IncidentId } from '../../domain/ids';
import type { TimelineEntry } from '../../domain/records';
import { chainStart, linkHash, type Sha256 } from '../../domain/timeline';
import type { Connections, Db } from './connection';
import { unknownIncident } from './incident-rows';
import { prepared } from './prepared';
import { incidents, timeline } from './schema';
import { storable, storableText } from './storable';

type NewEntry = Parameters<InventoryPort['appendTimeline']>[1][number];

interface Append {
  readonly entries: readonly NewEntry[];
  readonly done: (before: readonly string[]) => void;
  readonly failed: (error: unknown) => void;
}

/** Lines in one transaction: 9 parameters each, far below what a statement takes, and no caller waits long for others' lines. */
const entriesPerTransaction = 200;

export const sha256: Sha256 = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

export function timelineRows(connections: Connections): Pick<InventoryPort, 'appendTimeline' | 'timeline'> {
  const waiting = new Map<IncidentId, Append[]>();

  async function drain(id: IncidentId, queue: Append[]): Promise<void> {
    while (queue.length > 0) {
      const together = takeSome(queue);
      const entries = together.flatMap((a) => a.entries);
      try {
        const before = await connections.transact((db) => append(db, id, entries), { incident: id });
        together.forEach((a) => a.done(keysOf(a).filter((key) => before.has(key))));
      } catch (error) {
        together.forEach((a) => a.failed(error));
      }
    }
    waiting.delete(id);
  }

  return {
    async appendTimeline(id, entries) {
      if (entries.length === 0) return [];
      // Made storable first: what is hashed must be what is read back, and one caller's bad value must not fail the others' lines.
      const plain = entries.map(storableEntry);
      return new Promise<readonly string[]>((done, failed) => {
        const queue = waiting.get(id);
        if (queue !== undefined) {
          queue.push({ entries: plain, done, failed });
          return;
        }
        const own = [{ entries: plain, done, failed }];
        waiting.set(id, own);
        void drain(id, own);
      });
    },

    timeline: (id, after = 0) => connections.run((db) => timelineAfter(db).execute({ id, after })),
  };
}

function takeSome(queue: Append[]): Append[] {
  let count = 0;
  const size = queue.findIndex((a, i) => i > 0 && (count += a.entries.length) >= entriesPerTransaction);
  return queue.splice(0, size === -1 ? queue.length : size);
}

const storableEntry = (entry: NewEntry): NewEntry => ({
  key: storableText(entry.key),
  at: new Date(entry.at).toISOString(),
  kind: entry.kind,
  sentence: storableText(entry.sentence),
  facts: storable(entry.facts) as NewEntry['facts'],
});

const ofIncident = eq(timeline.incidentId, sql.placeholder('id'));

const timelineAfter = prepared((db) =>
  db
    .select({
      incidentId: timeline.incidentId,
      seq: timeline.seq,
      at: timeline.at,
      kind: timeline.kind,
      sentence: timeline.sentence,
      facts: timeline.facts,
      previousHash: timeline.previousHash,
      hash: timeline.hash,
    })
    .from(timeline)
    .where(and(ofIncident, gt(timeline.seq, sql.placeholder('after'))))
    .orderBy(asc(timeline.seq))
    .prepare('timeline_after'),
);

const incidentLock = prepared((db) =>
  db
    .select({ id: incidents.incidentId })
    .from(incidents)
    .where(eq(incidents.incidentId, sql.placeholder('id')))
    .for('no key update')
    .prepare('incident_lock'),
);

const keysThere = prepared((db) =>
  db
    .select({ key: timeline.key })
    .from(timeline)
    .where(and(ofIncident, sql`${timeline.key} = any(${sql.placeholder('keys')})`))
    .prepare('keys_there'),
);

const lastEntry = prepared((db) =>
  db
    .select({ seq: timeline.seq, hash: timeline.hash })
    .from(timeline)
    .where(ofIncident)
    .orderBy(desc(timeline.seq))
    .limit(1)
    .prepare('last_entry'),
);

const keysOf = ({ entries }: Append): string[] => entries.map((e) => e.key);

/** Which of the keys were there before. */
async function append(db: Db, id: IncidentId, entries: readonly NewEntry[]): Promise<ReadonlySet<string>> {
  const [incident] = await incidentLock(db).execute({ id });
  if (incident === undefined) throw unknownIncident(id);
  const keys = entries.map((e) => e.key);
  const stored = await keysThere(db).execute({ id, keys });
  const before = new Set(stored.map((s) => s.key));
  const [last] = await lastEntry(db).execute({ id });
  const rows = chained(id, entries, new Set(before), last ?? { seq: 0, hash: chainStart });
  if (rows.length > 0) await db.insert(timeline).values(rows);
  return before;
}

function chained(
  incidentId: IncidentId,
  entries: readonly NewEntry[],
  taken: Set<string>,
  last: Pick<TimelineEntry, 'seq' | 'hash'>,
): (TimelineEntry & { key: string })[] {
  const rows: (TimelineEntry & { key: string })[] = [];
  let { seq, hash } = last;
  for (const { key, at, kind, sentence, facts } of entries) {
    if (taken.has(key)) continue;
    taken.add(key);
    seq += 1;
    const unlinked = { incidentId, seq, at, kind, sentence, facts, previousHash: hash };
    hash = linkHash(unlinked, sha256);
    rows.push({ ...unlinked, key, hash });
  }
  return rows;
}
