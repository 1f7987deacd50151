/** All that must hold before a disk that belongs to no VM is moved; every reason why not, at once. */
import { posix } from 'node:path';
import { type Fault, fault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import { type BeforeImage, looseKey, looseName, type MoveOrder } from '../../domain/volume-move';
import type { VolumeNames } from './logical-volumes';
import { looseFacts } from './loose-scripts';
import { filesIn, usersOf } from './loose-users';
import { type MoveReach, shortMs } from './move-reach';
import { roomFaults } from './move-room';
import type { OwnVolumes } from './places';

export interface Checked {
  readonly faults: readonly Fault[];
  readonly before: BeforeImage | undefined;
}

const takenPools: readonly string[] = ['dir', 'nfs', 'lvm'];

export async function checkLoose(reach: MoveReach, order: MoveOrder, signal: AbortSignal): Promise<Checked> {
  const { options } = reach;
  const path = order.file ?? '';
  const [want] = order.disks;
  const faults: Fault[] = [];
  const not = (detail: string): void =>
    void faults.push(fault('DISK_NOT_MOVABLE', { vm: 'no VM', disk: path, detail }));
  const poolNamed = (id: string | undefined): (Pool & { readonly path: string }) | undefined => {
    const pool = options.pools.find((p) => p.id === id);
    const { path: at } = pool ?? {};
    return pool !== undefined && at !== undefined && takenPools.includes(pool.type)
      ? { ...pool, path: at }
      : undefined;
  };
  const [from, to] = [poolNamed(options.poolOf(path)), poolNamed(want?.to)];
  if (from === undefined)
    not(
      'it lies in no declared pool of files or logical volumes; a disk that belongs to no VM is moved between pools of type dir, nfs and lvm',
    );
  else if (from.id === want?.to) not(`it lies on ${from.id} already`);
  if (to === undefined) {
    const detail = 'a disk that belongs to no VM is moved to pools of type dir, nfs and lvm only';
    faults.push(fault('POOL_NOT_USABLE', { pool: want?.to ?? '(none)', vm: 'no VM', detail }));
  }
  if (faults.length > 0 || from === undefined || to === undefined) return { faults, before: undefined };
  const names = from.type === 'lvm' ? reach.places.volumes.namesIn(path) : undefined;
  const seen =
    from.type !== 'lvm'
      ? await fileFacts(reach, order.hostId, path, signal)
      : names === undefined
        ? 'it names no logical volume: /dev/GROUP/VOLUME'
        : await volumeFacts(reach, order.hostId, names, signal);
  if (typeof seen === 'string') {
    not(seen);
    return { faults, before: undefined };
  }
  const users = await usersOf(reach, order.hostId, path, signal);
  const why = new Set([...seen.faults, ...users]);
  if (why.size > 0) not([...why].join('; '));
  const { bytes, room, volume } = seen;
  const disk = { key: looseKey(path), to: to.id, disk: undefined, bytes, room, volume, why: undefined };
  const basis = { reach, order, seen: undefined, elsewhere: [] };
  faults.push(...(await roomFaults(basis, 'no VM', [disk], signal)));
  const target = `${to.path.replace(/\/+$/, '')}/${targetName(path, order.attempt, to)}`;
  const made = to.type === 'lvm' ? reach.places.volumes.namesIn(target) : undefined;
  const own: OwnVolumes = {
    ...(volume !== undefined && { source: volume }),
    ...(made !== undefined && { target: made }),
  };
  const before: BeforeImage = {
    ...{ order, name: looseName(path), running: false, switches: 'by-itself' },
    own: Object.keys(own).length === 0 ? {} : { volumes: { [looseKey(path)]: own } },
    readAt: new Date().toISOString(),
    disks: [
      {
        ...{ disk: looseKey(path), device: looseKey(path), bytes },
        at: { poolId: from.id, path, format: 'raw' },
        wanted: { poolId: to.id, path: target },
      },
    ],
  };
  return { faults, before };
}

/** The name of an earlier move gives way to that of this one. LVM keeps some words to itself, takes few characters, and 127 of them at most. */
function targetName(path: string, attempt: string, to: Pool): string {
  const { name, ext } = posix.parse(path);
  const own = name.replace(/-m[0-9a-f]{12}$/, '');
  if (to.type !== 'lvm') return `${own}-${attempt}${ext}`;
  const plain = `${own}${ext}`.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 60);
  return `${plain.startsWith('disk-') ? '' : 'disk-'}${plain}-${attempt}`;
}

interface Facts {
  readonly bytes: number;
  readonly room: number;
  readonly volume: (VolumeNames & { readonly uuid: string }) | undefined;
  readonly faults: readonly string[];
}

/** Why it is no volume that could be moved, or what it is. */
async function volumeFacts(
  reach: MoveReach,
  host: HostId,
  names: VolumeNames,
  signal: AbortSignal,
): Promise<Facts | string> {
  const { volumes, missingDisks } = await reach.places.volumes.group(host, names.group, signal);
  const seen = volumes.find((v) => v.name === names.volume);
  if (seen === undefined) return `${host} does not see it`;
  const faults: string[] = [];
  if (missingDisks > 0) faults.push(`${missingDisks} physical volumes of ${names.group} are missing`);
  if (seen.open) faults.push(`somebody on ${host} has it open`);
  return { bytes: seen.bytes, room: seen.bytes, volume: { ...names, uuid: seen.uuid }, faults };
}

/** Why it is no file that could be moved, or what it is. */
async function fileFacts(
  reach: MoveReach,
  host: HostId,
  path: string,
  signal: AbortSignal,
): Promise<Facts | string> {
  const { stdout } = await reach.script(host, looseFacts, [path], shortMs, signal);
  const [first = '', sight, said = ''] = stdout.trim().split('\n');
  if (first === 'absent') return `${host} does not see it`;
  const [kind, names, bytes, blocks, blockBytes] = first.split(' ');
  if (kind !== 'file') return 'it is no plain file: of a link, name what it leads to';
  const faults: string[] = [];
  if (names !== '1')
    faults.push(`it has ${names ?? 'several'} names (hard links): the others would keep what is moved`);
  if (sight !== 'free') faults.push(`somebody on ${host} has it open`);
  const built = filesIn(said);
  if (built.length > 0) faults.push(`it is built on ${built.join(', ')}, which would not move with it`);
  const room = Number(blocks) * Number(blockBytes);
  return { bytes: Number(bytes), room, volume: undefined, faults };
}
