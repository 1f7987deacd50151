/** One VM as vCenter has it. Found by its instance UUID, whatever object it is today. */
import { NoAnswer, isFault, Withheld } from './errors';
import { hostPath } from './datastores';
import type { Properties } from './properties';
import type { AskOptions, Session } from './session';
import {
  booleanAt,
  child,
  children,
  leaf,
  type MoRef,
  numberAt,
  refAt,
  refOf,
  textAt,
  textOf,
  unescaped,
  type XmlNode,
  xsiTypeOf,
} from './xml';

export interface VimDisk {
  readonly key: number;
  readonly uuid: string;
  readonly label: string;
  /** As vCenter writes it: `[datastore1] vm/disk.vmdk`. */
  readonly file: string;
  readonly datastore: MoRef;
  readonly bytes: number;
  readonly thin: boolean;
  /** The whole backing chain, top first. More than one: snapshots, or a linked clone. */
  readonly chain: readonly string[];
  /** Why it cannot be moved with its VM; empty when it can. */
  readonly obstacles: readonly string[];
}

export interface VimVm {
  readonly ref: MoRef;
  readonly name: string;
  readonly instanceUuid: string;
  readonly vmx: string;
  readonly host: MoRef;
  readonly connection: string;
  readonly power: string;
  readonly template: boolean;
  readonly snapshots: boolean;
  readonly consolidationNeeded: boolean;
  /** Methods that vCenter refuses now: `RelocateVM_Task` among them while something is done to the VM. */
  readonly disabled: readonly string[];
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly disks: readonly VimDisk[];
  /** Of a standard port group its name; of a distributed one its key, because the card does not know the name. */
  readonly networks: readonly string[];
}

const vmPaths = [
  'name',
  'config.instanceUuid',
  'config.template',
  'config.files.vmPathName',
  'config.hardware.device',
  'config.hardware.memoryMB',
  'config.hardware.numCPU',
  'runtime.host',
  'runtime.connectionState',
  'runtime.powerState',
  'runtime.consolidationNeeded',
  'disabledMethod',
  'snapshot',
] as const;

export const vmProperties: readonly string[] = vmPaths;

/** Undefined when no VM of that UUID is there, or none that this user may see: ask `whyNotFound` before concluding anything. */
export async function findVm(
  session: Session,
  instanceUuid: string,
  options: AskOptions = {},
): Promise<MoRef | undefined> {
  const content = await session.content(options.signal);
  const parts = [leaf('uuid', instanceUuid), leaf('vmSearch', true), leaf('instanceUuid', true)];
  return refAt(await session.read('FindByUuid', content.ref('searchIndex'), parts, options), 'returnval');
}

/**
 * Whether a VM that was not found is gone, or only out of this user's sight. A search finds neither; the object that it was tells them
 * apart, and a read that everybody may make shows that reading works at all.
 */
export async function whyNotFound(
  session: Session,
  was: MoRef | undefined,
  options: AskOptions = {},
): Promise<'gone' | 'not-allowed'> {
  await session.sentinel(options.signal);
  if (was === undefined) return 'gone';
  try {
    await session.retrieveOne(was, ['name'], options);
    return 'not-allowed';
  } catch (error) {
    if (isFault(error, 'ManagedObjectNotFound')) return 'gone';
    if (isFault(error, 'NoPermission') || (error instanceof Withheld && error.denied)) return 'not-allowed';
    throw error;
  }
}

export async function readVm(session: Session, ref: MoRef, options: AskOptions = {}): Promise<VimVm> {
  return vmOf(ref, await session.retrieveOne(ref, vmProperties, options));
}

