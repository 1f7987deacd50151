import { constants, copyFile, open, rm } from 'node:fs/promises';
import { runOrThrow } from '../run';
import { type BeatOptions, bootCode, ringSizeFor } from './layout';

export type DiskFormat = 'raw' | 'qcow2';

/** Room for 4096 records: more than an hour of beats at one a second before the ring starts over. */
export const DISK_BYTES = 4 * 1024 * 1024;

const CONVERT_MS = 30_000;

/** Makes the disk of a beat guest that was never powered on. @throws when the file is already there. */
export async function makeBeatDisk(
  path: string,
  format: DiskFormat,
  beat: Omit<BeatOptions, 'ringSize'>,
  bytes = DISK_BYTES,
): Promise<void> {
  if (format === 'raw') return writeRaw(path, bytes, beat);
  const raw = `${path}.part`;
  await writeRaw(raw, bytes, beat);
  try {
    // With its tables laid out beforehand, a qcow2 file changes in its data only, and a reader beside a running guest sees sense.
    const args = ['convert', '-f', 'raw', '-O', 'qcow2', '-o', 'preallocation=metadata', raw, path];
    await runOrThrow('qemu-img', args, { timeoutMs: CONVERT_MS });
  } finally {
    await rm(raw, { force: true });
  }
}

/** As `makeBeatDisk`, from one that is as new: a beat disk does not know its machine. @throws when `path` is already there. */
export async function copyNewDisk(template: string, path: string): Promise<void> {
  await copyFile(template, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
}

async function writeRaw(path: string, bytes: number, beat: Omit<BeatOptions, 'ringSize'>): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    await file.write(bootCode({ ...beat, ringSize: ringSizeFor(bytes) }));
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}
