import {
  type Evidence,
  ORACLE_RULES,
  type OracleRule,
  type Verdict,
  judgeDisk,
} from '../../../lab/oracle/judge';
import { BOOT_A, BOOT_B, BOOT_C, RING_SIZE, SyntheticDisk, SyntheticGuest, UUID } from './synthetic-disk';

const judge = (disk: SyntheticDisk, more: Partial<Evidence> = {}): Verdict =>
  judgeDisk({ disk: disk.bytes, serial: disk.serial, vm: UUID, ...more });

const rulesOf = (verdict: Verdict): OracleRule[] =>
  verdict.verdict === 'VIOLATION' ? [...new Set(verdict.violations.map(({ rule }) => rule))] : [];

/** A disk that A wrote to, was cut off, and B took over. */
function takenOver(): SyntheticDisk {
  const disk = new SyntheticDisk();
  new SyntheticGuest(disk, BOOT_A).beat(5);
  new SyntheticGuest(disk, BOOT_B).beat(5);
  return disk;
}

function bothRun(): SyntheticDisk {
  const disk = new SyntheticDisk();
  const a = new SyntheticGuest(disk, BOOT_A).beat(3);
  const b = new SyntheticGuest(disk, BOOT_B).beat(2);
  a.beat(2);
  b.beat(2);
  return disk;
}

describe('a disk with one writer after another is CLEAN', () => {
  it('with one boot', () => {
    const disk = new SyntheticDisk();
    new SyntheticGuest(disk, BOOT_A).beat(3);
    expect(judge(disk, { boots: 1 })).toEqual({
      verdict: 'CLEAN',
      beats: 3,
      printed: 3,
      runs: [{ boot: BOOT_A, from: 1, to: 3, n: 3 }],
    });
  });

  it('with a take-over', () => {
    expect(judge(takenOver(), { boots: 2 })).toMatchObject({ verdict: 'CLEAN', beats: 10 });
  });

  it('cut between slot and head: what no head vouches for is written over', () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(3);
    a.look();
    a.writeSlot();
    expect(judge(disk)).toMatchObject({ verdict: 'CLEAN', beats: 3 });
    new SyntheticGuest(disk, BOOT_B).beat(1);
    expect(judge(disk, { boots: 2 })).toMatchObject({ verdict: 'CLEAN', beats: 4 });
  });

  it('cut between head and print: what was not printed was not promised', () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(3);
    a.look();
    a.writeSlot();
    a.writeHead();
    expect(judge(disk)).toMatchObject({ verdict: 'CLEAN', beats: 4, printed: 3 });
  });

  it('after the ring has started over several times', () => {
    const disk = new SyntheticDisk();
    new SyntheticGuest(disk, BOOT_A).beat(RING_SIZE * 2 + 7);
    const b = new SyntheticGuest(disk, BOOT_B).beat(RING_SIZE + 9);
    b.look();
    b.writeSlot();
    expect(judge(disk)).toMatchObject({ verdict: 'CLEAN', beats: RING_SIZE * 3 + 16 });
  });

  it('with a printed line torn off by a cut and followed by another on the same line', () => {
    const disk = takenOver();
    disk.serial = disk.serial.replace(/n=00000005 boot=a.*\n/, 'n=000');
    expect(judge(disk)).toMatchObject({ verdict: 'CLEAN', printed: 9 });
  });

  it('read while its guest goes on writing', () => {
    const disk = new SyntheticDisk();
    const guest = new SyntheticGuest(disk, BOOT_A).beat(RING_SIZE * 2);
    const serial = disk.serial;
    const liveHead = Buffer.from(disk.head);
    guest.beat(50);
    expect(judge(disk, { serial, liveHead })).toMatchObject({ verdict: 'CLEAN', beats: RING_SIZE * 2 });
  });
});

