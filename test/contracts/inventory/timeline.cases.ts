import { verifyTimeline } from '../../../domain/timeline';
import { sha256 } from '../../../drivers/postgres';
import {
  at,
  hostIncident,
  incident,
  type InventoryCase,
  type InventorySubject,
  line,
  trigger,
} from './samples';

async function written({ inventory }: InventorySubject, count: number): Promise<void> {
  await inventory.openIncident(hostIncident(), trigger(0));
  await inventory.appendTimeline(
    incident,
    Array.from({ length: count }, (_, i) => line(`k${i}`, i)),
  );
}

/** What an intruder with the database's password could do, and where the chain must break. */
const tampering: readonly { readonly what: string; readonly sql: string; readonly at: number }[] = [
  { what: 'a sentence', sql: "update timeline set sentence = 'all was well' where seq = 3", at: 3 },
  { what: 'a fact', sql: `update timeline set facts = facts || '{"key":"x"}' where seq = 2`, at: 2 },
  { what: 'a time', sql: "update timeline set at = at + interval '1 ms' where seq = 4", at: 4 },
  { what: 'a removed entry', sql: 'delete from timeline where seq = 2', at: 2 },
  { what: 'a removed first entry', sql: 'delete from timeline where seq = 1', at: 1 },
  {
    what: 'two exchanged entries',
    sql: 'update timeline set seq = case seq when 2 then 103 when 3 then 102 end where seq in (2, 3); update timeline set seq = seq - 100 where seq > 100',
    at: 2,
  },
  {
    what: 'an entry changed together with its own hash',
    sql: "update timeline set sentence = 'x', hash = encode(sha256('x'), 'hex') where seq = 3",
    at: 3,
  },
];

export const timelineCases: readonly InventoryCase[] = [
  {
    name: 'entries are read back in order, as they were written, and their chain holds',
    async run(subject) {
      await written(subject, 3);
      await subject.inventory.appendTimeline(incident, [line('later', 9)]);
      const entries = await subject.inventory.timeline(incident);
      expect(entries.map((e) => [e.seq, e.at, e.sentence])).toEqual([
        [1, at(0), 'seen: k0'],
        [2, at(1), 'seen: k1'],
        [3, at(2), 'seen: k2'],
        [4, at(9), 'seen: later'],
      ]);
      expect(entries[0]).toMatchObject({ incidentId: incident, kind: 'observation', previousHash: '' });
      expect(entries[0]?.facts).toEqual(line('k0').facts);
      expect(verifyTimeline(entries, sha256)).toEqual({ ok: true });
    },
  },
  {
    name: 'the same key again changes nothing, within one call, in a later one and from another process',
    async run(subject) {
      await written(subject, 2);
      const before = await subject.inventory.timeline(incident);
      await subject.other.appendTimeline(incident, [{ ...line('k1'), sentence: 'told differently' }]);
      await subject.inventory.appendTimeline(incident, []);
      expect(await subject.inventory.timeline(incident)).toEqual(before);
      const there = await subject.inventory.appendTimeline(incident, [
        line('new'),
        line('new', 5),
        line('k0'),
      ]);
      expect(there).toEqual(['k0']);
      expect(await subject.inventory.appendTimeline(incident, [line('new')])).toEqual(['new']);
      expect((await subject.inventory.timeline(incident)).map((e) => e.sentence)).toEqual([
        'seen: k0',
        'seen: k1',
        'seen: new',
      ]);
    },
  },
  {
    name: 'hundreds of appends at once from two processes make one unbroken chain, each key once',
    async run({ inventory, other }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await Promise.all(
        Array.from({ length: 400 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).appendTimeline(incident, [line(`k${i % 300}`), line(`m${i}`)]),
        ),
      );
      const entries = await inventory.timeline(incident);
      expect(entries).toHaveLength(700);
      expect(verifyTimeline(entries, sha256)).toEqual({ ok: true });
    },
  },
  {
    name: 'facts that JSON or the database would bend are hashed as they are read back',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      const facts = {
        b: 1e21,
        a: -0,
        10: 0.1,
        9: [undefined, Number.NaN],
        gone: undefined,
        'nul\0': 'x\0\ud800',
        ü: '€',
      };
      await inventory.appendTimeline(incident, [
        { ...line('odd'), sentence: 'said \0', at: '2026-01-05T09:00:00+01:00', facts },
      ]);
      const entries = await inventory.timeline(incident);
      expect(entries[0]).toMatchObject({ at: at(0), sentence: 'said \ufffd' });
      expect(verifyTimeline(entries, sha256)).toEqual({ ok: true });
    },
  },
  {
    name: 'one caller whose facts are no JSON fails alone',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      const results = await Promise.allSettled([
        inventory.appendTimeline(incident, [line('good')]),
        inventory.appendTimeline(incident, [{ ...line('bad'), facts: { n: 1n } }]),
        inventory.appendTimeline(incident, [line('good too')]),
      ]);
      expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(await inventory.timeline(incident)).toHaveLength(2);
    },
  },
  ...tampering.map(({ what, sql, at: seq }): InventoryCase => ({
    name: `tampering with ${what} is found, and where`,
    async run(subject) {
      await written(subject, 5);
      expect(verifyTimeline(await subject.inventory.timeline(incident), sha256)).toEqual({ ok: true });
      await subject.behind(sql);
      const verdict = verifyTimeline(await subject.inventory.timeline(incident), sha256);
      expect(verdict).toMatchObject({ ok: false, at: seq });
    },
  })),
];
