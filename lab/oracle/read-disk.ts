import { open, readFile } from 'node:fs/promises';
import type { DiskFormat } from '../guest/disk';
import { HEAD_SECTOR, RING_SECTOR, SECTOR, ringSizeOf } from '../guest/layout';
import { runOrThrow } from '../run';
import { type Verdict, judgeDisk } from './judge';

const READ_MS = 30_000;

export interface DiskToJudge {
  readonly path: string;
  readonly format: DiskFormat;
  /** The file that the machine's serial port is written to. */
  readonly serial?: string | undefined;
  readonly vm?: string | undefined;
  readonly boots?: number | undefined;
}

/**
 * Reads and judges one disk, beside a running guest too: nothing is locked, nothing is written. A disk that cannot be read is UNKNOWN,
 * with the reason.
 */
export async function judgeDiskFile(disk: DiskToJudge): Promise<Verdict> {
  try {
    // The order matters: what was printed before the head was read is on the disk that is read last.
    const serial = disk.serial === undefined ? undefined : await readSerial(disk.serial);
    const liveHead = await (await openImage(disk.path, disk.format)).sectors(HEAD_SECTOR, 1);
    // Opened anew: a qcow2 image may have grown just before that head was written.
    const image = await openImage(disk.path, disk.format);
    const size = ringSizeOf(await image.sectors(0, 1));
    const bytes = await image.sectors(0, size === undefined ? RING_SECTOR : RING_SECTOR + size);
    const still = (await image.sectors(HEAD_SECTOR, 1)).equals(liveHead);
    return judgeDisk({
      disk: bytes,
      serial,
      vm: disk.vm,
      boots: disk.boots,
      liveHead: still ? undefined : liveHead,
    });
  } catch (cause) {
    return { verdict: 'UNKNOWN', why: cause instanceof Error ? cause.message : String(cause) };
  }
}

interface Image {
  sectors(first: number, count: number): Promise<Buffer>;
}

/** A piece of the guest's disk, and where in the image's file it lies; without `offset` it reads as zeros. */
interface Extent {
  readonly start: number;
  readonly length: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly offset?: number;
}

async function openImage(path: string, format: DiskFormat): Promise<Image> {
  if (format === 'raw') return { sectors: (first, count) => readAt(path, first * SECTOR, count * SECTOR) };
  // -U: without asking for the lock, which a running guest holds.
  const map = await runOrThrow('qemu-img', ['map', '-U', '-f', format, '--output=json', path], {
    timeoutMs: READ_MS,
  });
  const extents = JSON.parse(map) as Extent[];
  return { sectors: (first, count) => readExtents(path, extents, first * SECTOR, count * SECTOR) };
}

async function readExtents(
  path: string,
  extents: readonly Extent[],
  from: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (const extent of extents) {
    const start = Math.max(from, extent.start);
    const end = Math.min(from + length, extent.start + extent.length);
    if (start >= end || !extent.present) continue;
    if (extent.offset === undefined) {
      if (extent.zero) continue;
      throw new Error(`${path} is compressed: the oracle reads plain images only`);
    }
    const part = await readAt(path, extent.offset + start - extent.start, end - start);
    part.copy(bytes, start - from);
  }
  const size = Math.max(0, ...extents.map((extent) => extent.start + extent.length));
  return bytes.subarray(0, Math.max(0, Math.min(length, size - from)));
}

async function readAt(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await file.read(bytes, 0, length, offset);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** A machine that was never powered on has no serial file: it printed nothing. */
async function readSerial(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
}
