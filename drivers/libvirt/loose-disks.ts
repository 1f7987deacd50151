/**
 * Disks that belong to no VM, on libvirt hosts: files of declared folders. Theory of operation: there is no definition to switch, so a move is a copy of the
 * bytes that was compared and then got its name, and after that the removal of the old file, which is compared once more right before. Whether any
 * definition names the file is asked by whoever orders the move; here it is asked what only hosts can tell: who has it open, and what is built on it.
 */
import { posix } from 'node:path';
import type { ActOutcome, FoundTask, Preflight, Submitted, VolumeMovesPort } from '../../activities/ports';
import { DriverFault, type Fault, fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import {
  type BeforeImage,
  type Leftover,
  looseKey,
  looseName,
  type MoveOrder,
  type MoveVerdict,
  type TaskState,
} from '../../domain/volume-move';
import { beginCold, lastPercent } from './cold-move';
import { endCopy, removeFile, sizes } from './copy-scripts';
import { looseFacts, removeMovedFile } from './loose-scripts';
import { filesIn, usersOf } from './loose-users';
import { compareMs, failedTask, lookEveryMs, type MoveReach, shortMs, taskOf } from './move-reach';
import { ok, refused } from './outcomes';
import { besides, type Part, partsOf } from './places';

export type LooseMoves = Omit<VolumeMovesPort, 'switchOver' | 'letGo'>;

export const createLooseMoves = (reach: MoveReach): LooseMoves => ({
  async preflight(order, signal): Promise<Preflight> {
    const { faults, before } = await checked(reach, order, signal);
    return before === undefined || faults.length > 0
      ? { kind: 'refused', faults }
      : { kind: 'ready', before };
  },

  async submit(before, direction, signal): Promise<Submitted> {
    const refuse = (detail: string): Submitted => ({
      kind: 'refused',
      fault: fault('MOVE_REFUSED', { vm: before.name, detail }),
    });
    if (direction === 'back') return refuse('a disk of no VM goes back by an order of its own');
    const { parts, part } = onlyPart(before);
    try {
      const why = await beginCold(reach, parts, part, signal);
      return why === undefined ? { kind: 'accepted', task: taskOf(before) } : refuse(why);
    } catch (error) {
      // The script may have run: what it began is found by its files.
      if (error instanceof DriverFault) return { kind: 'unknown', fault: error.fault };
      throw error;
    }
  },

  async find(before, direction, _since, signal): Promise<FoundTask> {
    const { parts, part } = onlyPart(before);
    const [state] = await reach.copyState(parts.hostId, part, signal);
    const isBegun = direction === 'there' && ['whole', 'running', 'failed'].includes(state);
    return isBegun ? { kind: 'found', task: taskOf(before) } : { kind: 'nothing', repeatable: true };
  },

  async follow(before, _task, roundMs, signal): Promise<TaskState> {
    const { parts, part } = onlyPart(before);
    const until = Date.now() + roundMs;
    for (;;) {
      const [state, said] = await reach.copyState(parts.hostId, part, signal);
      if (state === 'whole') return { kind: 'ended', says: 'done', fault: undefined };
      if (state === 'failed') return failedTask(before, said.slice(-300));
      if (state !== 'running') return failedTask(before, 'the copy was ended from outside');
      if (Date.now() >= until || signal.aborted) return { kind: 'running', percent: lastPercent(said) };
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  },

  async cancel(before, _task, signal): Promise<ActOutcome> {
    const { parts, part } = onlyPart(before);
    try {
      await reach.script(parts.hostId, endCopy, [besides(part.target)], shortMs, signal);
      return ok;
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
      throw error;
    }
  },

  async classify(before, _known, signal): Promise<MoveVerdict> {
    try {
      return await verdictOf(reach, before, signal);
    } catch (error) {
      if (error instanceof DriverFault) return { kind: 'UNKNOWN', fault: error.fault };
      throw error;
    }
  },

  async remove(before, leftovers, signal): Promise<ActOutcome> {
    for (const leftover of leftovers) {
      const why = await removeOne(reach, before, leftover, signal);
      if (why !== undefined) return why;
    }
    return ok;
  },
});

function onlyPart(before: BeforeImage) {
  const parts = partsOf(before);
  const [part] = parts.disks;
  if (part === undefined)
    throw new DriverFault('MOVE_REFUSED', { vm: before.name, detail: 'it names no disk' });
  return { parts, part };
}

async function verdictOf(reach: MoveReach, before: BeforeImage, signal: AbortSignal): Promise<MoveVerdict> {
  const { parts, part } = onlyPart(before);
  const { source, target } = part;
  const look = (place: Part['source']) => reach.places.sight(parts.hostId, place, signal);
  const [state] = await reach.copyState(parts.hostId, part, signal);
  if (state === 'running') return { kind: 'IN_PROGRESS', detail: `it is being copied to ${target.path}` };
  const [from, to] = [await look(source), await look(target)];
  const disk = looseKey(source.path);
  const at = (place: Part['source']) => ({
    ...{ vm: undefined, leftovers: [] as Leftover[] },
    disks: [
      { disk, at: { poolId: reach.options.poolOf(place.path), path: place.path, format: place.format } },
    ],
  });
  const left = (place: Part['source'], what: Leftover['what']): Leftover[] => [
    { poolId: reach.options.poolOf(place.path), path: place.path, what },
  ];
  if (from === 'absent' && to === 'absent') {
    const detail = `neither it nor ${target.path} is there`;
    return { kind: 'DISK_MISSING', paths: [source.path], detail };
  }
  if (from === 'absent') return { kind: 'MOVED', ...at(target) };
  // Whoever has opened it since may write to it: then the copy is old, and the disk is where it was.
  const isMoved = to !== 'absent' && from === 'free';
  if (isMoved) return { kind: 'MOVED', ...at(target), leftovers: left(source, 'source') };
  const remains = to !== 'absent' || state === 'failed' || state === 'ended';
  return { kind: 'NOT_MOVED', ...at(source), leftovers: remains ? left(target, 'copy') : [] };
}

async function removeOne(
  reach: MoveReach,
  before: BeforeImage,
  { path, what }: Leftover,
  signal: AbortSignal,
): Promise<ActOutcome | undefined> {
  const { parts, part } = onlyPart(before);
  const { source, target } = part;
  const not = (detail: string): ActOutcome =>
    refused(fault('NOT_REMOVED', { path, vm: before.name, detail }));
  if (path !== (what === 'copy' ? target : source).path)
    return not('it was not made, and not moved away from, by this order');
  try {
    if (what === 'copy' && (await reach.places.sight(parts.hostId, source, signal)) === 'absent')
      return not(`${source.path} is not there any more: this may be the only one`);
    const [user] = what === 'copy' ? [] : await usersOf(reach, parts.hostId, path, signal);
    if (user !== undefined) return not(user);
    const end =
      what === 'copy'
        ? await reach.run(parts.hostId, removeFile, [path, 'raw', besides(target)], shortMs, signal)
        : await reach.run(
            parts.hostId,
            removeMovedFile,
            [path, target.path, besides(target)],
            compareMs,
            signal,
          );
    return end.code === 0 ? undefined : not(end.stdout.trim() || end.stderr.trim());
  } catch (error) {
    if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
    throw error;
  }
}

interface Checked {
  readonly faults: readonly Fault[];
  readonly before: BeforeImage | undefined;
}

async function checked(reach: MoveReach, order: MoveOrder, signal: AbortSignal): Promise<Checked> {
  const { options } = reach;
  const path = order.file ?? '';
  const [want] = order.disks;
  const faults: Fault[] = [];
  const not = (detail: string): void =>
    void faults.push(fault('DISK_NOT_MOVABLE', { vm: 'no VM', disk: path, detail }));
  const folderOf = (id: string | undefined): string | undefined => {
    const pool = options.pools.find((p) => p.id === id);
    return pool !== undefined && ['dir', 'nfs'].includes(pool.type) ? pool.path : undefined;
  };
  const [from, to] = [options.poolOf(path), want?.to];
  const folder = folderOf(to);
  if (from === undefined || folderOf(from) === undefined)
    not(
      'it lies in no declared pool of files; a disk that belongs to no VM is moved between pools of type dir and nfs',
    );
  else if (from === to) not(`it lies on ${from} already`);
  if (to === undefined || folder === undefined) {
    const detail = 'a disk that belongs to no VM is moved to pools of type dir and nfs only';
    faults.push(fault('POOL_NOT_USABLE', { pool: to ?? '(none)', vm: 'no VM', detail }));
  }
  if (faults.length > 0 || from === undefined || to === undefined || folder === undefined)
    return { faults, before: undefined };
  const seen = await factsOf(reach, order.hostId, path, signal);
  const users = await usersOf(reach, order.hostId, path, signal);
  const why = new Set([...(typeof seen === 'string' ? [seen] : seen.faults), ...users]);
  if (why.size > 0) not([...why].join('; '));
  if (typeof seen === 'string') return { faults, before: undefined };
  const free = (await reach.run(order.hostId, sizes, ['', '', folder], shortMs, signal)).stdout.trim();
  if (free === '') {
    const detail = `${folder} on ${order.hostId} is no folder that can be written to`;
    faults.push(fault('POOL_NOT_USABLE', { pool: to, vm: 'no VM', detail }));
  } else if (Number(free) < seen.room)
    faults.push(fault('POOL_FULL', { pool: to, vm: 'no VM', free, needed: String(seen.room) }));
  const target = `${folder.replace(/\/+$/, '')}/${targetName(path, order.attempt)}`;
  const before: BeforeImage = {
    ...{ order, name: looseName(path), running: false, switches: 'by-itself', own: {} },
    readAt: new Date().toISOString(),
    disks: [
      {
        ...{ disk: looseKey(path), device: looseKey(path), bytes: seen.bytes },
        at: { poolId: from, path, format: 'raw' },
        wanted: { poolId: to, path: target },
      },
    ],
  };
  return { faults, before };
}

/** The name of an earlier move gives way to that of this one. */
const targetName = (path: string, attempt: string): string => {
  const { name, ext } = posix.parse(path);
  return `${name.replace(/-m[0-9a-f]{12}$/, '')}-${attempt}${ext}`;
};

interface Facts {
  readonly bytes: number;
  readonly room: number;
  readonly faults: readonly string[];
}

/** Why it is no disk that could be moved, or what it is. */
async function factsOf(
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
  return { bytes: Number(bytes), room: Number(blocks) * Number(blockBytes), faults };
}
