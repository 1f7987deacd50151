import { HEAD_SECTOR, RING_SECTOR, SECTOR, bootCode } from '../../../lab/guest/layout';
import { recordOfSector } from '../../../lab/oracle/record';

export const RING_SIZE = 256;
export const UUID = '8f389645-196b-45ff-93b9-0736de816557';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** A beat disk in memory, and what was printed while it was written. */
export class SyntheticDisk {
  readonly bytes: Buffer;
  serial = '';

  constructor(private readonly ringSize = RING_SIZE) {
    this.bytes = Buffer.alloc((RING_SECTOR + ringSize) * SECTOR);
    bootCode({ ticks: 18, ringSize }).copy(this.bytes);
  }

  get headSeq(): number {
    return recordOfSector(this.sector(HEAD_SECTOR))?.seq ?? 0;
  }

  sector(index: number): Buffer {
    return this.bytes.subarray(index * SECTOR, (index + 1) * SECTOR);
  }

  slot(seq: number): Buffer {
    return this.sector(RING_SECTOR + (seq % this.ringSize));
  }

  get head(): Buffer {
    return this.sector(HEAD_SECTOR);
  }

  /** Another copy of it as it is now, with the same past on the serial port. */
  copy(): SyntheticDisk {
    const copy = new SyntheticDisk(this.ringSize);
    this.bytes.copy(copy.bytes);
    copy.serial = this.serial;
    return copy;
  }
}

/** What the boot sector does, step by step, so that a test can stop it between any two. */
export class SyntheticGuest {
  private n = 0;
  private line = '';
  private seq = 0;

  constructor(
    /** May be exchanged while the guest runs. */
    public disk: SyntheticDisk,
    readonly boot: string,
    private readonly vm = UUID,
  ) {}

  beat(count = 1): this {
    for (let i = 0; i < count; i++) {
      this.look();
      this.writeSlot();
      this.writeHead();
      this.print();
    }
    return this;
  }

  look(): void {
    const head = recordOfSector(this.disk.head);
    this.seq = (head?.seq ?? 0) + 1;
    const fields = [
      `seq=${hex(this.seq, 8)}`,
      `n=${hex(this.n + 1, 8)}`,
      `boot=${this.boot}`,
      `prev=${head?.boot ?? '0'.repeat(16)}`,
      `vm=${this.vm.replaceAll('-', '')}`,
    ];
    this.line = `VMEDIC-BEAT ${fields.join(' ')}\n`;
  }

  writeSlot(): void {
    this.disk.slot(this.seq).fill(0).write(this.line, 'latin1');
  }

  writeHead(): void {
    this.disk.head.fill(0).write(this.line, 'latin1');
    this.n++;
  }

  print(): void {
    this.disk.serial += this.line;
  }
}

export const BOOT_A = 'aaaaaaaaaaaaaaaa';
export const BOOT_B = 'bbbbbbbbbbbbbbbb';
export const BOOT_C = 'cccccccccccccccc';
