/** What guests boot from: built once out of Debian packages, kept in the cache under a name made of all that it is made of. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from '../../workers/embedded/cache-dir';
import { labFile } from '../lab-file';
import { runOrThrow } from '../run';

/** Fetching 220 MB, unpacking and packing again: about a minute on two quiet cores. */
const BUILD_MS = 15 * 60_000;

export type GuestKernel = 'right' | 'stock';

export interface StorageImage {
  readonly folder: string;
  /** The recipe's own name: another recipe, another key. */
  readonly key: string;
}

/** The image, built now when it is not in the cache. Two that build at once wait for each other. */
export async function storageImage(
  progress: (line: string) => void = () => undefined,
): Promise<StorageImage> {
  const image = imageInCache();
  if (existsSync(join(image.folder, 'packages'))) return image;
  progress('building the image of the storage lab, once (about a minute, 220 MB of Debian packages)');
  mkdirSync(storageCache(), { recursive: true });
  const build = labFile('storage/image/build');
  await runOrThrow('flock', [`${image.folder}.lock`, build, image.folder], { timeoutMs: BUILD_MS });
  return image;
}

/** Whether nothing need be built. */
export const imageIsBuilt = (): boolean => existsSync(join(imageInCache().folder, 'packages'));

export const storageCache = (): string => join(cacheDir(), 'storage-lab');

function imageInCache(): StorageImage {
  const recipe = createHash('sha256').update(process.arch);
  for (const file of ['build', 'init', 'early-init'])
    recipe.update(readFileSync(labFile(`storage/image/${file}`)));
  const key = recipe.digest('hex').slice(0, 12);
  return { folder: join(storageCache(), key), key };
}
