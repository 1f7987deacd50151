/**
 * The second reader of a simulated vCenter: disks as its datastores hold them on this machine, by the file system alone. It shares no code
 * with the driver nor with the simulator's controls.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What `GET /state` says of datastores. */
export interface DatastoreFolders {
  readonly datastores: readonly { readonly name: string; readonly path: string }[];
}

/** Where the path that an ESXi host would use lies here. */
export function localFile(state: DatastoreFolders, path: string): string {
  const [, , , name = '', ...rest] = path.split('/');
  const folder = state.datastores.find((d) => d.name === name)?.path;
  if (!path.startsWith('/vmfs/volumes/') || folder === undefined)
    throw new Error(`${path} is on no datastore`);
  return join(folder, ...rest);
}

/** A disk's bytes, as a sum. Its descriptor must name its extent, and the extent be there. */
export function contentOf(state: DatastoreFolders, path: string): string {
  const descriptor = localFile(state, path);
  const extent = descriptor.replace(/\.vmdk$/, '-flat.vmdk');
  if (!existsSync(descriptor) || !existsSync(extent)) return `${basename(path)} is not whole`;
  return createHash('sha256').update(readFileSync(extent)).digest('hex');
}

export const isThere = (state: DatastoreFolders, path: string): boolean => existsSync(localFile(state, path));

export function unlinkDisk(state: DatastoreFolders, path: string): void {
  const descriptor = localFile(state, path);
  for (const file of [descriptor, descriptor.replace(/\.vmdk$/, '-flat.vmdk')]) rmSync(file);
}

/** Sums of all extents on all datastores: a disk that was lost is one that is missing here. */
export function everyContent({ datastores }: DatastoreFolders): string[] {
  const below = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((e) => e.isFile() && e.name.endsWith('-flat.vmdk'))
      .map((e) =>
        createHash('sha256')
          .update(readFileSync(join(e.parentPath, e.name)))
          .digest('hex'),
      );
  return datastores.flatMap(({ path }) => below(path));
}
