/** The disks of a stopped VM: a process on its host copies and compares each, then its definition is changed, once for all of them. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { BeforeImage, TaskState } from '../../domain/volume-move';
import { beginCopy } from './copy-scripts';
import { withDiskAt } from './disk-state';
import { diskOf, failedTask, movedVm, type MoveReach, shortMs } from './move-reach';
import { ok, refused } from './outcomes';
import { besides, isSameDisk, type Part, type Parts, wholeSign } from './places';
import type { SeenVm } from './vm-disks';

/** Begins the copy of one disk, unless it runs or is done. @returns why it cannot be begun. */
export async function beginCold(
  reach: MoveReach,
  parts: Parts,
  part: Part,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { source, target } = part;
  const why =
    (await reach.places.make(parts, part, signal)) ?? (await reach.places.open(parts.hostId, source, signal));
  if (why !== undefined) return why;
  const args = [source.path, source.format, target.path, target.format, besides(target), wholeSign(target)];
  await reach.script(parts.hostId, beginCopy, args, shortMs, signal, reach.places.runAt(source, target));
  return undefined;
}

export async function followCold(
  reach: MoveReach,
  before: BeforeImage,
  part: Part,
  seen: SeenVm | undefined,
  signal: AbortSignal,
): Promise<TaskState> {
  const [state, said] = await reach.copyState(before.order.hostId, part, signal);
  if (state === 'running') return { kind: 'running', percent: lastPercent(said) };
  if (state !== 'whole')
    return failedTask(before, state === 'failed' ? said.slice(-300) : 'the copy was ended from outside');
  return isSameDisk(diskOf(seen?.next, part.device), part.target)
    ? { kind: 'ended', says: 'done', fault: undefined }
    : { kind: 'ready' };
}

export async function redefine(
  reach: MoveReach,
  before: BeforeImage,
  seen: SeenVm,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { hostId, disks } = movedVm(before);
  const differs = (detail: string): ActOutcome => refused(fault('COPY_DIFFERS', { vm: before.name, detail }));
  let text: string | undefined = seen.text;
  for (const part of disks) {
    const { device, source, target } = part;
    if (isSameDisk(diskOf(seen.next, device), target)) continue;
    const [state] = await reach.copyState(hostId, part, signal);
    if (state !== 'whole') return differs(`no whole copy is at ${target.path}`);
    const why = await reach.places.open(hostId, source, signal);
    if (why !== undefined) return differs(why);
    // Compared once more: it may have run since the copy was made.
    const same = await reach.compare(hostId, part, signal);
    if (same.code !== 0) return differs(`${same.stdout} ${same.stderr}`.trim().slice(0, 300));
    text = withDiskAt(text, device, source, target);
    if (text === undefined) return differs(`its definition does not name ${source.path}`);
  }
  const outcome = text === seen.text ? ok : await reach.define(before, text, signal);
  for (const { source } of disks) await reach.places.shut(hostId, source, signal);
  return outcome;
}

/** `(12.34/100%)`, once per step. */
export function lastPercent(said: string): number | undefined {
  const last = [...said.matchAll(/\((\d+)\.\d+\/100%\)/g)].at(-1)?.[1];
  return last === undefined ? undefined : Math.min(99, Number(last));
}
