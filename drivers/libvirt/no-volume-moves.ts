import type { VolumeMovesPort } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { DiskKey } from '../../domain/volume-move';

/** Stands where disks cannot be moved: refuses every order before anything was begun. */
export function noVolumeMoves(detail = 'disks are not moved on this kind of host yet'): VolumeMovesPort {
  const refuse = (vm: string, disk: DiskKey): DriverFault =>
    new DriverFault('DISK_NOT_MOVABLE', { vm, disk, detail });
  const never = (): Promise<never> => Promise.reject(refuse('the VM', 'any'));
  return {
    preflight: ({ vmId, disks }) =>
      Promise.resolve({
        kind: 'refused',
        faults: disks.map(({ disk }) => fault('DISK_NOT_MOVABLE', { vm: vmId ?? 'no VM', disk, detail })),
      }),
    submit: never,
    find: never,
    follow: never,
    cancel: never,
    switchOver: never,
    classify: never,
    letGo: never,
    remove: never,
  };
}
