/** Looks for what an earlier submission began. Nothing is sent. */
import type { FoundTask } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { Timestamp } from '../../domain/observations';
import type { BeforeImage } from '../../domain/volume-move';
import { vmOfOrder } from './move-image';
import { isOver, recentTasks, type TaskInfo, tasksSince } from './tasks';
import type { Vcenter } from './vcenter';
import { findVm } from './virtual-machines';
import { textAt } from './xml';

/**
 * How wrong the reading of vCenter's clock may be. Less than what lies between the end of a move and the order for its way back, so that
 * the one is never taken for the other: two readings of where the disks are.
 */
const clockErrorMs = 1_000;

export async function findMove(
  vcenter: Vcenter,
  before: BeforeImage,
  since: Timestamp,
  signal: AbortSignal,
): Promise<FoundTask> {
  const tasks = await vcenter.look(signal, async () => {
    const ref = await findVm(vcenter.session, vmOfOrder(before), { signal });
    if (ref === undefined) return [];
    const from = await serverTime(vcenter, since, signal);
    const listed = [
      ...(await tasksSince(vcenter.session, ref, from, { signal })),
      ...(await recentTasks(vcenter.session, ref, { signal })),
    ];
    return listed.map((task) => ({ task, since: Date.parse(task.queuedAt) >= from.getTime() }));
  });
  // Newest last, so that a second attempt within the time is not taken for the first.
  const ours = tasks
    .filter((t) => t.since && isRelocation(t.task))
    .sort(byQueueTime)
    .at(-1);
  if (ours !== undefined) return { kind: 'found', task: { id: ours.task.ref.value } };
  const foreign = tasks.find((t) => !isOver(t.task));
  if (foreign === undefined) return { kind: 'nothing', repeatable: false };
  const detail = `${foreign.task.what} is ${foreign.task.state}`;
  return { kind: 'foreign', fault: fault('MOVE_BUSY', { vm: before.name, detail }) };
}

/** vSphere's own name, and the simulator's stock one. */
const isRelocation = (task: TaskInfo): boolean => /^VirtualMachine\.(relocate|relocateVm)$/.test(task.what);
const byQueueTime = (a: { task: TaskInfo }, b: { task: TaskInfo }): number =>
  Date.parse(a.task.queuedAt) - Date.parse(b.task.queuedAt);

/** A time of ours on vCenter's clock, a little earlier than it can have been. */
async function serverTime(vcenter: Vcenter, at: Timestamp, signal: AbortSignal): Promise<Date> {
  const service = { type: 'ServiceInstance', value: 'ServiceInstance' };
  const asked = Date.now();
  const answer = await vcenter.session.read('CurrentTime', service, [], { signal });
  const ahead = Date.parse(textAt(answer, 'returnval') ?? '') - (asked + Date.now()) / 2;
  return new Date(Date.parse(at) + (Number.isNaN(ahead) ? 0 : ahead) - clockErrorMs);
}
