/** All that must hold before a relocation is asked for, and all of it that does not, at once. */
import type { Preflight } from '../../activities/ports';
import { type Fault, fault } from '../../domain/faults';
import type { DiskBefore, MoveOrder } from '../../domain/volume-move';
import { type Datastore, datastoresOf, hostPath, splitPath } from './datastores';
import { isFault, Withheld } from './errors';
import { asOwn, type MoveImage } from './move-image';
import { listingOf } from './move-reading';
import { endOfTask, recentTasks, taskFault } from './tasks';
import { findVm, readVm, type VimVm } from './virtual-machines';
import type { Vcenter } from './vcenter';
import {
  booleanAt,
  children,
  group,
  leaf,
  type MoRef,
  reference,
  textAt,
  textOf,
  unescaped,
  xsiTypeOf,
  child,
} from './xml';

const checkMsMax = 60_000;

/** Reads only. @throws what the vCenter said instead of an answer. */
export async function checkMove(vcenter: Vcenter, order: MoveOrder, signal: AbortSignal): Promise<Preflight> {
  const { session } = vcenter;
  const refused = (...faults: Fault[]): Preflight => ({ kind: 'refused', faults });
  if (order.vmId === undefined)
    return refused(
      fault('DISK_NOT_MOVABLE', {
        ...{ vm: 'no VM', disk: order.file ?? '' },
        detail:
          'vCenter relocates disks only with their VM, and shows of a copy no byte that could be compared; attach it to a VM that is off, then order vmedic vm migrate-volume',
      }),
    );
  await session.sentinel(signal);
  const found = await visibleVm(vcenter, order.vmId, signal);
  if ('fault' in found) return refused(found.fault);
  const { vm } = found;
  const stores = await datastoresOf(session, vm.host, { signal, refresh: true });
  const targets = new Map(order.disks.map(({ to }) => [to, targetOf(vcenter, to, stores)]));
  const problems = [
    ...(await vmProblems(vcenter, vm, order, signal)),
    ...diskProblems(vcenter, vm, order),
    ...[...targets].flatMap(([to, store]) => targetProblems(vcenter, vm, order, to, store)),
  ];
  if (problems.length > 0) return refused(...problems);
  const places = placesOf(vm, order, targets);
  const objections = await vcenterObjects(vcenter, vm, places, signal);
  if (objections.length > 0) return refused(...objections);
  const concerned = stores.filter((s) => places.some((p) => p.from === s.ref.value || p.to === s.ref.value));
  const content = await vcenter.expected(signal);
  const image: MoveImage = {
    vcenter: content.instanceUuid,
    vmRef: vm.ref.value,
    disks: places,
    files: await listingOf(session, concerned, vm, [], signal),
  };
  return {
    kind: 'ready',
    before: {
      ...{ order, name: vm.name, readAt: new Date().toISOString() },
      running: vm.power !== 'poweredOff',
      disks: vm.disks.map((disk) => diskBefore(vcenter, disk, order)),
      switches: 'by-itself',
      own: asOwn(image),
    },
  };
}

async function visibleVm(
  vcenter: Vcenter,
  uuid: string,
  signal: AbortSignal,
): Promise<{ vm: VimVm } | { fault: Fault }> {
  const { session, site } = vcenter;
  const notAllowed = fault('VCENTER_NOT_ALLOWED', {
    vcenter: site.vcenter,
    user: site.username,
    what: `read ${uuid}`,
    privilege: 'System.Read',
  });
  const ref = await findVm(session, uuid, { signal });
  if (ref === undefined) {
    // Nothing is known of it that could tell "gone" from "out of sight": the sentence names both, once reading works at all.
    await session.sentinel(signal);
    const detail = `vCenter ${site.vcenter} has no VM with that UUID, or ${site.username} may not see it`;
    return { fault: fault('VM_NOT_IN_INVENTORY', { vm: uuid, detail }) };
  }
  try {
    return { vm: await readVm(session, ref, { signal }) };
  } catch (error) {
    if (error instanceof Withheld && error.denied) return { fault: notAllowed };
    if (!isFault(error, 'ManagedObjectNotFound')) throw error;
    return {
      fault: fault('VM_NOT_IN_INVENTORY', { vm: uuid, detail: 'it left the inventory at this moment' }),
    };
  }
}

export async function vmProblems(
  vcenter: Vcenter,
  vm: VimVm,
  order: MoveOrder,
  signal: AbortSignal,
): Promise<Fault[]> {
  const { session } = vcenter;
  const refuse = (detail: string): Fault => fault('MOVE_REFUSED', { vm: vm.name, detail });
  const host = await session.retrieveOne(vm.host, ['name', 'runtime'], { signal });
  const hostName = unescaped(textOf(host.get('name')) ?? '');
  const link = textAt(host.get('runtime'), 'connectionState');
  const inUse = vm.disabled.includes('RelocateVM_Task');
  const running = (await recentTasks(session, vm.ref, { signal })).find(
    (t) => t.state === 'queued' || t.state === 'running',
  );
  const busy =
    running === undefined ? 'vCenter refuses to relocate it now' : `${running.what} is ${running.state}`;
  return [
    ...(vm.connection === 'connected' ? [] : [refuse(`vCenter calls it ${vm.connection}`)]),
    ...(link === 'connected' ? [] : [refuse(`its host ${hostName} is ${link ?? 'not known'}`)]),
    ...(vcenter.hostOfName(hostName) === undefined
      ? [refuse(`it is on ${hostName}, which the config does not name`)]
      : []),
    ...(booleanAt(host.get('runtime'), 'inMaintenanceMode') === true
      ? [refuse(`its host ${hostName} is in maintenance`)]
      : []),
    ...(vm.template ? [refuse('it is a template')] : []),
    ...(vm.snapshots ? [refuse('it has snapshots; remove them first')] : []),
    ...(vm.consolidationNeeded ? [refuse('its disks need consolidation; consolidate them first')] : []),
    ...(inUse || running !== undefined
      ? [fault('MOVE_BUSY', { vm: vm.name, detail: `somebody is at work on it: ${busy}` })]
      : []),
    ...(order.disks.length === 0 ? [refuse('no disk was named')] : []),
  ];
}

