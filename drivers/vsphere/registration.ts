/** Registering a VM's files on a host, and taking a registration away. Files are never touched. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { outcomeOfFailure } from './act-outcomes';
import { datacenterOf } from './remove-leftovers';
import type { VsphereDefinition } from './definitions';
import { detailOf, saysNo } from './driver-faults';
import { isFault, NoAnswer, VimFault } from './errors';
import type { HostView } from './host-views';
import { endOfTask } from './tasks';
import { findVm, readVm, type VimVm } from './virtual-machines';
import type { Vcenter } from './vcenter';
import { leaf, type MoRef, reference, refOf, group } from './xml';

const registerMs = 60_000;

export interface ToRegister {
  readonly host: HostId;
  readonly view: HostView;
  readonly definition: VsphereDefinition;
  /** As it is registered elsewhere now. */
  readonly was: VimVm | undefined;
}

/**
 * A VM on a host that answers is moved over; one on a host that vCenter cannot reach loses that registration first. Read back: the VM of
 * that UUID is on the host.
 */
export async function registerAt(
  vcenter: Vcenter,
  what: ToRegister,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { host, definition, was } = what;
  const refuse = (detail: string): ActOutcome => ({
    kind: 'refused',
    fault: fault('DEFINE_REFUSED', { host, vm: definition.name, detail }),
  });
  let failed: ActOutcome | undefined;
  try {
    if (was?.connection === 'connected') await coldMove(vcenter, was, what.view, signal);
    else {
      if (was !== undefined) await vcenter.session.act('UnregisterVM', was.ref, [], { signal });
      await registerFiles(vcenter, what, signal);
    }
  } catch (error) {
    if (saysNo(error)) failed = refuse(`vCenter says ${detailOf(error)}`);
    else failed = outcomeOfFailure(error, vcenter);
  }
  const ref = await findVm(vcenter.session, definition.instanceUuid, { signal });
  const now = ref === undefined ? undefined : await readVm(vcenter.session, ref, { signal });
  if (now?.host.value === what.view.ref.value) return { kind: 'ok' };
  return (
    failed ??
    refuse('it was registered there, and vCenter does not show it so: its files may carry another UUID')
  );
}

/** Another host, the same disks: every locator names where its disk is. */
async function coldMove(vcenter: Vcenter, vm: VimVm, to: HostView, signal: AbortSignal): Promise<void> {
  const method = 'RelocateVM_Task';
  const pool = await resourcePoolOf(vcenter, to.ref, signal);
  const spec = group('spec', [
    reference('pool', pool),
    reference('host', to.ref),
    vm.disks.map((d) => group('disk', [leaf('diskId', d.key), reference('datastore', d.datastore)])),
  ]);
  const task = await vcenter.session.submit(method, vm.ref, [spec, leaf('priority', 'defaultPriority')], {
    signal,
  });
  await succeeded(vcenter, task, method, signal);
}

async function registerFiles(
  vcenter: Vcenter,
  { view, definition }: ToRegister,
  signal: AbortSignal,
): Promise<void> {
  const { session } = vcenter;
  const method = 'RegisterVM_Task';
  const datacenter = await datacenterOf(vcenter, view.ref, signal);
  const folder = refOf((await session.retrieveOne(datacenter, ['vmFolder'], { signal })).get('vmFolder'));
  if (folder === undefined) throw new NoAnswer(method, false, 'the datacenter names no folder for VMs');
  const pool = await resourcePoolOf(vcenter, view.ref, signal);
  const parts = [
    leaf('path', definition.vmx),
    leaf('name', definition.name),
    leaf('asTemplate', false),
    reference('pool', pool),
    reference('host', view.ref),
  ];
  await succeeded(vcenter, await session.submit(method, folder, parts, { signal }), method, signal);
}

async function succeeded(vcenter: Vcenter, task: MoRef, method: string, signal: AbortSignal): Promise<void> {
  const end = await endOfTask(vcenter.session, task, { withinMs: registerMs, signal, method });
  if (end.error !== undefined) throw new VimFault(end.error.type, method, end.error.detail);
}

/** The top pool of the host, or of its cluster. */
async function resourcePoolOf(vcenter: Vcenter, host: MoRef, signal: AbortSignal): Promise<MoRef> {
  const { session } = vcenter;
  const parent = refOf((await session.retrieveOne(host, ['parent'], { signal })).get('parent'));
  const pool =
    parent === undefined
      ? undefined
      : refOf((await session.retrieveOne(parent, ['resourcePool'], { signal })).get('resourcePool'));
  if (pool === undefined) throw new NoAnswer('RetrievePropertiesEx', false, 'the host has no resource pool');
  return pool;
}

export async function unregister(
  vcenter: Vcenter,
  host: HostId,
  vm: VimVm,
  signal: AbortSignal,
): Promise<ActOutcome> {
  try {
    await vcenter.session.act('UnregisterVM', vm.ref, [], { signal });
    return { kind: 'ok' };
  } catch (error) {
    if (isFault(error, 'ManagedObjectNotFound')) return { kind: 'ok' };
    if (!saysNo(error)) return outcomeOfFailure(error, vcenter);
    return {
      kind: 'refused',
      fault: fault('UNDEFINE_REFUSED', { host, vm: vm.name, detail: `vCenter says ${detailOf(error)}` }),
    };
  }
}
