import { join } from 'node:path';
import { whyNoStorageLab } from '../../lab/storage/availability';
import { storageCache } from '../../lab/storage/image';
import { createNfsLab, type NfsLab, type NfsLabOptions } from '../../lab/storage/nfs-lab';
import { newLabFolder } from '../lab/real-lab';
import { describeIf, testIf } from './optional';
import { describeOnRealHosts } from './real-hosts';
import { takeTurn } from './turn';

/**
 * The same guests in every suite, because each other shape is a cold boot and half a gigabyte of saved state. The lease is longer than any
 * case: what a dead client holds stays held until it is released.
 */
const shape = { leaseSeconds: 90, stranger: true } as const;

/** A lab with everybody up and every VM beating. Suites have it one after the other; `close` ends the turn with the lab. */
export async function nfsLabUp(
  options: Omit<NfsLabOptions, 'folder'>,
): Promise<{ readonly nfs: NfsLab; close(): Promise<void> }> {
  const giveBack = await takeTurn(join(storageCache(), 'turn'));
  let nfs: NfsLab | undefined;
  const close = async (): Promise<void> => {
    await nfs?.down();
    await giveBack();
  };
  try {
    nfs = await createNfsLab({ folder: newLabFolder(), ...shape, ...options });
    await nfs.up();
    return { nfs, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

const reason = whyNoStorageLab();

/** `describe` for tests on real kernels' storage; left out with the reason where there can be none. */
export const describeOnStorageLab: jest.Describe =
  reason === undefined ? describeOnRealHosts : describeIf(false, reason);

const isSoak = process.env['VMEDIC_SOAK'] === 'true';
const leftToSoaks = 'it takes minutes: make soak';

/** The same for what takes minutes: `make soak` runs it. */
export const describeAtLengthOnStorageLab: jest.Describe = isSoak
  ? describeOnStorageLab
  : describeIf(false, leftToSoaks, 'beyond-ci');

/** One test of such a kind among others. */
export const itAtLength: jest.It = testIf(isSoak, leftToSoaks, 'beyond-ci');
