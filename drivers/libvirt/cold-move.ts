/** The disk of a stopped VM: a process on its host copies and compares it, then its definition is changed. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { BeforeImage, TaskState } from '../../domain/volume-move';
import { compareFiles } from './copy-scripts';
import { withDiskAt } from './disk-state';
import { failedTask, compareMs, type MoveReach, partsOf } from './move-reach';
import { ok, refused } from './outcomes';
import { readVm, type SeenVm } from './vm-disks';

export async function followCold(
  reach: MoveReach,
  before: BeforeImage,
  signal: AbortSignal,
): Promise<TaskState> {
  const { hostId, target, vmId, device } = partsOf(before);
  const [state, said] = await reach.copyState(hostId, target, signal);
  if (state === 'running') return { kind: 'running', percent: lastPercent(said) };
  if (state !== 'whole')
    return failedTask(before, state === 'failed' ? said.slice(-300) : 'the copy was ended from outside');
  const seen = await readVm(reach.connection(hostId), vmId, signal);
  const next = seen?.next.find((d) => d.device === device);
  return next?.path === target ? { kind: 'ended', says: 'done', fault: undefined } : { kind: 'ready' };
}

export async function redefine(
  reach: MoveReach,
  before: BeforeImage,
  seen: SeenVm,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { hostId, device, source, target, format } = partsOf(before);
  if (seen.next.find((d) => d.device === device)?.path === target) return ok;
  const differs = (detail: string): ActOutcome => refused(fault('COPY_DIFFERS', { vm: before.name, detail }));
  const [state] = await reach.copyState(hostId, target, signal);
  if (state !== 'whole') return differs(`no whole copy is at ${target}`);
  // Compared once more: it may have run since the copy was made.
  const same = await reach.run(hostId, compareFiles, [source, target, format], compareMs, signal);
  if (same.code !== 0) return differs(`${same.stdout} ${same.stderr}`.trim().slice(0, 300));
  const text = withDiskAt(seen.text, device, source, target);
  if (text === undefined) return differs(`its definition does not name ${source}`);
  return reach.define(before, text, signal);
}

/** `(12.34/100%)`, once per step. */
function lastPercent(said: string): number | undefined {
  const last = [...said.matchAll(/\((\d+)\.\d+\/100%\)/g)].at(-1)?.[1];
  return last === undefined ? undefined : Math.min(99, Number(last));
}
