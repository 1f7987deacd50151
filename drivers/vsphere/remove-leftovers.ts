/**
 * Removes what a move left behind: copies. A file goes only when it is a leftover of this attempt by a reading made right before, when no VM
 * that vCenter knows on its datastore names it, and when no other VM's relocation could have made it. A VM that cannot be read may name it:
 * then nothing is removed.
 */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { BeforeImage, Leftover } from '../../domain/volume-move';
import {
  type Datastore,
  datastorePath,
  extentOf,
  fileKey,
  type FileOnDatastore,
  splitPath,
} from './datastores';
import { detailOf } from './driver-faults';
import { isFault, VimFault } from './errors';
import { imageOf } from './move-image';
import { judgedVm, observe } from './move-reading';
import { judgeDisks, type LeftFile, makersOf, sourceStays } from './move-verdict';
import { endOfTask } from './tasks';
import type { Vcenter } from './vcenter';
import {
  child,
  children,
  leaf,
  type MoRef,
  reference,
  refOf,
  textAt,
  textOf,
  unescaped,
  xsiTypeOf,
} from './xml';

const deleteMsMax = 120_000;

export async function removeLeftovers(
  vcenter: Vcenter,
  before: BeforeImage,
  leftovers: readonly Leftover[],
  signal: AbortSignal,
): Promise<ActOutcome> {
  const refuse = (path: string, detail: string): ActOutcome => ({
    kind: 'refused',
    fault: fault('NOT_REMOVED', { vm: before.name, path, detail }),
  });
  const [first] = leftovers;
  if (first === undefined) return { kind: 'ok' };
  const image = imageOf(before);
  const folders = leftovers.map(
    (l) => splitPath(datastorePath(l.path) ?? '')?.path.replace(/\/?[^/]*$/, '') ?? '',
  );
  const wanted = {
    ...{ vcenter: image.vcenter, instanceUuid: before.order.vmId ?? '', vmRef: image.vmRef, folders },
    stores: [...new Set(image.disks.flatMap((d) => [d.from, d.to]))],
  };
  const seen = await observe(vcenter, wanted, () => false, signal);
  if (seen.kind !== 'read') return refuse(first.path, seen.detail);
  const judged = judgeDisks(image, judgedVm(before.name, seen), seen.files);
  if (!('leftovers' in judged)) return refuse(first.path, judged.detail);
  for (const leftover of leftovers) {
    const at = placeOf(leftover, seen.stores);
    if (at === undefined) return refuse(leftover.path, 'its datastore is not mounted where the VM is');
    if (!isListed(seen.files, at)) continue;
    const why = await whyNot(vcenter, judged.leftovers, at, seen.vm.ref, signal);
    if (why !== undefined) return refuse(leftover.path, why);
    const failed = await deleteFile(vcenter, at, seen.files, seen.vm.host, signal);
    if (failed !== undefined) return refuse(leftover.path, failed);
  }
  return { kind: 'ok' };
}

interface Place {
  readonly store: Datastore;
  readonly datastore: string;
  readonly path: string;
}

function placeOf(leftover: Leftover, stores: readonly Datastore[]): Place | undefined {
  const split = splitPath(datastorePath(leftover.path) ?? '');
  const store = stores.find((s) => s.name === split?.datastore);
  return store === undefined || split === undefined
    ? undefined
    : { store, datastore: store.ref.value, path: split.path };
}

const isListed = (files: readonly FileOnDatastore[], at: Place): boolean =>
  files.some((f) => fileKey(f) === fileKey(at));

