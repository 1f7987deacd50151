/**
 * The disk oracle: was this disk only ever written by one machine at a time, and does it hold everything that its guest said it wrote?
 *
 * Theory of operation: a beat guest reads the head, writes a record into the next slot, rewrites the head, and prints the record once
 * both writes are durable. While there is one writer after another, the ring therefore is a chain: seq without a hole, each boot one
 * run of consecutive n, each record naming as `prev` the boot of the record before it. A second writer, a lost write and a wrong or
 * older disk each break the chain or the promise that what was printed is there. Pure: bytes in, verdict out.
 *
 * INVARIANTS:
 * - CLEAN is said only after every rule was applied to at least one record;
 * - what cannot be read is UNKNOWN, never CLEAN;
 * - a slot that no head vouches for (a power cut between the two writes) is no evidence of anything.
 */
import { HEAD_SECTOR, RING_SECTOR, SECTOR, ringSizeOf } from '../guest/layout';
import { type BeatRecord, printedRecords, recordOfSector } from './record';

export const ORACLE_RULES = {
  hole: 'a record that the head vouches for is not in its slot',
  interleaved: 'a boot wrote again after another boot had begun',
  'beat-lost': 'within one boot a beat is missing',
  'headless-run': 'a boot begins in its middle: its first beats are gone',
  'foreign-head': 'the guest found a head that another boot had written while it ran',
  'stale-head': 'the head is not the record in its slot: somebody wrote over the one or the other',
  'broken-chain': 'a boot began after another head than the record before it',
  'wrong-machine': 'a record of another machine',
  'printed-not-on-disk': 'a beat that was printed, so was durable, is not on the disk',
  'printed-twice': 'two different beats were printed for one place',
  boots: 'more or fewer boots than were made',
} as const;

export type OracleRule = keyof typeof ORACLE_RULES;

export interface Violation {
  readonly rule: OracleRule;
  readonly seq: number;
  readonly detail: string;
}

export interface BootRun {
  readonly boot: string;
  readonly from: number;
  readonly to: number;
}

export type Verdict =
  | {
      readonly verdict: 'CLEAN';
      readonly beats: number;
      readonly printed: number;
      readonly runs: readonly BootRun[];
    }
  | {
      readonly verdict: 'VIOLATION';
      readonly beats: number;
      readonly printed: number;
      readonly runs: readonly BootRun[];
      readonly violations: readonly Violation[];
    }
  | { readonly verdict: 'UNKNOWN'; readonly why: string };

export interface Evidence {
  /** The disk from its first byte to the end of its ring. */
  readonly disk: Buffer;
  /** Everything printed, read *before* the disk. Left out: the printed beats are not judged. */
  readonly serial?: string | undefined;
  /** The machine that the disk belongs to, as a UUID. */
  readonly vm?: string | undefined;
  /** How many times it was powered on, as far as the ring remembers. */
  readonly boots?: number | undefined;
  /**
   * The head as it stood before the disk was read, for a disk that is being written to: later records are left out of account, and a
   * margin of the oldest ones, which the guest may overwrite meanwhile.
   */
  readonly liveHead?: Buffer | undefined;
}

/** Records that a guest at its fastest (18 a second) cannot overwrite while its disk is being read. */
const LIVE_MARGIN = 64;

export function judgeDisk(evidence: Evidence): Verdict {
  const { disk } = evidence;
  const ringSize = ringSizeOf(disk);
  if (ringSize === undefined) return unknown('the disk does not begin with the boot sector of a beat guest');
  if (disk.length < (RING_SECTOR + ringSize) * SECTOR) return unknown('the disk ends before its ring does');
  const printed = evidence.serial === undefined ? [] : printedRecords(evidence.serial);
  const head = recordOfSector(evidence.liveHead ?? sectorOf(disk, HEAD_SECTOR));
  if (head === undefined) return withoutHead(printed);
  if (evidence.serial !== undefined && printed.length === 0 && head.n > 1)
    return unknown(
      `the disk holds beats up to ${head.seq}, and none was printed: this is not its serial file`,
    );

  const margin = evidence.liveHead === undefined ? 1 : LIVE_MARGIN;
  const first = Math.max(1, head.seq - ringSize + 1 + margin);
  if (first > head.seq) return unknown('its ring is too small to be judged while the guest writes to it');
  const slots = readSlots(disk, ringSize, first, head.seq);
  const chain = judgeChain(slots, first, head.seq, evidence.vm?.replaceAll('-', '').toLowerCase());
  const violations = [
    ...judgeHead(head, slots),
    ...chain.violations,
    ...judgePrinted(printed, slots, first, head.seq),
    ...judgeBoots(chain.runs, evidence.boots),
  ];
  const seen = { beats: head.seq, printed: printed.length, runs: chain.runs };
  return violations.length === 0
    ? { verdict: 'CLEAN', ...seen }
    : { verdict: 'VIOLATION', ...seen, violations };
}

