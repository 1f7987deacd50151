/**
 * Disks that belong to no VM, on libvirt hosts: files of declared folders, and logical volumes. Theory of operation: there is no definition to switch, so a
 * move is a copy of the bytes that was compared and then got its name (of a volume: its sign), and after that the removal of the old one, which is compared
 * once more right before. Whether any definition names it is asked by whoever orders the move; here it is asked what only hosts can tell: who has it open, and
 * what is built on it.
 */
import type { ActOutcome, FoundTask, Preflight, Submitted, VolumeMovesPort } from '../../activities/ports';
import { DriverFault, fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import {
  type BeforeImage,
  type Leftover,
  looseKey,
  type MoveVerdict,
  type TaskState,
} from '../../domain/volume-move';
import { beginCold, lastPercent } from './cold-move';
import { endCopy } from './copy-scripts';
import { checkLoose } from './loose-preflight';
import { removeMovedFile } from './loose-scripts';
import { usersOf } from './loose-users';
import { compareMs, failedTask, lookEveryMs, type MoveReach, shortMs, taskOf } from './move-reach';
import { ok, refused } from './outcomes';
import { besides, type Part, partsOf } from './places';

export type LooseMoves = Omit<VolumeMovesPort, 'switchOver' | 'letGo'>;

export const createLooseMoves = (reach: MoveReach): LooseMoves => ({
  async preflight(order, signal): Promise<Preflight> {
    const { faults, before } = await checkLoose(reach, order, signal);
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
      if (state !== 'running') await shutBoth(reach, parts.hostId, part, signal);
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
      const run = reach.places.runAt(part.source, part.target);
      await reach.script(parts.hostId, endCopy, [besides(part.target)], shortMs, signal, run);
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
  const left = (place: Part['source'], what: Leftover['what'], stays?: string): Leftover[] => [
    { poolId: reach.options.poolOf(place.path), path: place.path, what, ...(stays && { stays }) },
  ];
  if (from === 'absent' && to === 'absent') {
    const detail = `neither it nor ${target.path} is there`;
    return { kind: 'DISK_MISSING', paths: [source.path], detail };
  }
  // A file gets its name when it is whole; a volume is there from the start.
  const isWhole = target.volume === undefined ? to !== 'absent' : to !== 'absent' && state === 'whole';
  if (from === 'absent' && !isWhole) {
    const detail = `${source.path} is gone, and no host says whether the copy at ${target.path} is whole`;
    return { kind: 'UNKNOWN', fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }) };
  }
  if (from === 'absent') return { kind: 'MOVED', ...at(target) };
  // Whoever has opened it since may write to it: then the copy is old, and the disk is where it was.
  const isMoved = isWhole && from === 'free';
  const stays = isMoved ? await reach.places.mustStay(parts.hostId, source, signal) : undefined;
  if (isMoved) return { kind: 'MOVED', ...at(target), leftovers: left(source, 'source', stays) };
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
    const why =
      what === 'copy'
        ? await reach.places.remove(parts, part, 'copy', signal)
        : await removeSource(reach, parts.hostId, part, signal);
    return why === undefined ? undefined : not(why);
  } catch (error) {
    if (error instanceof DriverFault) return { kind: 'unreachable', fault: error.fault };
    throw error;
  }
}

/** Only while it is equal to its copy. @returns why it is still there. */
async function removeSource(
  reach: MoveReach,
  host: HostId,
  part: Part,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { source, target } = part;
  const { places } = reach;
  const script = async (path: string): Promise<string | undefined> => {
    const args = [path, target.path, besides(target)];
    const end = await places.runAt(source, target)(host, removeMovedFile, args, compareMs, signal);
    return end.code === 0 ? undefined : end.stdout.trim() || end.stderr.trim();
  };
  if (source.volume === undefined) {
    const shut = await openMade(reach, host, part, signal);
    if (shut !== undefined) return shut;
    const why = await script(source.path);
    await shutBoth(reach, host, part, signal);
    return why;
  }
  const seen = await places.volumes.find(host, source.volume, signal);
  if (seen !== undefined) {
    if (seen.uuid !== source.uuid) return `it is another volume now: ${seen.uuid}`;
    const tag = seen.tags.find((t) => places.volumes.isOwnTag(t));
    if (tag === undefined) return places.mustStay(host, source, signal);
    const shut = (await places.open(host, source, signal)) ?? (await openMade(reach, host, part, signal));
    if (shut !== undefined) return shut;
    const same = await reach.compare(host, part, signal);
    await shutBoth(reach, host, part, signal);
    if (same.code !== 0) {
      const said = `${same.stdout} ${same.stderr}`.trim().slice(0, 300);
      return `it is not equal to its copy any more: ${said}`;
    }
    if ((await places.sight(host, source, signal)) !== 'free') return 'somebody has it open';
    const why = await places.volumes.drop(host, source.volume, seen, tag, signal);
    if (why !== undefined) return why;
  }
  // Nothing but what was kept about the copy.
  return script('');
}

/** Volumes are active for the copy and for comparing alone: whoever attaches one next may do so on any host. */
async function shutBoth(
  { places }: MoveReach,
  host: HostId,
  { source, target }: Part,
  signal: AbortSignal,
): Promise<void> {
  await places.shut(host, source, signal);
  const made =
    target.volume === undefined ? undefined : await places.volumes.find(host, target.volume, signal);
  if (made !== undefined) await places.shut(host, { ...target, uuid: made.uuid }, signal);
}

/** @returns why the copy cannot be read; undefined of a file. */
async function openMade(
  { places }: MoveReach,
  host: HostId,
  { target }: Part,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (target.volume === undefined) return undefined;
  const made = await places.volumes.find(host, target.volume, signal);
  return made === undefined
    ? `its copy ${target.path} is not there`
    : places.open(host, { ...target, uuid: made.uuid }, signal);
}
