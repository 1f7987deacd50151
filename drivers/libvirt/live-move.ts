/** The disk of a running VM: QEMU copies it, the guest stands still for the moment in which files change. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { BeforeImage, TaskState } from '../../domain/volume-move';
import { withDiskAt } from './disk-state';
import { failedTask, liveDisk, lookEveryMs, type MoveReach, partsOf, shortMs } from './move-reach';
import { ok, refused } from './outcomes';
import { probe, readVm, type SeenVm } from './vm-disks';

/** After a pivot libvirt may need a moment until it says so. */
const settleLooksMax = 15;

export async function followLive(
  reach: MoveReach,
  before: BeforeImage,
  signal: AbortSignal,
): Promise<TaskState> {
  const { hostId, vmId, device, target } = partsOf(before);
  const seen = await readVm(reach.connection(hostId), vmId, signal);
  const disk = liveDisk(seen, device);
  if (disk?.path === target) return { kind: 'ended', says: 'done', fault: undefined };
  if (disk?.mirror?.path === target && disk.mirror.ready) return { kind: 'ready' };
  if (disk?.mirror?.path !== target)
    return failedTask(
      before,
      disk === undefined ? 'it does not run any more' : 'the copy ended by itself; the target may be full',
    );
  const answer = await reach
    .connection(hostId)
    .read([`blockjob ${vmId} ${device} --info --raw`], { deadlineMs: shortMs }, signal);
  return {
    kind: 'running',
    percent: answer.kind === 'answered' ? percentIn(answer.sections[0] ?? '') : undefined,
  };
}

/** The guest stands still, QEMU changes files, and both what runs and what would start next must then name the new one. */
export async function pivot(
  reach: MoveReach,
  before: BeforeImage,
  seen: SeenVm,
  signal: AbortSignal,
): Promise<ActOutcome> {
  const { hostId, vmId, device, target, source, format } = partsOf(before);
  const refuse = (detail: string): ActOutcome => refused(fault('MOVE_REFUSED', { vm: before.name, detail }));
  const disk = liveDisk(seen, device);
  if (disk === undefined) return refuse(`${device} is not attached`);
  if (disk.path !== target) {
    if (disk.mirror?.path !== target || !disk.mirror.ready)
      return refuse('no whole copy waits for the order');
    if ((await probe(reach.run, hostId, target, format, signal)) !== 'held')
      return refused(
        fault('COPY_DIFFERS', {
          vm: before.name,
          detail: `${target} is not the file that is being written`,
        }),
      );
    if (seen.observed.state === 'running')
      await reach.act(hostId, before.name, 'suspend', `suspend ${vmId}`, signal);
    const still = await readVm(reach.connection(hostId), vmId, signal);
    if (still?.observed.state !== 'paused')
      return refuse(`it could not be made to stand still (it is ${still?.observed.state ?? 'gone'})`);
    await reach.act(hostId, before.name, 'blockjob --pivot', `blockjob ${vmId} ${device} --pivot`, signal);
  }
  for (let look = 0; look < settleLooksMax; look += 1) {
    const now = await readVm(reach.connection(hostId), vmId, signal);
    const [runsOn, next] = [liveDisk(now, device), now?.next.find((d) => d.device === device)];
    if (now !== undefined && runsOn?.path === target && runsOn.mirror === undefined) {
      if (next?.path === target) return ok;
      const text = withDiskAt(now.text, device, source, target);
      return text === undefined
        ? refuse(`its definition does not name ${source}`)
        : reach.define(before, text, signal);
    }
    if (runsOn?.mirror === undefined) return refuse('the pivot was not taken');
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  return {
    kind: 'unknown',
    fault: fault('CALL_OUTCOME_UNKNOWN', { call: 'pivot', host: hostId, vm: before.name }),
  };
}

function percentIn(raw: string): number | undefined {
  const cur = Number(/cur=(\d+)/.exec(raw)?.[1]);
  const end = Number(/end=(\d+)/.exec(raw)?.[1]);
  return Number.isFinite(cur) && end > 0 ? Math.min(99, Math.floor((100 * cur) / end)) : undefined;
}
