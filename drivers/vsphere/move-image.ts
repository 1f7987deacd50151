/** What the driver keeps of a move beside what everybody may read: plain JSON, the same for whichever worker goes on. */
import type { BeforeImage } from '../../domain/volume-move';
import type { FileOnDatastore } from './datastores';

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
