/**
 * What a person does about a guest that does not get well, in the exact words for its disks. Theory of operation: a guest's own kernel replays
 * its journal at its start, so what is left after that is damage, or no damage at all; nobody repairs by himself what may hold the only copy.
 * A VM that is stopped while it is protected counts as missing and is started again, in the middle of the repair.
 */
import type { Pool } from './fleet';
import type { HostId, VmId } from './ids';
import type { VmDisk, VmRecord } from './records';

/** The alert of a guest that runs and did not show that it is well; open until a start of it does. */
export const guestDegradedAlert = (vm: VmId): string => `guest-degraded:${vm}`;

/** One attempt to repair a guest. Everything that it makes bears its name, so that whoever comes later knows whose it is. */
export interface RepairOrder {
  readonly attempt: string;
  readonly vmId: VmId;
  readonly name: string;
  readonly disks: readonly VmDisk[];
}

/** A disk as it was before a repair: a whole copy beside a file, or a snapshot of a logical volume. */
export interface KeptDisk {
  readonly device: string;
  readonly path: string;
  /** The copy's path, or the snapshot as GROUP/NAME. */
  readonly kept: string;
  /** What a person types on the host once it is not needed any more. */
  readonly remove: string;
}

/** What became of one file system of the guest. `left`: of a kind that is not looked into (encrypted, swap, unknown). */
export interface MendedFileSystem {
  /** As the guest's disks are called there: /dev/sda1, or a volume of its own LVM. */
  readonly device: string;
  readonly type: string;
  readonly found: 'whole' | 'mended' | 'damaged' | 'left';
  readonly said: string;
}

/** Open while what was kept by a repair that helped is still there. */
export const keptAlert = (vm: VmId): string => `guest-repair-kept:${vm}`;

/** Undefined for a disk that no command on a host can keep. Pure. */
export function keptDisk(
  { device, path }: VmDisk,
  attempt: string,
  pool: Pool | undefined,
): KeptDisk | undefined {
  if (pool?.type === 'dir' || pool?.type === 'nfs') {
    const kept = `${path}.before-${attempt}`;
    return { device, path, kept, remove: `rm ${quoted(kept)} ${quoted(stateOf(path, attempt))}` };
  }
  const volume = pool?.type === 'lvm' ? volumeIn(path) : undefined;
  if (volume === undefined) return undefined;
  const kept = `${volume.group}/${volume.name}-before-${attempt}`;
  return { device, path, kept, remove: `lvremove ${quoted(kept)}` };
}

/** Stands beside a file while it is repaired: a lock, and how far it is. */
export const stateOf = (path: string, attempt: string): string => `${path}.repair-${attempt}`;

/** As it is written by people and in definitions: /dev/GROUP/VOLUME. */
export function volumeIn(path: string): { readonly group: string; readonly name: string } | undefined {
  const [, group, name] = /^\/dev\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  return group === undefined || name === undefined || group === 'mapper' ? undefined : { group, name };
}

/** Whether the operator has switched it on for every pool that the VM has a disk on. Pure. */
export function repairsByItself(disks: readonly VmDisk[], pools: readonly Pool[]): boolean {
  const automatic = new Set(pools.filter((p) => p.guestRepair === 'automatic').map((p) => p.id));
  return disks.length > 0 && disks.every((d) => d.poolId !== undefined && automatic.has(d.poolId));
}

export const mendedWords = (found: readonly MendedFileSystem[]): string =>
  found.length === 0
    ? 'no file system was found on its disks'
    : found
        .map(
          ({ device, type, found: is, said }) => `${device} (${type}) ${is}${said === '' ? '' : `: ${said}`}`,
        )
        .join('; ');

interface Kept {
  readonly keep: string;
  readonly goBack: string;
}

/** Commands and what they are for, in order: for disks that `vmedic vm repair` cannot work on, or where a person would rather see each step. */
export function repairSteps({ name, shape }: Pick<VmRecord, 'name' | 'shape'>, host: HostId): string[] {
  const vm = quoted(name);
  const disks = shape.disks.map((d) => ({ disk: d, kept: keptBefore(d, name) }));
  const looks = disks.filter(({ disk }) => isLocal(disk)).map(({ disk }) => lookAt(disk));
  return [
    `vmedic vm unprotect ${vm} --reason "its file system is looked at" (protected, it would be started again in the middle of it)`,
    `on ${host}: virsh shutdown ${vm}; virsh destroy ${vm} where its guest does not hear; wait until vmedic vm show ${vm} says that it is at rest`,
    ...disks.map(
      ({ disk, kept }) => `on ${host}, before anything else: ${kept.keep} (${disk.device} as it is now)`,
    ),
    ...looks.map((look) => `on ${host}, writes nothing: ${look}`),
    'what that means and what may follow: runbook "guest-degraded"; never xfs_repair -L before the snapshot and the owner’s word',
    ...disks.map(({ kept }) => `only if it did not help, on ${host}: ${kept.goBack}`),
    `vmedic vm restart ${vm} --wait --reason "its file system was looked at"; then vmedic vm protect ${vm} --reason "the work is done"`,
  ];
}

const isLocal = ({ path }: VmDisk): boolean => path.startsWith('/');

/** A snapshot of a volume as large as the volume never runs full, which would end it. */
function keptBefore({ path }: VmDisk, vm: string): Kept {
  const volume = volumeIn(path);
  if (volume !== undefined)
    return {
      keep: `lvcreate -s -l 100%ORIGIN -n ${quoted(`${volume.name}-before`)} ${quoted(`${volume.group}/${volume.name}`)}`,
      goBack: `lvconvert --merge ${quoted(`${volume.group}/${volume.name}-before`)}`,
    };
  if (!path.startsWith('/'))
    return {
      keep: `take a snapshot of ${vm} where its disk ${path} is managed`,
      goBack: `go back to that snapshot of ${vm}`,
    };
  return {
    keep: `cp -a --sparse=always ${quoted(path)} ${quoted(`${path}.before`)}`,
    goBack: `mv ${quoted(`${path}.before`)} ${quoted(path)}`,
  };
}

const lookAt = ({ path, format }: VmDisk): string =>
  `guestfish --ro --format=${format} -a ${quoted(path)} run : list-filesystems`;

const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
