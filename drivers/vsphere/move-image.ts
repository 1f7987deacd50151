/** What the driver keeps of a move beside what everybody may read: plain JSON, the same for whichever worker goes on. */
import type { MoveDirection } from '../../activities/ports';
import type { BeforeImage } from '../../domain/volume-move';
import { type FileOnDatastore, folderOf, splitPath } from './datastores';
import type { Wanted } from './move-reading';
import type { VimVm } from './virtual-machines';
import { group, leaf, type MoRef, reference } from './xml';

export interface DiskOfImage {
  readonly uuid: string;
  /** Datastores by reference: their names repeat. */
  readonly from: string;
  readonly to: string;
  readonly chain: readonly string[];
  readonly bytes: number;
  readonly thin: boolean;
}

export interface MoveImage {
  /** `about.instanceUuid`: a UUID of a VM says little without the vCenter that it is of. */
  readonly vcenter: string;
  readonly vmRef: string;
  readonly disks: readonly DiskOfImage[];
  /** What lay beside the disks, at their places and at those where they go. */
  readonly files: readonly FileOnDatastore[];
}

export const asOwn = (image: MoveImage): BeforeImage['own'] => ({ ...image });

/** It was made by `asOwn`, stored and read again. */
export const imageOf = (before: BeforeImage): MoveImage => before.own as unknown as MoveImage;

/** A disk of no VM is refused by the preflight: no VM has an empty id. */
export const vmOfOrder = (before: BeforeImage): string => before.order.vmId ?? '';

/** What has to be read for a verdict. */
export function wantedOf(before: BeforeImage): Wanted {
  const image = imageOf(before);
  return {
    vcenter: image.vcenter,
    instanceUuid: vmOfOrder(before),
    vmRef: image.vmRef,
    stores: [...new Set(image.disks.flatMap((d) => [d.from, d.to]))],
    folders: [...new Set(image.disks.flatMap((d) => d.chain).map((f) => folderOf(splitPath(f)?.path ?? '')))],
  };
}

/** The specification of the move, or what keeps it from being made. */
export function specFor(
  before: BeforeImage,
  vm: VimVm,
  direction: MoveDirection,
): { readonly xml: string } | { readonly hindrance: string } {
  const image = imageOf(before);
  const gone = image.disks.find((d) => !vm.disks.some((now) => now.uuid === d.uuid));
  if (gone !== undefined) return { hindrance: `disk ${gone.uuid} is no longer attached` };
  const locators: string[] = [];
  for (const disk of vm.disks) {
    const was = image.disks.find((d) => d.uuid === disk.uuid);
    if (was === undefined)
      return { hindrance: `disk ${disk.label} (${disk.uuid}) was attached after everything was read` };
    const to: MoRef = { type: 'Datastore', value: direction === 'there' ? was.to : was.from };
    locators.push(group('disk', [leaf('diskId', disk.key), reference('datastore', to)]));
  }
  return { xml: group('spec', locators) };
}