async function whyNot(
  vcenter: Vcenter,
  leftovers: readonly LeftFile[],
  at: Place,
  vm: MoRef,
  signal: AbortSignal,
): Promise<string | undefined> {
  const left = leftovers.find((l) => fileKey(l) === fileKey(at));
  if (left === undefined) return 'it is no leftover of this move';
  if (left.what === 'source') return sourceStays;
  const twin = await anotherMaker(vcenter, at, vm, signal);
  if (twin !== undefined) return `it may be a copy of the VM ${twin}, whose files would be called the same`;
  const users = await vcenter.session.behind(
    at.store.ref,
    'vm',
    'VirtualMachine',
    ['name', 'config.hardware.device'],
    { signal },
  );
  for (const { properties } of users) {
    const devices = properties.get('config.hardware.device');
    const name = unescaped(textAt(properties.get('name')) ?? '');
    if (xsiTypeOf(devices) !== 'ArrayOfVirtualDevice')
      return `the disks of ${name} cannot be read, and it may be one of them`;
    const named = children(devices, 'VirtualDevice').some((d) => namesFile(child(d, 'backing'), at));
    if (named) return `${name} names it`;
  }
  return undefined;
}

/** A VM that is moved meanwhile names its copy only when that is whole: until then nothing but the name tells whose it is. */
export async function anotherMaker(
  vcenter: Vcenter,
  at: Place,
  vm: MoRef,
  signal: AbortSignal,
): Promise<string | undefined> {
  const makers = makersOf(at.path);
  const all = await vcenter.session.all('VirtualMachine', ['name'], undefined, { signal });
  return all
    .filter(({ ref }) => ref.value !== vm.value)
    .map(({ properties }) => unescaped(textOf(properties.get('name')) ?? ''))
    .find((name) => makers.includes(name));
}

function namesFile(backing: Parameters<typeof child>[0], at: Place): boolean {
  for (let link = backing; link !== undefined; link = child(link, 'parent')) {
    const path = splitPath(unescaped(textAt(link, 'fileName') ?? ''))?.path;
    const sameStore = refOf(child(link, 'datastore'))?.value === at.datastore;
    if (sameStore && path !== undefined && (path === at.path || extentOf(path) === at.path)) return true;
  }
  return false;
}

/** Undefined when it is gone, else why it is not. */
async function deleteFile(
  vcenter: Vcenter,
  at: Place,
  files: readonly FileOnDatastore[],
  host: MoRef,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { session } = vcenter;
  const content = await vcenter.expected(signal);
  const datacenter = await datacenterOf(vcenter, host, signal);
  const name = leaf('name', `[${at.store.name}] ${at.path}`);
  const asDisk =
    files.some((f) => fileKey(f) === fileKey({ ...at, path: extentOf(at.path) })) &&
    !at.path.endsWith('-flat.vmdk');
  const method = asDisk ? 'DeleteVirtualDisk_Task' : 'DeleteDatastoreFile_Task';
  const service = content.ref(asDisk ? 'virtualDiskManager' : 'fileManager');
  try {
    const task = await session.submit(method, service, [name, reference('datacenter', datacenter)], {
      signal,
    });
    const end = await endOfTask(session, task, { withinMs: deleteMsMax, signal, method });
    if (end.error === undefined || end.error.type === 'FileNotFound') return undefined;
    return `vCenter says ${detailOf(new VimFault(end.error.type, method, end.error.detail))}`;
  } catch (error) {
    if (isFault(error, 'FileNotFound')) return undefined;
    if (error instanceof VimFault && error.type !== 'NotAuthenticated')
      return `vCenter says ${detailOf(error)}`;
    throw error;
  }
}

const levelsMax = 16;

/** Datastore paths mean something only within a datacenter. */
export async function datacenterOf(vcenter: Vcenter, entity: MoRef, signal: AbortSignal): Promise<MoRef> {
  let at = entity;
  for (let level = 0; level < levelsMax && at.type !== 'Datacenter'; level += 1) {
    const parent = refOf((await vcenter.session.retrieveOne(at, ['parent'], { signal })).get('parent'));
    if (parent === undefined) break;
    at = parent;
  }
  if (at.type !== 'Datacenter') throw new VimFault('NotFound', 'parent', undefined);
  return at;
}
