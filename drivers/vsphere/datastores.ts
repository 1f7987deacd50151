/** Datastores as one host sees them, and what lies on them. A file is a datastore's reference and a path: names repeat per datacenter. */
import { isFault } from './errors';
import type { AskOptions, Session } from './session';
import { endOfTask, taskFault } from './tasks';
import {
  booleanAt,
  child,
  children,
  group,
  leaf,
  type MoRef,
  numberAt,
  refAt,
  refOf,
  refsIn,
  textAt,
  textOf,
  unescaped,
  xsiTypeOf,
} from './xml';

export interface Datastore {
  readonly ref: MoRef;
  readonly name: string;
  readonly browser: MoRef;
  readonly accessible: boolean;
  readonly freeBytes: number;
  /** `normal`, `enteringMaintenance`, `inMaintenance`. */
  readonly mode: string;
  readonly writable: boolean;
}

/** `[datastore1] vm/disk.vmdk` in two parts; undefined for what is no datastore path. */
export function splitPath(text: string): { datastore: string; path: string } | undefined {
  const [, datastore, path] = /^\[([^\]]*)\] ?(.*)$/.exec(text) ?? [];
  return datastore === undefined || path === undefined ? undefined : { datastore, path };
}

const volumes = '/vmfs/volumes/';

/** As an ESXi host names it: the form that records, people and pools of the config use. */
export function hostPath(datastorePath: string): string {
  const split = splitPath(datastorePath);
  return split === undefined ? datastorePath : `${volumes}${split.datastore}/${split.path}`;
}

export function datastorePath(path: string): string | undefined {
  if (!path.startsWith(volumes)) return undefined;
  const [datastore = '', ...rest] = path.slice(volumes.length).split('/');
  return `[${datastore}] ${rest.join('/')}`;
}

/** The name of the datastore that a pool's path stands for. */
export const datastoreOfPool = (poolPath: string): string | undefined =>
  poolPath.startsWith(volumes) ? poolPath.slice(volumes.length).replace(/\/+$/, '') : undefined;

export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const extentOf = (path: string): string => path.replace(/\.vmdk$/, '-flat.vmdk');

/** The datastores that the host mounts. With `refresh`, their free space is asked for anew first. */
export async function datastoresOf(
  session: Session,
  host: MoRef,
  options: AskOptions & { readonly refresh?: boolean } = {},
): Promise<Datastore[]> {
  const refs = refsIn((await session.retrieveOne(host, ['datastore'], options)).get('datastore'));
  if (options.refresh === true) await Promise.all(refs.map((ref) => refreshed(session, ref, options)));
  const read = await session.retrieve(refs, ['summary', 'browser', 'host'], options);
  return read.map(({ ref, properties }) => {
    const summary = properties.get('summary');
    const mount = children(properties.get('host'), 'DatastoreHostMount').find(
      (m) => refAt(m, 'key')?.value === host.value,
    );
    return {
      ref,
      name: unescaped(textAt(summary, 'name') ?? ''),
      browser: refOf(properties.get('browser')) ?? { type: '', value: '' },
      accessible: booleanAt(summary, 'accessible') ?? false,
      freeBytes: numberAt(summary, 'freeSpace') ?? 0,
      mode: textAt(summary, 'maintenanceMode') ?? 'normal',
      writable: (textAt(mount, 'mountInfo', 'accessMode') ?? 'readWrite') === 'readWrite',
    };
  });
}

/** A datastore that cannot be refreshed shows as inaccessible in the read that follows. */
async function refreshed(session: Session, ref: MoRef, options: AskOptions): Promise<void> {
  try {
    await session.read('RefreshDatastore', ref, [], options);
  } catch (error) {
    if (!isFault(error, 'HostConfigFault') && !isFault(error, 'NotFound')) throw error;
  }
}

export interface FileOnDatastore {
  readonly datastore: string;
  readonly path: string;
  readonly bytes: number;
}

export const fileKey = (file: { readonly datastore: string; readonly path: string }): string =>
  `${file.datastore} ${file.path}`;

/** A listing of one folder; undefined when there is none. */
export async function filesIn(
  session: Session,
  datastore: Datastore,
  folder: string,
  signal: AbortSignal,
  pattern = '*',
): Promise<FileOnDatastore[] | undefined> {
  const names = await search(session, datastore, folder, pattern, signal);
  return names?.map(({ name, bytes }) => ({
    datastore: datastore.ref.value,
    path: folder === '' ? name : `${folder}/${name}`,
    bytes,
  }));
}

/** Folders at the top whose name begins so: a VM whose folder's name is taken gets one with a number behind it. */
export async function foldersLike(
  session: Session,
  datastore: Datastore,
  name: string,
  signal: AbortSignal,
): Promise<string[]> {
  const found = await search(session, datastore, '', `${name}*`, signal);
  return (found ?? []).filter((f) => f.isFolder).map((f) => f.name);
}

const listingMsMax = 60_000;

async function search(
  session: Session,
  datastore: Datastore,
  folder: string,
  pattern: string,
  signal: AbortSignal,
): Promise<{ name: string; bytes: number; isFolder: boolean }[] | undefined> {
  const spec = group('searchSpec', [
    group('details', [
      leaf('fileType', true),
      leaf('fileSize', true),
      leaf('modification', false),
      leaf('fileOwner', false),
    ]),
    leaf('matchPattern', pattern),
  ]);
  const method = 'SearchDatastore_Task';
  const task = await session.submitRead(
    method,
    datastore.browser,
    [leaf('datastorePath', `[${datastore.name}] ${folder}`.trim()), spec],
    { signal },
  );
  const end = await endOfTask(session, task, { withinMs: listingMsMax, signal, method });
  if (end.error?.type === 'FileNotFound') return undefined;
  if (end.error !== undefined) throw taskFault(end, method);
  return children(end.result, 'file').map((file) => ({
    name: unescaped(textOf(child(file, 'path')) ?? ''),
    bytes: numberAt(file, 'fileSize') ?? 0,
    isFolder: xsiTypeOf(file) === 'FolderFileInfo',
  }));
}
