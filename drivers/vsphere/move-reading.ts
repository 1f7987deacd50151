/** Reads everything that a verdict rests on, anew: the VM found by its UUID, its disks, and what the datastores list. */
import type { HostId } from '../../domain/ids';
import {
  type Datastore,
  datastoresOf,
  type FileOnDatastore,
  filesIn,
  folderOf,
  foldersLike,
  splitPath,
} from './datastores';
import { isFault, Withheld } from './errors';
import type { JudgedVm } from './move-verdict';
import type { Session } from './session';
import { recentTasks } from './tasks';
import { findVm, readVm, type VimVm, whyNotFound } from './virtual-machines';
import type { Vcenter } from './vcenter';
import type { MoRef } from './xml';
import { textOf, unescaped } from './xml';

export type Observed =
  | {
      readonly kind: 'read';
      readonly vm: VimVm;
      readonly host: HostId;
      readonly stores: readonly Datastore[];
      readonly files: readonly FileOnDatastore[];
    }
  | { readonly kind: 'missing'; readonly detail: string }
  | { readonly kind: 'busy'; readonly detail: string }
  | { readonly kind: 'unknown'; readonly detail: string };

export interface Wanted {
  readonly vcenter: string;
  readonly instanceUuid: string;
  /** The object that the VM was: it tells "gone" from "not to be seen". */
  readonly vmRef: string | undefined;
  /** References of the datastores that matter beside those that the disks are on. */
  readonly stores: readonly string[];
  /** Folders that held the disks before. */
  readonly folders: readonly string[];
}

/** Hosts proven off: what vCenter last knew of their VMs stands, because nothing there can change it. */
export type ProvenOff = (host: HostId) => boolean;

export async function observe(
  vcenter: Vcenter,
  wanted: Wanted,
  provenOff: ProvenOff,
  signal: AbortSignal,
): Promise<Observed> {
  const { session } = vcenter;
  const content = await vcenter.expected(signal);
  await session.sentinel(signal);
  if (content.instanceUuid !== wanted.vcenter)
    return {
      kind: 'unknown',
      detail: `another vCenter answers at ${vcenter.setup.url} (${content.instanceUuid})`,
    };
  const ref = await findVm(session, wanted.instanceUuid, { signal });
  if (ref === undefined) return notFound(session, wanted, signal);
  const first = await settledVm(vcenter, ref, provenOff, signal);
  if (first.kind !== 'settled') return first;
  if (!first.dead) await session.read('RefreshStorageInfo', ref, [], { signal });
  const stores = await datastoresOf(session, first.vm.host, { signal, refresh: true });
  const concerned = stores.filter(
    (s) =>
      wanted.stores.includes(s.ref.value) || first.vm.disks.some((d) => d.datastore.value === s.ref.value),
  );
  const shut = concerned.filter((s) => !s.accessible).map((s) => s.name);
  if (shut.length > 0) return { kind: 'unknown', detail: `${shut.join(', ')} cannot be read` };
  const files = await listingOf(session, concerned, first.vm, wanted.folders, signal);
  // Listings take time: only what stood still meanwhile is believed.
  const again = await settledVm(vcenter, ref, provenOff, signal);
  if (again.kind !== 'settled') return again;
  if (placesOf(again.vm) !== placesOf(first.vm))
    return { kind: 'busy', detail: 'its disks changed while they were read' };
  return { kind: 'read', vm: again.vm, host: again.host, stores, files };
}

/** What is judged of it. @param name as it was called before anything was done. */
export function judgedVm(name: string, { vm, stores }: Extract<Observed, { kind: 'read' }>): JudgedVm {
  const vmx = splitPath(vm.vmx);
  const store = stores.find((s) => s.name === vmx?.datastore);
  const home =
    vmx === undefined || store === undefined ? undefined : { datastore: store.ref.value, path: vmx.path };
  return { name, disks: vm.disks, home };
}

async function notFound(session: Session, wanted: Wanted, signal: AbortSignal): Promise<Observed> {
  const was: MoRef | undefined =
    wanted.vmRef === undefined ? undefined : { type: 'VirtualMachine', value: wanted.vmRef };
  const why = await whyNotFound(session, was, { signal });
  return why === 'gone'
    ? {
        kind: 'missing',
        detail: 'no VM of its UUID is in the inventory, and the rest of the inventory can be read',
      }
    : { kind: 'unknown', detail: 'it is there, and this user may not read it' };
}

interface Settled {
  readonly kind: 'settled';
  readonly vm: VimVm;
  readonly host: HostId;
  readonly dead: boolean;
}

/** The VM, if nothing is being done to it. A half-done move of two disks looks exactly like one that stopped half-way. */
async function settledVm(
  vcenter: Vcenter,
  ref: MoRef,
  provenOff: ProvenOff,
  signal: AbortSignal,
): Promise<Settled | Extract<Observed, { kind: 'busy' | 'unknown' | 'missing' }>> {
  const { session } = vcenter;
  let vm: VimVm;
  try {
    vm = await readVm(session, ref, { signal });
  } catch (error) {
    // It left between the search and this read: the next look finds out how.
    if (isFault(error, 'ManagedObjectNotFound'))
      return { kind: 'unknown', detail: 'it left the inventory while it was read' };
    if (error instanceof Withheld && error.denied)
      return { kind: 'unknown', detail: 'this user may not read it' };
    throw error;
  }
  const hostName = unescaped(
    textOf((await session.retrieveOne(vm.host, ['name'], { signal })).get('name')) ?? '',
  );
  const host = vcenter.hostOfName(hostName);
  if (host === undefined)
    return { kind: 'unknown', detail: `it is on ${hostName}, which the config does not name` };
  const dead = provenOff(host);
  if (vm.connection !== 'connected' && !(dead && vm.connection === 'disconnected'))
    return { kind: 'unknown', detail: `vCenter calls it ${vm.connection}` };
  if (dead) return { kind: 'settled', vm, host, dead };
  if (vm.disabled.includes('RelocateVM_Task'))
    return {
      kind: 'busy',
      detail: 'vCenter refuses to relocate it now, as it does while something is done to it',
    };
  const running = (await recentTasks(session, ref, { signal })).find(
    (t) => t.state === 'queued' || t.state === 'running',
  );
  if (running !== undefined) return { kind: 'busy', detail: `${running.what} is ${running.state}` };
  return { kind: 'settled', vm, host, dead };
}

const placesOf = (vm: VimVm): string =>
  JSON.stringify([vm.ref.value, vm.disks.map((d) => [d.uuid, d.datastore.value, d.chain])]);

/** Folders with names like the VM's that are looked into on each datastore; more are nobody's habit. */
const likeNamedMax = 16;

/** Every folder, on every datastore concerned, in which the move could have left something. */
export async function listingOf(
  session: Session,
  stores: readonly Datastore[],
  vm: VimVm,
  moreFolders: readonly string[],
  signal: AbortSignal,
): Promise<FileOnDatastore[]> {
  const chain = vm.disks.flatMap((d) => d.chain).map((f) => folderOf(splitPath(f)?.path ?? ''));
  const known = [...new Set([...chain, folderOf(splitPath(vm.vmx)?.path ?? ''), ...moreFolders])];
  const listings = await Promise.all(
    stores.map(async (store) => {
      const like = (await foldersLike(session, store, vm.name, signal)).slice(0, likeNamedMax);
      const folders = [...new Set([...known, ...like])];
      return (await Promise.all(folders.map((f) => filesIn(session, store, f, signal)))).flatMap(
        (f) => f ?? [],
      );
    }),
  );
  return listings.flat();
}