/** Each rule with a disk that breaks it: a rule without one could be a rule that never speaks. */
const BROKEN: Readonly<Record<OracleRule, () => readonly [SyntheticDisk, Partial<Evidence>?]>> = {
  hole: () => {
    const disk = takenOver();
    disk.slot(7).fill(0);
    return [disk];
  },
  interleaved: () => [bothRun()],
  'beat-lost': () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(2);
    const before = disk.copy();
    a.beat(1);
    before.bytes.copy(disk.bytes);
    a.beat(1);
    return [disk];
  },
  'headless-run': () => {
    const disk = new SyntheticDisk();
    new SyntheticGuest(disk, BOOT_A).beat(3);
    const b = new SyntheticGuest(disk.copy(), BOOT_B).beat(1);
    b.disk = disk;
    b.beat(1);
    return [disk];
  },
  'foreign-head': () => [bothRun()],
  'stale-head': () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(3);
    a.look();
    a.writeSlot();
    new SyntheticGuest(disk, BOOT_B).beat(1);
    a.writeHead();
    return [disk];
  },
  'broken-chain': () => {
    const disk = takenOver();
    const c = new SyntheticGuest(disk, BOOT_C);
    disk.head.write(disk.head.toString('latin1').replace(BOOT_B, BOOT_A), 'latin1');
    c.beat(2);
    return [disk];
  },
  'wrong-machine': () => [takenOver(), { vm: '00000000-0000-4000-8000-000000000001' }],
  'printed-not-on-disk': () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(3);
    const older = disk.copy();
    a.beat(2);
    older.bytes.copy(disk.bytes);
    return [disk];
  },
  'printed-twice': () => {
    const disk = new SyntheticDisk();
    new SyntheticGuest(disk, BOOT_A).beat(3);
    const stale = disk.copy();
    new SyntheticGuest(disk, BOOT_B).beat(2);
    new SyntheticGuest(stale, BOOT_C).beat(2);
    disk.serial += stale.serial;
    return [disk];
  },
  boots: () => [takenOver(), { boots: 3 }],
};

describe('a disk that was written to otherwise is a VIOLATION', () => {
  it.each(Object.keys(ORACLE_RULES) as OracleRule[])('of the rule %s', (rule) => {
    const [disk, more] = BROKEN[rule]();
    expect(rulesOf(judge(disk, more))).toContain(rule);
  });

  it('seen from the disk alone when two ran at once', () => {
    expect(rulesOf(judge(bothRun(), { serial: undefined }))).toEqual(
      expect.arrayContaining(['interleaved', 'foreign-head']),
    );
  });

  it('when a frozen writer wakes for a single write', () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(3);
    a.look();
    new SyntheticGuest(disk, BOOT_B).beat(4);
    expect(judge(disk)).toMatchObject({ verdict: 'CLEAN' });
    a.writeSlot();
    expect(judge(disk)).toMatchObject({ verdict: 'VIOLATION' });
  });

  it('when the disk was emptied after its guest had printed', () => {
    const disk = takenOver();
    const empty = new SyntheticDisk();
    expect(rulesOf(judge(empty, { serial: disk.serial }))).toEqual(['printed-not-on-disk']);
  });

  it('when a second writer joins while the disk is being read', () => {
    const disk = new SyntheticDisk();
    const a = new SyntheticGuest(disk, BOOT_A).beat(RING_SIZE);
    new SyntheticGuest(disk, BOOT_B).beat(50);
    a.beat(50);
    expect(rulesOf(judge(disk, { liveHead: Buffer.from(disk.head) }))).toContain('interleaved');
  });
});

describe('what cannot be read is UNKNOWN', () => {
  it.each<[string, Buffer, string]>([
    ['an empty disk', Buffer.alloc(1024 * 1024), 'boot sector'],
    ['no bytes at all', Buffer.alloc(0), 'boot sector'],
    ['a disk that ends before its ring', takenOver().bytes.subarray(0, 100 * 512), 'ends before'],
    ['a beat disk that was never powered on', new SyntheticDisk().bytes, 'never written'],
  ])('%s', (_what, disk, why) => {
    const verdict = judgeDisk({ disk, serial: '', vm: UUID });
    expect(verdict).toEqual({ verdict: 'UNKNOWN', why: expect.stringContaining(why) as string });
  });

  it("a serial file that is not this disk's", () => {
    expect(judge(takenOver(), { serial: '' })).toMatchObject({ verdict: 'UNKNOWN' });
  });
});
