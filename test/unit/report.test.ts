import { generateKeyPairSync } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  fingerprintOf,
  judgeReport,
  newSigningKey,
  reportOf,
  signingKey,
  signReport,
} from '../../client/report';
import { exitCodes } from '../../client/cli/exit-codes';
import type { TimelineEntry } from '../../domain/records';
import { chainStart, linkHash } from '../../domain/timeline';
import { sha256 } from '../../drivers/postgres';
import { folder, incident, inventory, run, session } from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const record = incident({ closedAt: '2026-01-01T00:01:00.000Z', outcome: 'recovered' });

const timeline: readonly TimelineEntry[] = ['opened', 'off', 'closed'].reduce<TimelineEntry[]>(
  (before, word, i) => {
    const entry = {
      ...{
        incidentId: record.incidentId,
        seq: i + 1,
        at: `2026-01-01T00:00:0${i}.000Z`,
        kind: 'phase' as const,
      },
      ...{
        sentence: word,
        facts: { n: i, nested: ['ä', null] },
        previousHash: before.at(-1)?.hash ?? chainStart,
      },
    };
    return [...before, { ...entry, hash: linkHash(entry, sha256) }];
  },
  [],
);

const reads = inventory({
  incident: () => Promise.resolve(record),
  timeline: () => Promise.resolve([...timeline]),
});
const pem = newSigningKey();
const key = signingKey(pem, 'the test');
const signed = async () => signReport(await reportOf(reads, record.incidentId), key);

describe('an incident report', () => {
  it('is whole when nothing was changed, whatever its layout, and names the key that signed it', async () => {
    const report = await signed();
    const fingerprint = fingerprintOf(report.signature.publicKey);
    for (const text of [JSON.stringify(report), JSON.stringify(report, undefined, 4)])
      expect(judgeReport(text)).toEqual({
        ...{
          ok: true,
          problems: [],
          incidentId: record.incidentId,
          entries: 3,
          fingerprint,
          keyCompared: false,
        },
      });
    const grouped = fingerprint.toUpperCase().replace(/(..)(?=.)/g, '$1:');
    expect(judgeReport(JSON.stringify(report), grouped)).toMatchObject({ ok: true, keyCompared: true });
  });

  type Mutable = { -readonly [K in keyof Awaited<ReturnType<typeof signed>>]: unknown } & {
    timeline: Record<string, unknown>[];
    incident: Record<string, unknown>;
    chain: Record<string, unknown>;
    signature: Record<string, unknown>;
  };

  it.each<[what: string, change: (report: Mutable) => void, problem: RegExp]>([
    ['a sentence', (r) => (r.timeline[1]!['sentence'] = 'nothing happened'), /broken at entry 2/],
    ['a fact', (r) => (r.timeline[0]!['facts'] = {}), /broken at entry 1/],
    ['an entry taken out', (r) => r.timeline.splice(1, 1), /broken at entry 2/],
    ['an end cut off', (r) => r.timeline.pop(), /entries are missing/],
    ['the record', (r) => (r.incident['outcome'] = 'dismissed'), /signature is not of this content/],
    [
      'the signature',
      (r) => (r.signature['value'] = Buffer.alloc(64).toString('base64')),
      /signature is not of this/,
    ],
    ['the key', (r) => (r.signature['publicKey'] = 'AAAA'), /signature is not of this content/],
    [
      'something added',
      (r) => ((r as Record<string, unknown>)['note'] = 'all is well'),
      /signature is not of this/,
    ],
  ])('%s changed is found out', async (_, change, problem) => {
    const report = JSON.parse(JSON.stringify(await signed())) as Mutable;
    change(report);
    const verdict = judgeReport(JSON.stringify(report));
    expect(verdict.ok).toBe(false);
    expect(verdict.problems.join('\n')).toMatch(problem);
  });

  it('signed anew by somebody else agrees with itself, and not with the key that is trusted', async () => {
    const { signature, ...report } = await signed();
    const forged = signReport(report, signingKey(newSigningKey(), 'another'));
    expect(judgeReport(JSON.stringify(forged)).ok).toBe(true);
    const verdict = judgeReport(JSON.stringify(forged), fingerprintOf(signature.publicKey));
    expect(verdict.problems).toEqual([expect.stringContaining('not by the one that is trusted')]);
  });

  it.each(['', '{', '[]', '{"format":"something else"}'])('that is none is refused: %s', (text) => {
    expect(judgeReport(text)).toMatchObject({ ok: false, problems: [expect.stringMatching(/^it is no/)] });
  });

  it('is not signed by a key of another kind, and a key that is none is named without its text', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const report = await reportOf(reads, record.incidentId);
    expect(() => signReport(report, rsa)).toThrow(/Ed25519, and this key is rsa/);
    expect(() => signingKey('hunter2', 'file:key')).toThrow(/^file:key holds no private key in PEM form$/);
  });

  it('is checked on the command line, without a config: 0 when whole, 3 when not', async () => {
    const file = join(folder, 'report.json');
    const report = await signed();
    writeFileSync(file, JSON.stringify(report));
    const good = await run(['incident', 'verify', file]);
    expect([good.exit, good.stdout]).toEqual([
      exitCodes.done,
      expect.stringContaining('3 entries of host-hv-a-1'),
    ]);
    const other = await run(['incident', 'verify', file, '--key', 'ab'.repeat(32), '--json']);
    expect([other.exit, JSON.parse(other.stdout)]).toMatchObject([exitCodes.refused, { ok: false }]);
    writeFileSync(file, JSON.stringify(report).replace('"off"', '"on"'));
    expect((await run(['incident', 'verify', file])).exit).toBe(exitCodes.refused);
    expect((await run(['incident', 'verify', join(folder, 'none.json')])).exit).toBe(exitCodes.usage);
  });
});

it('acknowledging says how many were waiting', async () => {
  const open = session({ ...reads, acknowledgeAlerts: () => Promise.resolve(2) });
  const ran = await run(['incident', 'acknowledge', 'host-hv-a-1', '--reason', 'on my way'], { open });
  expect([ran.exit, ran.stdout]).toEqual([0, expect.stringContaining('2 alerts acknowledged')]);
  expect((await run(['incident', 'acknowledge', 'host-hv-a-1'], { open })).exit).toBe(exitCodes.usage);
});