function withoutHead(printed: readonly BeatRecord[]): Verdict {
  const last = printed.at(-1);
  if (last === undefined) return unknown('the disk has no head record: it was never written');
  const detail = `${printed.length} beats were printed, the last with seq ${last.seq}, and the disk has no head record`;
  const violations = [{ rule: 'printed-not-on-disk' as const, seq: last.seq, detail }];
  return { verdict: 'VIOLATION', beats: 0, printed: printed.length, runs: [], violations };
}

type Slots = ReadonlyMap<number, BeatRecord>;

function readSlots(disk: Buffer, ringSize: number, first: number, last: number): Slots {
  const slots = new Map<number, BeatRecord>();
  for (let seq = first; seq <= last; seq++) {
    const record = recordOfSector(sectorOf(disk, RING_SECTOR + (seq & (ringSize - 1))));
    if (record?.seq === seq) slots.set(seq, record);
  }
  return slots;
}

/** A run that is being followed. */
interface OpenRun {
  boot: string;
  from: number;
  to: number;
  n: number;
}

function judgeChain(
  slots: Slots,
  first: number,
  last: number,
  vm: string | undefined,
): { runs: OpenRun[]; violations: Violation[] } {
  const runs: OpenRun[] = [];
  const violations: Violation[] = [];
  for (let seq = first; seq <= last; seq++) {
    const record = slots.get(seq);
    const say = (rule: OracleRule, detail: string): number => violations.push({ rule, seq, detail });
    if (record === undefined) {
      say('hole', `slot ${seq} holds something else`);
      continue;
    }
    if (vm !== undefined && record.vm !== vm) say('wrong-machine', `written by ${record.vm}`);
    if (record.n > 1 && record.prev !== record.boot)
      say('foreign-head', `boot ${record.boot} at its beat ${record.n} found a head of ${record.prev}`);
    const run = runs.at(-1);
    if (run?.boot === record.boot) {
      if (record.n !== run.n + 1) say('beat-lost', `beat ${record.n} of ${record.boot} follows ${run.n}`);
      run.to = seq;
      run.n = record.n;
      continue;
    }
    if (runs.some((earlier) => earlier.boot === record.boot))
      say('interleaved', `boot ${record.boot} again, after ${run?.boot ?? 'nobody'}`);
    // Of the oldest run in the ring the beginning may be overwritten.
    else if (record.n !== 1 && (run !== undefined || first === 1))
      say('headless-run', `boot ${record.boot} begins with beat ${record.n}`);
    const before = slots.get(seq - 1);
    if (record.n === 1 && before !== undefined && record.prev !== before.boot)
      say(
        'broken-chain',
        `boot ${record.boot} began after ${record.prev}, the record before is of ${before.boot}`,
      );
    runs.push({ boot: record.boot, from: seq, to: seq, n: record.n });
  }
  return { runs, violations };
}

function judgeHead(head: BeatRecord, slots: Slots): Violation[] {
  const slot = slots.get(head.seq);
  // A slot with something else altogether is a hole.
  if (slot === undefined || slot.text === head.text) return [];
  return [
    { rule: 'stale-head', seq: head.seq, detail: `the head is of ${head.boot}, its slot of ${slot.boot}` },
  ];
}

function judgePrinted(
  printed: readonly BeatRecord[],
  slots: Slots,
  first: number,
  last: number,
): Violation[] {
  const violations: Violation[] = [];
  const texts = new Map<number, string>();
  for (const record of printed) {
    const { seq } = record;
    const earlier = texts.get(seq);
    if (earlier !== undefined && earlier !== record.text)
      violations.push({ rule: 'printed-twice', seq, detail: `"${earlier}" and "${record.text}"` });
    texts.set(seq, record.text);
    // The ring has overwritten what is older.
    if (seq < first) continue;
    if (seq > last || slots.get(seq)?.text !== record.text)
      violations.push({ rule: 'printed-not-on-disk', seq, detail: `"${record.text}"` });
  }
  return violations;
}

function judgeBoots(runs: readonly BootRun[], expected: number | undefined): Violation[] {
  if (expected === undefined || runs.length === expected) return [];
  return [{ rule: 'boots', seq: 0, detail: `${runs.length} boots are on the disk, ${expected} were made` }];
}

function sectorOf(disk: Buffer, sector: number): Buffer {
  return disk.subarray(sector * SECTOR, (sector + 1) * SECTOR);
}

function unknown(why: string): Verdict {
  return { verdict: 'UNKNOWN', why };
}