function diskProblems(vcenter: Vcenter, vm: VimVm, order: MoveOrder): Fault[] {
  const known = vm.disks.map((d) => `${d.uuid} (${d.label})`).join(', ');
  const unknown = order.disks
    .filter((o) => !vm.disks.some((d) => d.uuid === o.disk))
    .map((o) => fault('UNKNOWN_DISK', { vm: vm.name, disk: o.disk, known }));
  // A relocation takes every disk in hand, those too that stay.
  const immovable = vm.disks
    .filter((d) => d.obstacles.length > 0)
    .map((d) => fault('DISK_NOT_MOVABLE', { vm: vm.name, disk: d.label, detail: d.obstacles.join('; ') }));
  const there = vm.disks.flatMap((d) => {
    const to = order.disks.find((o) => o.disk === d.uuid)?.to;
    const at = vcenter.poolOfDatastore(splitPath(d.file)?.datastore ?? '');
    if (to === undefined || at !== to) return [];
    return [fault('DISK_NOT_MOVABLE', { vm: vm.name, disk: d.label, detail: `it lies on ${to} already` })];
  });
  return [...unknown, ...immovable, ...there];
}

const targetOf = (
  vcenter: Vcenter,
  pool: MoveOrder['disks'][number]['to'],
  stores: readonly Datastore[],
): Datastore | undefined => {
  const name = vcenter.datastoreOf(pool);
  return name === undefined ? undefined : stores.find((s) => s.name === name);
};

export function targetProblems(
  vcenter: Vcenter,
  vm: VimVm,
  order: MoveOrder,
  pool: MoveOrder['disks'][number]['to'],
  store: Datastore | undefined,
): Fault[] {
  const unusable = (detail: string): Fault => fault('POOL_NOT_USABLE', { pool, vm: vm.name, detail });
  const name = vcenter.datastoreOf(pool);
  if (name === undefined)
    return [unusable('the config has no such pool, or gives it no path /vmfs/volumes/<datastore>')];
  if (store === undefined) return [unusable(`the VM's host does not mount the datastore ${name}`)];
  const coming = order.disks
    .filter((o) => o.to === pool)
    .flatMap((o) => vm.disks.filter((d) => d.uuid === o.disk && d.datastore.value !== store.ref.value));
  const needed = coming.reduce((sum, d) => sum + d.bytes, 0);
  const full = store.freeBytes < needed;
  return [
    ...(store.accessible ? [] : [unusable(`${name} is not accessible`)]),
    ...(store.writable ? [] : [unusable(`the VM's host mounts ${name} read-only`)]),
    ...(store.mode === 'normal' ? [] : [unusable(`${name} is ${store.mode}`)]),
    ...(full
      ? [fault('POOL_FULL', { pool, vm: vm.name, free: String(store.freeBytes), needed: String(needed) })]
      : []),
  ];
}

function placesOf(
  vm: VimVm,
  order: MoveOrder,
  targets: ReadonlyMap<string, Datastore | undefined>,
): MoveImage['disks'] {
  return vm.disks.map(({ uuid, datastore, chain, bytes, thin }) => {
    const to = order.disks.find((o) => o.disk === uuid)?.to;
    const target = to === undefined ? undefined : targets.get(to)?.ref.value;
    return { uuid, from: datastore.value, to: target ?? datastore.value, chain, bytes, thin };
  });
}

/** vCenter's own check of the very move that will be asked for. */
async function vcenterObjects(
  vcenter: Vcenter,
  vm: VimVm,
  places: MoveImage['disks'],
  signal: AbortSignal,
): Promise<Fault[]> {
  const { session } = vcenter;
  const locators = vm.disks.map((d) => {
    const to: MoRef = {
      type: 'Datastore',
      value: places.find((p) => p.uuid === d.uuid)?.to ?? d.datastore.value,
    };
    return group('disk', [leaf('diskId', d.key), reference('datastore', to)]);
  });
  const method = 'CheckRelocate_Task';
  const checker = (await vcenter.expected(signal)).ref('vmProvisioningChecker');
  const task = await session.submitRead(method, checker, [reference('vm', vm.ref), group('spec', locators)], {
    signal,
  });
  const end = await endOfTask(session, task, { withinMs: checkMsMax, signal, method });
  if (end.error !== undefined) throw taskFault(end, method);
  return children(end.result, 'CheckResult')
    .flatMap((result) => children(result, 'error'))
    .map((error) => {
      const detail = `vCenter's own check says ${xsiTypeOf(child(error, 'fault')) ?? 'no'}: ${textAt(error, 'localizedMessage') ?? ''}`;
      return fault('MOVE_REFUSED', { vm: vm.name, detail: detail.replace(/: $/, '') });
    });
}

function diskBefore(vcenter: Vcenter, disk: VimVm['disks'][number], order: MoveOrder): DiskBefore {
  const wanted = order.disks.find((o) => o.disk === disk.uuid);
  return {
    disk: disk.uuid,
    device: disk.label,
    at: {
      poolId: vcenter.poolOfDatastore(splitPath(disk.file)?.datastore ?? ''),
      path: hostPath(disk.file),
      format: 'vmdk',
    },
    // vCenter chooses the name.
    wanted: wanted === undefined ? undefined : { poolId: wanted.to, path: undefined },
    bytes: disk.bytes,
  };
}
