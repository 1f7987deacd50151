/** Where the beat guest keeps what, and how its boot sector is set. In step with `beat.asm`, which a test holds against this. */
import { readFileSync } from 'node:fs';
import { labFile } from '../lab-file';

export const SECTOR = 512;
export const HEAD_SECTOR = 8;
export const RING_SECTOR = 64;

/** The BIOS timer's rate. */
export const TICKS_PER_SECOND = 18.2;

const INTERVAL_AT = 0x1e0;
const RING_MASK_AT = 0x1e2;
const ACT_AFTER_AT = 0x1e6;
const ACT_HOW_AT = 0x1ea;
const ACTS = { 'power-off': 1, panic: 2, reset: 3 } as const;

export interface BeatOptions {
  /** BIOS ticks (18.2 a second) between two beats. */
  readonly ticks: number;
  /** Records that the ring holds; a power of two. */
  readonly ringSize: number;
  /** What the guest does to itself so many beats after each power-on. A panic needs a panic device in the domain. */
  readonly act?: { readonly afterBeats: number; readonly how: keyof typeof ACTS };
}

/** How many records the ring of a disk of so many bytes can hold. */
export function ringSizeFor(diskBytes: number): number {
  const room = Math.floor(diskBytes / SECTOR) - RING_SECTOR;
  if (room < 2) throw new RangeError(`a disk of ${diskBytes} bytes has no room for a ring of records`);
  return 2 ** Math.floor(Math.log2(room));
}

/** Boot sector and code, as assembled: `beat.hex` is committed, so that nobody needs an assembler. */
export function assembledCode(): Buffer {
  return Buffer.from(readFileSync(labFile('guest/beat.hex'), 'latin1').replace(/\s+/g, ''), 'hex');
}

/** The first sectors of a beat disk. */
export function bootCode(options: BeatOptions): Buffer {
  const { ticks, ringSize, act } = options;
  if (!Number.isInteger(ticks) || ticks < 1 || ticks > 0xffff)
    throw new RangeError(`a beat comes every 1 to 65535 ticks, not ${ticks}`);
  if (!Number.isInteger(Math.log2(ringSize)))
    throw new RangeError(`a ring's size is a power of two, not ${ringSize}`);
  const code = assembledCode();
  code.writeUInt16LE(ticks, INTERVAL_AT);
  code.writeUInt32LE(ringSize - 1, RING_MASK_AT);
  code.writeUInt32LE(act?.afterBeats ?? 0, ACT_AFTER_AT);
  code.writeUInt8(act ? ACTS[act.how] : 0, ACT_HOW_AT);
  return code;
}

/** The ring's size that a disk was made with; undefined when it does not begin with our boot sector. */
export function ringSizeOf(disk: Buffer): number | undefined {
  if (disk.length < SECTOR || disk.readUInt16LE(510) !== 0xaa55) return undefined;
  const size = disk.readUInt32LE(RING_MASK_AT) + 1;
  return Number.isInteger(Math.log2(size)) && size > 1 ? size : undefined;
}
