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
  return vcenter.look(signal, async () => {
    const { session } = vcenter;
    const ref = await findVm(session, vmOfOrder(before), { signal });
    if (ref === undefined) return { kind: 'nothing', repeatable: false };
    const from = await serverTime(vcenter, since, signal);
    const tasks = [
      ...(await tasksSince(session, ref, from, { signal })),
      ...(await recentTasks(session, ref, { signal })),
    ];
    return amongTasks(before.name, tasks, { from, user: session.user });
  });
}

/** What was begun is ours only if it is a relocation that our user ordered since: DRS, other tools and people relocate VMs as well. */
export function amongTasks(
  vm: string,
  tasks: readonly TaskInfo[],
  { from, user }: { readonly from: Date; readonly user: string },
): FoundTask {
  const isOurs = (task: TaskInfo): boolean =>
    isRelocation(task) && Date.parse(task.queuedAt) >= from.getTime() && isSameUser(task.startedBy, user);
  // Newest last, so that a second attempt within the time is not taken for the first.
  const ours = tasks.filter(isOurs).sort(byQueueTime).at(-1);
  if (ours !== undefined) return { kind: 'found', task: { id: ours.ref.value } };
  const foreign = tasks.find((t) => !isOver(t));
  if (foreign === undefined) return { kind: 'nothing', repeatable: false };
  const by = foreign.startedBy === undefined ? '' : `, started by ${foreign.startedBy}`;
  const detail = `${foreign.what} is ${foreign.state}${by}`;
  return { kind: 'foreign', fault: fault('MOVE_BUSY', { vm, detail }) };
}

/** One user has several spellings: `VSPHERE.LOCAL\svc` and `svc@vsphere.local`. */
function isSameUser(one: string | undefined, other: string): boolean {
  if (one === undefined) return false;
  const [a, b] = [userOf(one), userOf(other)];
  const sameDomain = a.domain === undefined || b.domain === undefined || a.domain === b.domain;
  return a.name === b.name && sameDomain;
}

/** Of the domain its first label: some spellings have only that. */
function userOf(spelling: string): { name: string; domain: string | undefined } {
  const text = spelling.toLowerCase();
  const [, before, after] = /^([^\\]+)\\(.+)$/.exec(text) ?? [];
  const [, user, at] = /^(.+)@([^@]+)$/.exec(text) ?? [];
  return { name: after ?? user ?? text, domain: (before ?? at)?.split('.')[0] };
}

/** vSphere's own name, and the simulator's stock one. */
const isRelocation = (task: TaskInfo): boolean => /^VirtualMachine\.(relocate|relocateVm)$/.test(task.what);
const byQueueTime = (a: TaskInfo, b: TaskInfo): number => Date.parse(a.queuedAt) - Date.parse(b.queuedAt);

/** A time of ours on vCenter's clock, a little earlier than it can have been. */
async function serverTime(vcenter: Vcenter, at: Timestamp, signal: AbortSignal): Promise<Date> {
  const service = { type: 'ServiceInstance', value: 'ServiceInstance' };
  const asked = Date.now();
  const answer = await vcenter.session.read('CurrentTime', service, [], { signal });
  const ahead = Date.parse(textAt(answer, 'returnval') ?? '') - (asked + Date.now()) / 2;
  return new Date(Date.parse(at) + (Number.isNaN(ahead) ? 0 : ahead) - clockErrorMs);
}
