/** The disks of a running VM: QEMU copies them, the guest stands still for the moment in which their places change. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { BeforeImage, TaskState } from '../../domain/volume-move';
import { removeFile } from './copy-scripts';
import { withDiskAt } from './disk-state';
import {
  diskOf,
  failedTask,
  isBegun,
  liveDisk,
  lookEveryMs,
  movedVm,
  type MoveReach,
  shortMs,
} from './move-reach';
import { ok, refused } from './outcomes';
import { besides, isSameDisk, type Part, type Parts } from './places';
import { quoted } from './virsh';
import { readVm, type SeenVm } from './vm-disks';

/** After a pivot libvirt may need a moment until it says so. */
const settleLooksMax = 15;

/** Begins the copy of one disk. `refused` and `unreachable` as of one disk: others may have been begun before it. */
export async function beginLive(
  reach: MoveReach,
  before: BeforeImage,
  part: Part,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { source, target, device } = part;
  const vm = movedVm(before);
  const { hostId, vmId } = vm;
  const refuse = (detail: string): ActOutcome => refused(fault('MOVE_REFUSED', { vm: before.name, detail }));
  if ((await reach.places.sight(hostId, source, signal)) !== 'held')
    return refuse(`it names ${source.path} and does not have it open`);
  const why = await readyToTake(reach, vm, part, signal);
  if (why !== undefined) return refuse(why);
  const kind = target.volume === undefined ? '' : ' --blockdev';
  const copy = `blockcopy ${vmId} ${device} --dest ${quoted(target.path)}${kind} --format ${target.format} --transient-job --synchronous-writes`;
  const outcome = await reach.act(hostId, before.name, 'blockcopy', copy, signal);
  return outcome.kind === 'refused'
    ? refuse(outcome.fault.facts['detail'] ?? outcome.fault.sentence)
    : outcome;
}

/** A volume is made, a file must not be there. @returns why not. */
async function readyToTake(
  reach: MoveReach,
  parts: Parts,
  part: Part,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { path, format, volume } = part.target;
  if (volume !== undefined) return reach.places.make(parts, part, signal);
  // Of this attempt, and not being written to: what an earlier try of it left.
  const args = [path, format, besides(part.target)];
  const gone = await reach.run(parts.hostId, removeFile, args, shortMs, signal);
  return gone.code === 0 ? undefined : `${path} is there and cannot be taken away: ${gone.stdout.trim()}`;
}

export async function followLive(
  reach: MoveReach,
  before: BeforeImage,
  part: Part,
  seen: SeenVm | undefined,
  signal: AbortSignal,
): Promise<TaskState> {
  const { hostId, vmId } = movedVm(before);
  const disk = liveDisk(seen, part.device);
  if (disk?.path === part.target.path) return { kind: 'ended', says: 'done', fault: undefined };
  if (!isBegun(seen, part))
    return failedTask(
      before,
      disk === undefined ? 'it does not run any more' : 'the copy ended by itself; the target may be full',
    );
  if (disk?.mirror?.ready === true) return { kind: 'ready' };
  const command = `blockjob ${vmId} ${part.device} --info --raw`;
  const answer = await reach.connection(hostId).read([command], { deadlineMs: shortMs }, signal);
  return {
    kind: 'running',
    percent: answer.kind === 'answered' ? percentIn(answer.sections[0] ?? '') : undefined,
  };
}

/** The guest stands still, QEMU changes places, and both what runs and what would start next must then name the new ones. */
export async function pivot(
  reach: MoveReach,
  before: BeforeImage,
  seen: SeenVm,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { hostId, vmId, disks } = movedVm(before);
  const refuse = (detail: string): ActOutcome => refused(fault('MOVE_REFUSED', { vm: before.name, detail }));
  const left = disks.filter((d) => liveDisk(seen, d.device)?.path !== d.target.path);
  for (const part of left) {
    const why = await whyNoPivot(reach, before, part, seen, signal);
    if (why !== undefined) return why;
  }
  if (left.length > 0) {
    if (seen.observed.state === 'running')
      await reach.act(hostId, before.name, 'suspend', `suspend ${vmId}`, signal);
    const still = await readVm(reach.connection(hostId), vmId, signal);
    if (still?.observed.state !== 'paused')
      return refuse(`it could not be made to stand still (it is ${still?.observed.state ?? 'gone'})`);
    for (const { device } of left)
      await reach.act(hostId, before.name, 'blockjob --pivot', `blockjob ${vmId} ${device} --pivot`, signal);
  }
  return untilPivoted(reach, before, signal);
}

/** All are looked at before the first is pivoted: from then on there is only forward. */
async function whyNoPivot(
  reach: MoveReach,
  before: BeforeImage,
  { device, target }: Part,
  seen: SeenVm,
  signal: AbortSignal,
): Promise<ActOutcome | undefined> {
  const refuse = (detail: string): ActOutcome => refused(fault('MOVE_REFUSED', { vm: before.name, detail }));
  const disk = liveDisk(seen, device);
  if (disk === undefined) return refuse(`${device} is not attached`);
  if (disk.mirror?.path !== target.path || !disk.mirror.ready)
    return refuse(`no whole copy of ${device} waits for the order`);
  if ((await reach.places.sight(before.order.hostId, target, signal)) === 'held') return undefined;
  const detail = `${target.path} is not what is being written to`;
  return refused(fault('COPY_DIFFERS', { vm: before.name, detail }));
}

async function untilPivoted(reach: MoveReach, before: BeforeImage, signal: AbortSignal): Promise<ActOutcome> {
  const { hostId, vmId, disks } = movedVm(before);
  const refuse = (detail: string): ActOutcome => refused(fault('MOVE_REFUSED', { vm: before.name, detail }));
  const unknown = { call: 'pivot', host: hostId, vm: before.name };
  for (let look = 0; look < settleLooksMax; look += 1) {
    const now = await readVm(reach.connection(hostId), vmId, signal);
    const mirrored = disks.filter((d) => liveDisk(now, d.device)?.mirror !== undefined);
    if (now !== undefined && mirrored.length === 0) {
      const moved = disks.filter((d) => liveDisk(now, d.device)?.path === d.target.path);
      if (moved.length === 0) return refuse('the pivot was not taken');
      const said = await agree(reach, before, now, moved, signal);
      // Some are there and some are not: what it came to is read.
      return moved.length < disks.length
        ? { kind: 'unknown', fault: fault('CALL_OUTCOME_UNKNOWN', unknown) }
        : said;
    }
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  return { kind: 'unknown', fault: fault('CALL_OUTCOME_UNKNOWN', unknown) };
}

/** What would start next is made to name what runs. */
async function agree(
  reach: MoveReach,
  before: BeforeImage,
  now: SeenVm,
  moved: readonly Part[],
  signal: AbortSignal,
): Promise<ActOutcome> {
  let text: string | undefined = now.text;
  for (const { device, source, target } of moved) {
    if (isSameDisk(diskOf(now.next, device), target)) continue;
    text = withDiskAt(text, device, source, target);
    if (text === undefined)
      return refused(
        fault('MOVE_REFUSED', { vm: before.name, detail: `its definition does not name ${source.path}` }),
      );
  }
  return text === now.text ? ok : reach.define(before, text, signal);
}

function percentIn(raw: string): number | undefined {
  const cur = Number(/cur=(\d+)/.exec(raw)?.[1]);
  const end = Number(/end=(\d+)/.exec(raw)?.[1]);
  return Number.isFinite(cur) && end > 0 ? Math.min(99, Math.floor((100 * cur) / end)) : undefined;
}
