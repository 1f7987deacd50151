/**
 * What a person does about a guest that does not get well, in the exact words for its disks. Theory of operation: a guest's own kernel replays
 * its journal at its start, so what is left after that is damage, or no damage at all; nobody repairs by himself what may hold the only copy.
 * A VM that is stopped while it is protected counts as missing and is started again, in the middle of the repair.
 */
import type { HostId, VmId } from './ids';
import type { VmDisk, VmRecord } from './records';

/** The alert of a guest that runs and did not show that it is well; open until a start of it does. */
export const guestDegradedAlert = (vm: VmId): string => `guest-degraded:${vm}`;

interface Kept {
  readonly keep: string;
  readonly goBack: string;
}

/** Commands and what they are for, in order; none of them is run by VMedic. */
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
  const [, group, volume] = /^\/dev\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (group !== undefined && volume !== undefined)
    return {
      keep: `lvcreate -s -l 100%ORIGIN -n ${quoted(`${volume}-before`)} ${quoted(`${group}/${volume}`)}`,
      goBack: `lvconvert --merge ${quoted(`${group}/${volume}-before`)}`,
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
