/** The simulated hypervisor's own definition language: one line of JSON, as libvirt's is a page of XML. */
import type { VmId } from '../../domain/ids';
import type { VmShape } from '../../domain/records';
import type { DiskSpec, VmSpec } from './world-spec';

export interface ParsedDefinition {
  readonly vmId: VmId;
  readonly name: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly disks: readonly DiskSpec[];
  readonly networks: readonly string[];
}

const language = 'vmedic-simulated-vm';

export function definitionText(vm: Omit<ParsedDefinition, 'vmId'> & Pick<VmSpec, 'id'>): string {
  return JSON.stringify({
    [language]: 1,
    id: vm.id,
    name: vm.name,
    memoryMiB: vm.memoryMiB,
    vcpus: vm.vcpus,
    disks: vm.disks,
    networks: vm.networks,
  });
}

/** Undefined when the text is no definition at all. */
export function parseDefinition(text: string): ParsedDefinition | undefined {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    // Not JSON: the caller refuses it, as libvirt refuses broken XML.
    return undefined;
  }
  if (typeof said !== 'object' || said === null || !(language in said)) return undefined;
  const { id, ...rest } = said as unknown as Omit<ParsedDefinition, 'vmId'> & { id: VmId };
  return { ...rest, vmId: id };
}

export const consolePathOf = (name: string): string => `/simulated/console/${name}.log`;

export function shapeOf(definition: ParsedDefinition): VmShape {
  return {
    memoryMiB: definition.memoryMiB,
    vcpus: definition.vcpus,
    disks: definition.disks.map((d) => ({
      device: d.device,
      path: d.path,
      format: 'raw',
      poolId: d.poolId,
      shareable: d.shareable === true,
      ...(d.uuid === undefined ? {} : { uuid: d.uuid }),
    })),
    networks: definition.networks,
    consolePath: consolePathOf(definition.name),
  };
}
