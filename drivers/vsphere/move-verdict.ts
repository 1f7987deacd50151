/**
 * From what was read to where the disks are. Pure, and it knows no task: a task that ended well with nothing moved, or badly with everything
 * moved, is the rule here and not the exception (docs/vsphere-support.md has the table).
 */
import { type FileOnDatastore, extentOf, fileKey, hostPath, splitPath } from './datastores';
import type { MoveImage } from './move-image';
import type { VimDisk } from './virtual-machines';

export type DiskVerdict =
  | { readonly at: 'moved' | 'not-moved'; readonly leftovers: readonly LeftFile[] }
  | { readonly at: 'partial'; readonly leftovers: readonly LeftFile[]; readonly detail: string }
  | { readonly at: 'disk-missing'; readonly paths: readonly string[]; readonly detail: string }
  | { readonly at: 'unknown'; readonly detail: string };

export interface LeftFile {
  readonly datastore: string;
  readonly path: string;
  readonly what: 'source' | 'copy';
}

/** @param disks the VM's disks now. @param files a listing of every folder that the move could have touched. */
export function judgeDisks(
  image: MoveImage,
  disks: readonly VimDisk[],
  files: readonly FileOnDatastore[],
): DiskVerdict {
  const listed = new Map(files.map((f) => [fileKey(f), f]));
  const lost = disks.flatMap((disk) => filesOf(disk).filter((f) => !listed.has(fileKey(f))));
  const moved: string[] = [];
  const stayed: string[] = [];
  for (const was of image.disks) {
    const now = disks.find((d) => d.uuid === was.uuid);
    if (now === undefined) return { at: 'unknown', detail: `disk ${was.uuid} is not attached to the VM` };
    const place = now.datastore.value;
    if (place !== was.from && place !== was.to)
      return { at: 'unknown', detail: `${now.label} is at ${hostPath(now.file)}, where nobody asked for it` };
    if (place === was.to && was.from !== was.to) {
      const spoilt = spoiltCopy(image, was, now, listed);
      if (spoilt !== undefined) return { at: 'unknown', detail: spoilt };
    }
    if (was.from !== was.to) (place === was.to ? moved : stayed).push(now.label);
  }
  if (lost.length > 0) {
    const paths = lost.map((f) => hostPath(f.shown));
    return {
      at: 'disk-missing',
      paths,
      detail: `the VM names ${paths.join(', ')}, and the datastore does not list it`,
    };
  }
  const leftovers = leftFiles(image, disks, files);
  if (moved.length > 0 && stayed.length > 0)
    return { at: 'partial', leftovers, detail: `${moved.join(', ')} moved, ${stayed.join(', ')} did not` };
  return { at: moved.length > 0 ? 'moved' : 'not-moved', leftovers };
}

/** A disk's files: every descriptor of its chain, and the extent beside it. */
function filesOf(disk: VimDisk): { datastore: string; path: string; shown: string }[] {
  return disk.chain.map((file) => ({
    datastore: disk.datastore.value,
    path: splitPath(file)?.path ?? file,
    shown: file,
  }));
}

/**
 * What is wrong with the copy, as far as a listing shows it: it holds another capacity, or its extent lost bytes. Content that was changed
 * within its length is shown by no listing. A thin disk may take up more or less elsewhere, but not nothing.
 */
function spoiltCopy(
  image: MoveImage,
  was: MoveImage['disks'][number],
  now: VimDisk,
  listed: ReadonlyMap<string, FileOnDatastore>,
): string | undefined {
  if (now.bytes !== was.bytes)
    return `${now.label} could hold ${was.bytes} bytes and now can hold ${now.bytes}`;
  const sizeAt = (
    datastore: string,
    file: string | undefined,
    among: (key: string) => FileOnDatastore | undefined,
  ) => among(fileKey({ datastore, path: extentOf(splitPath(file ?? '')?.path ?? '') }))?.bytes;
  const before = sizeAt(was.from, was.chain[0], (key) => image.files.find((f) => fileKey(f) === key));
  const after = sizeAt(was.to, now.file, (key) => listed.get(key));
  if (before === undefined || after === undefined) return undefined;
  const whole = was.thin || now.thin ? before === 0 || after > 0 : after === before;
  return whole
    ? undefined
    : `the copy of ${now.label} takes up ${after} bytes, and the disk took up ${before}: it is not whole`;
}

/** Disk files that nobody of this VM uses: old ones of its own, and ones that were not there before. */
function leftFiles(
  image: MoveImage,
  disks: readonly VimDisk[],
  files: readonly FileOnDatastore[],
): LeftFile[] {
  const withExtents = (entries: readonly { datastore: string; path: string }[]): Set<string> =>
    new Set(entries.flatMap((f) => [fileKey(f), fileKey({ ...f, path: extentOf(f.path) })]));
  const used = withExtents(disks.flatMap(filesOf));
  const old = withExtents(
    image.disks.flatMap((d) => d.chain.map((c) => ({ datastore: d.from, path: splitPath(c)?.path ?? c }))),
  );
  const before = new Set(image.files.map(fileKey));
  const left = files.filter((f) => f.path.endsWith('.vmdk') && !used.has(fileKey(f)));
  const ours = left.filter((f) => old.has(fileKey(f)) || !before.has(fileKey(f)));
  const keys = new Set(ours.map(fileKey));
  return (
    ours
      // An extent goes with its descriptor; alone it stands for itself.
      .filter(
        (f) =>
          !f.path.endsWith('-flat.vmdk') ||
          !keys.has(fileKey({ ...f, path: f.path.replace(/-flat\.vmdk$/, '.vmdk') })),
      )
      .map((f): LeftFile => ({
        datastore: f.datastore,
        path: f.path,
        what: old.has(fileKey(f)) ? 'source' : 'copy',
      }))
  );
}
