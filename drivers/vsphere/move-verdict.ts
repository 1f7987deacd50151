/**
 * From what was read to where the disks are. Pure, and it knows no task: a task that ended well with nothing moved, or badly with everything
 * moved, is the rule here and not the exception (docs/vsphere-support.md has the table).
 */
import { type FileOnDatastore, extentOf, fileKey, folderOf, hostPath, splitPath } from './datastores';
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

/** The VM as it is now, under the name that it had before: what a relocation makes is called after that. */
export interface JudgedVm {
  readonly name: string;
  readonly disks: readonly VimDisk[];
  /** Its own vmx; undefined when that lies on a datastore which does not matter here. */
  readonly home: { readonly datastore: string; readonly path: string } | undefined;
}

/** @param files a listing of every folder that the move could have touched. */
export function judgeDisks(image: MoveImage, vm: JudgedVm, files: readonly FileOnDatastore[]): DiskVerdict {
  const { disks } = vm;
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
  const leftovers = leftFiles(image, vm, files);
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

/** Why an old place is left to a person: a listing tells the copy's length and not what is in it, and then this is the only good one. */
export const sourceStays =
  'vCenter let the VM use the copy, of which only the length was compared: see that the VM is well, then remove it';

/** Disk files that nobody of this VM uses: old ones of its own, and ones that only this move can have made. */
function leftFiles(image: MoveImage, vm: JudgedVm, files: readonly FileOnDatastore[]): LeftFile[] {
  const withExtents = (entries: readonly { datastore: string; path: string }[]): Set<string> =>
    new Set(entries.flatMap((f) => [fileKey(f), fileKey({ ...f, path: extentOf(f.path) })]));
  const used = withExtents(vm.disks.flatMap(filesOf));
  const old = withExtents(
    image.disks.flatMap((d) => d.chain.map((c) => ({ datastore: d.from, path: splitPath(c)?.path ?? c }))),
  );
  const isCopy = copiesOf(image, vm, files);
  const left = files.filter((f) => f.path.endsWith('.vmdk') && !used.has(fileKey(f)));
  const ours = left.filter((f) => old.has(fileKey(f)) || isCopy(f));
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

/**
 * What is new is not ours for that: others clone and move meanwhile, into folders whose names begin alike. Taken for ours is only what a
 * relocation of this VM calls its files, at a place of a disk that moves, in a folder where no other VM is at home.
 */
function copiesOf(
  image: MoveImage,
  { name, home }: JudgedVm,
  files: readonly FileOnDatastore[],
): (file: FileOnDatastore) => boolean {
  const before = new Set(image.files.map(fileKey));
  const places = new Set(image.disks.filter((d) => d.from !== d.to).flatMap((d) => [d.from, d.to]));
  const inFolder = (f: { datastore: string; path: string }): string =>
    fileKey({ ...f, path: folderOf(f.path) });
  const homes = files.filter((f) => /\.vm(x|tx)$/.test(f.path));
  const foreign = new Set(
    homes.filter((f) => home === undefined || fileKey(f) !== fileKey(home)).map(inFolder),
  );
  return (f) =>
    places.has(f.datastore) &&
    !before.has(fileKey(f)) &&
    !foreign.has(inFolder(f)) &&
    makersOf(f.path).includes(name);
}

/**
 * Names of the VMs whose relocation could have made a disk file of this path: `web/web_1.vmdk` is one of `web`, `web_1/web_1.vmdk` may be one of
 * `web` whose folder's name was taken, or of `web_1`. Nobody's when it is called otherwise.
 */
export function makersOf(path: string): string[] {
  const [, folder, base] = /^([^/]+)\/([^/]+?)(?:-flat)?\.vmdk$/.exec(path) ?? [];
  if (folder === undefined || base === undefined) return [];
  const numbered = (text: string): string[] => [...new Set([text, text.replace(/_\d+$/, '')])];
  return numbered(folder).filter((name) => numbered(base).includes(name));
}
