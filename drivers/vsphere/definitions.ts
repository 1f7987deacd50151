/** A VM's definition as VMedic stores it. vSphere keeps the VM's own (its vmx) beside its disks; what is stored says where that is. */
import type { ReadDefinition } from '../../activities/ports';
import { vmId, isId } from '../../domain/ids';
import type { VmShape } from '../../domain/records';
import { hostPath, splitPath } from './datastores';
import type { VimVm } from './virtual-machines';
import type { Vcenter } from './vcenter';

export interface VsphereDefinition {
  readonly kind: 'vsphere';
  readonly vcenter: string;
  readonly instanceUuid: string;
  readonly name: string;
  /** As vCenter writes it: `[datastore1] vm/vm.vmx`. */
  readonly vmx: string;
}

export function definitionText(vcenter: Vcenter, vm: VimVm): string {
  const definition: VsphereDefinition = {
    ...{ kind: 'vsphere', vcenter: vcenter.setup.id },
    ...{ instanceUuid: vm.instanceUuid, name: vm.name, vmx: vm.vmx },
  };
  return JSON.stringify(definition);
}

/** Undefined for a text that is no definition of a vSphere VM. */
export function parseDefinition(text: string): VsphereDefinition | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // A text that is no JSON is another driver's, or damaged: the caller refuses it with a sentence.
    return undefined;
  }
  const d = parsed as Partial<VsphereDefinition> | null;
  const whole =
    d?.kind === 'vsphere' && [d.vcenter, d.instanceUuid, d.name, d.vmx].every((t) => typeof t === 'string');
  return whole && splitPath(d.vmx ?? '') !== undefined ? (d as VsphereDefinition) : undefined;
}

export function shapeOf(vcenter: Vcenter, vm: VimVm): VmShape {
  return {
    memoryMiB: vm.memoryMiB,
    vcpus: vm.vcpus,
    disks: vm.disks.map((disk) => ({
      device: disk.label,
      uuid: disk.uuid,
      path: hostPath(disk.file),
      format: 'vmdk',
      poolId: vcenter.poolOfDatastore(splitPath(disk.file)?.datastore ?? ''),
      shareable: disk.obstacles.includes('several VMs may write to it'),
    })),
    networks: vm.networks,
    consolePath: undefined,
  };
}

export function readDefinition(vcenter: Vcenter, vm: VimVm, autostart: boolean): ReadDefinition | undefined {
  if (!isId(vm.instanceUuid)) return undefined;
  return {
    vmId: vmId(vm.instanceUuid),
    name: vm.name,
    persistent: true,
    autostart,
    text: definitionText(vcenter, vm),
    shape: shapeOf(vcenter, vm),
  };
}