/** @throws NoAnswer for a VM without a configuration: one that its host cannot read says nothing about its disks. */
export function vmOf(ref: MoRef, properties: Properties): VimVm {
  const text = (path: (typeof vmPaths)[number]): string => textOf(properties.get(path)) ?? '';
  const devices = properties.get('config.hardware.device');
  const name = unescaped(text('name'));
  const connection = text('runtime.connectionState');
  if (xsiTypeOf(devices) !== 'ArrayOfVirtualDevice')
    throw new NoAnswer(
      'RetrievePropertiesEx',
      true,
      `${name} has no readable configuration: it is ${connection}`,
    );
  const all = children(devices, 'VirtualDevice');
  return {
    ...{ ref, name, connection },
    instanceUuid: text('config.instanceUuid'),
    vmx: text('config.files.vmPathName'),
    host: refOf(properties.get('runtime.host')) ?? { type: '', value: '' },
    power: text('runtime.powerState'),
    template: text('config.template') === 'true',
    snapshots:
      properties.get('snapshot') !== undefined &&
      child(properties.get('snapshot'), 'rootSnapshotList') !== undefined,
    consolidationNeeded: text('runtime.consolidationNeeded') === 'true',
    disabled: children(properties.get('disabledMethod'), 'string').map((n) => textOf(n) ?? ''),
    memoryMiB: Number(text('config.hardware.memoryMB')),
    vcpus: Number(text('config.hardware.numCPU')),
    disks: all.filter((d) => xsiTypeOf(d) === 'VirtualDisk').map((d) => diskOf(d, name)),
    networks: [...new Set(all.flatMap((d) => networkOf(child(d, 'backing')) ?? []))],
  };
}

/** What a network card hangs on, as a config names it. Other devices have a `deviceName` too: a CD drive's is no network. */
function networkOf(backing: XmlNode | undefined): string | undefined {
  switch (xsiTypeOf(backing)) {
    case 'VirtualEthernetCardNetworkBackingInfo':
    case 'VirtualEthernetCardLegacyNetworkBackingInfo': {
      const name = textAt(backing, 'deviceName');
      return name === undefined ? undefined : unescaped(name);
    }
    case 'VirtualEthernetCardDistributedVirtualPortBackingInfo':
      return textAt(backing, 'port', 'portgroupKey');
    case 'VirtualEthernetCardOpaqueNetworkBackingInfo':
      return textAt(backing, 'opaqueNetworkId');
    default:
      return undefined;
  }
}

function diskOf(device: XmlNode, vm: string): VimDisk {
  const backing = child(device, 'backing');
  const key = numberAt(device, 'key') ?? -1;
  const chain: string[] = [];
  for (let at = backing; at !== undefined; at = child(at, 'parent'))
    chain.push(unescaped(textAt(at, 'fileName') ?? ''));
  const datastore = refAt(backing, 'datastore');
  const uuid = textAt(backing, 'uuid');
  const [file] = chain;
  if (datastore === undefined || uuid === undefined || file === undefined || file === '')
    throw new NoAnswer(
      'RetrievePropertiesEx',
      true,
      `disk ${key} of ${vm} names no file: its backing is ${xsiTypeOf(backing) ?? 'unknown'}`,
    );
  return {
    ...{ key, uuid, file, datastore, chain },
    label: textAt(device, 'deviceInfo', 'label') ?? `disk ${key}`,
    bytes: numberAt(device, 'capacityInBytes') ?? (numberAt(device, 'capacityInKB') ?? 0) * 1_024,
    thin: booleanAt(backing, 'thinProvisioned') ?? false,
    obstacles: obstaclesOf(device, backing, chain),
  };
}

/** What makes a disk one that a plain relocation must not touch. */
function obstaclesOf(device: XmlNode, backing: XmlNode | undefined, chain: readonly string[]): string[] {
  const sharing = textAt(backing, 'sharing');
  const type = xsiTypeOf(backing) ?? '';
  const stores = new Set(chain.map((file) => hostPath(file).split('/')[3]));
  return [
    ...(type.includes('RawDiskMapping') ? ['it is a raw device mapping'] : []),
    ...(child(device, 'vDiskId') !== undefined
      ? ['it is a first class disk, which has an API of its own']
      : []),
    ...(child(backing, 'keyId') !== undefined ? ['it is encrypted'] : []),
    ...(sharing === 'sharingMultiWriter' ? ['several VMs may write to it'] : []),
    ...(chain.length > 1 ? ['it has a snapshot or is a linked clone'] : []),
    ...(stores.size > 1 ? ['its chain lies on several datastores'] : []),
  ];
}
