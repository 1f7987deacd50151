/**
 * The VMs of a host that lives: what is to run and does not, what runs and was not to.
 *
 * INVARIANTS:
 * - One list decides nothing: what it shows must be shown by the next one too.
 * - Nothing is started here. What is missing is asked of the front door, whose run waits out the grace, asks again and proves.
 */
import type { Host, VmPolicy } from '../domain/fleet';
import { bootByIds } from '../domain/judge-boot';
import type { HostVmList, ObservedVm } from '../domain/observations';
import type { HostRecord, VmRecord } from '../domain/records';
import { mayTakeUp, type VmFinding, vmFinding } from '../domain/watch-rules';
import { nowIso, signal } from './environment';
import { faultOf } from './fault-boundary';
import { clearTold, raise } from './incident';
import { stoppingAlert } from './shut-down';
import { whenRebooted } from './watch-boot';
import { type Left, leftAloneKey, tellLeftAlone } from './watch-left-alone';
import { placesFor } from './watch-left-down';
import { askForVm, observedVm } from './watch-orders';
import type { HostMemory, Suspicion, WatchedCluster } from './watched-cluster';

/** With nothing changed and nothing suspicious the record is compared this often: it may have been changed by others than the host. */
const compareEveryMs = 30_000;
/** While no record has changed either, since all was well with them, they are read again this seldom: should one ever change in silence. */
const compareWholeEveryMs = 300_000;
export const looksMin = 2;
/** A guest that shut itself down may do so because its host goes down. Only a host that has lived on for so many graces says that it did not. */
const shutDownGraces = 6;
/** Several at once look like a host that is going down, which stops its guests one after the other: it is given more time. */
const severalAtOnce = 10;
const incidentsRead = 10;

const shutDownKey = (vm: VmRecord): string => `shut-down:${vm.vmId}:${vm.hostId}`;
/** Begin the keys of all reports that this file makes. */
const vmReports = ['observed:vm:', 'shut-down:', 'left-alone:'];

export async function compareVms(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
  look: { readonly begunMs: number; readonly changed: boolean },
): Promise<void> {
  const memory = watch.memory(host.id);
  if (watch.supervision === undefined) return;
  if (record.standing !== 'in-service' && record.standing !== 'quarantined') {
    memory.suspicions.clear();
    return tellLeftAlone(watch, host, []);
  }
  const quiet = !look.changed && memory.suspicions.size === 0;
  if (quiet && look.begunMs - memory.comparedMs < compareEveryMs) return;
  memory.comparedMs = look.begunMs;
  // Before the records, so that what changes meanwhile is seen as a change by the next one.
  const mark = await watch.env.inventory.vmsMark(host.id);
  const well = memory.comparedWell;
  // A finding follows from the record, the list and the config: with none of them changed it is what it was.
  if (quiet && well?.mark === mark && look.begunMs - well.atMs < compareWholeEveryMs) return;
  memory.comparedWell = undefined;
  const vms = await watch.env.inventory.vms({ hostId: host.id });
  const due: Due[] = [];
  for (const vm of vms) {
    const seen = list.vms.find((v) => v.vmId === vm.vmId);
    const finding = vmFinding(vm, seen, policyOf(watch, vm));
    const suspicion = suspect(memory, vm, finding, look.begunMs);
    if (suspicion !== undefined && suspicion.looks >= looksMin) due.push({ vm, seen, suspicion });
  }
  for (const id of [...memory.suspicions.keys()])
    if (!vms.some((v) => v.vmId === id)) memory.suspicions.delete(id);
  await takeBackReports(watch, host, list, vms);
  await actOn(watch, host, record, list, look.begunMs, due);
  if (memory.suspicions.size === 0) memory.comparedWell = { mark, atMs: look.begunMs };
}

interface Due {
  readonly vm: VmRecord;
  readonly seen: ObservedVm | undefined;
  readonly suspicion: Suspicion;
}

function policyOf(watch: WatchedCluster, vm: VmRecord) {
  const { vms, policy } = watch.cluster;
  const own: VmPolicy | undefined = vms[vm.name] ?? vms[vm.vmId];
  return own?.guestShutdown ?? policy.watch.guestShutdown;
}

/** Undefined when nothing is wrong with it. */
function suspect(memory: HostMemory, vm: VmRecord, finding: VmFinding, nowMs: number): Suspicion | undefined {
  if (finding === 'well' || finding === 'left-alone') {
    memory.suspicions.delete(vm.vmId);
    return undefined;
  }
  const known = memory.suspicions.get(vm.vmId);
  const suspicion = known?.finding === finding ? known : { finding, sinceMs: nowMs, looks: 0, askAtMs: 0 };
  suspicion.looks += 1;
  memory.suspicions.set(vm.vmId, suspicion);
  return suspicion;
}

/** Reports about VMs that are missing no longer, or that are not shut down any more, are over. */
async function takeBackReports(
  watch: WatchedCluster,
  host: Host,
  list: HostVmList,
  vms: readonly VmRecord[],
): Promise<void> {
  const { suspicions } = watch.memory(host.id);
  const runs = (vm: VmRecord): boolean => list.vms.some((v) => v.vmId === vm.vmId && v.state === 'running');
  const stands = new Set([
    ...vms
      .filter((vm) => suspicions.get(vm.vmId)?.finding === 'missing')
      .flatMap((vm) => [observedVm(vm), leftAloneKey(vm)]),
    ...vms.filter((vm) => vm.desired === 'stopped' && !runs(vm)).map(shutDownKey),
  ]);
  const alerted = await watch.alerted(host.id);
  for (const key of [...alerted].filter((k) => vmReports.some((prefix) => k.startsWith(prefix))))
    if (!stands.has(key)) await clearTold(watch.env, alerted, key);
}

async function actOn(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
  begunMs: number,
  due: readonly Due[],
): Promise<void> {
  const goingDown = due.filter((d) => d.suspicion.finding === 'shut-down').length;
  const patience = shutDownGraces * (goingDown > 1 ? severalAtOnce : 1);
  const shutDownMs = watch.cluster.policy.watch.vmGraceMs * patience;
  for (const { vm, suspicion } of due) {
    if (suspicion.finding === 'started' && !(await isStopping(watch, vm))) await want(watch, vm, 'running');
    if (suspicion.finding === 'shut-down' && begunMs - suspicion.sinceMs >= shutDownMs)
      await leaveStopped(watch, host, vm);
  }
  const missing = due.filter((d) => d.suspicion.finding === 'missing');
  if (missing.length > 0) await actOnMissing(watch, host, record, list, begunMs, missing);
}

async function actOnMissing(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
  begunMs: number,
  missing: readonly Due[],
): Promise<void> {
  const left = (why: string): Left[] => missing.map((one) => ({ ...one, why }));
  if (watch.cluster.policy.watch.missingVms === 'leave') {
    for (const one of missing) await noteMissing(watch, one);
    return tellLeftAlone(watch, host, left('its cluster leaves missing VMs to others (missingVms: leave)'));
  }
  // A reboot takes all of them at once, and is one incident of the host's.
  const rebooted = await hasRebooted(watch, host, record, list);
  const open = await watch.env.inventory.incidents({ open: true, clusterId: watch.cluster.id });
  if (open.some((i) => i.target.kind === 'host' && i.target.hostId === host.id))
    return tellLeftAlone(watch, host, []);
  const notBegun = `the recovery of ${host.id}, which has rebooted, did not begin yet or was stopped`;
  if (rebooted) return tellLeftAlone(watch, host, left(notBegun));
  const leftAlone: Left[] = [];
  for (const one of missing) {
    const isOpen = open.some((i) => i.target.kind === 'vm' && i.target.vmId === one.vm.vmId);
    const why = await takeUp(watch, host, { ...one, isOpen }, begunMs);
    if (why === undefined) one.suspicion.leftSinceMs = undefined;
    else leftAlone.push({ ...one, why });
  }
  await tellLeftAlone(watch, host, leftAlone);
}

async function hasRebooted(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
): Promise<boolean> {
  if (record.standing !== 'in-service') return false;
  const answer = await watch.env.hostCommands.bootId(host.id, signal());
  if (answer.says !== 'answers' || bootByIds(record.bootId, answer.bootId) !== 'new') return false;
  await whenRebooted(watch, host, record, list, answer.bootId);
  return true;
}

/** @returns why nothing is done about it now; undefined when an incident of it is open. */
async function takeUp(
  watch: WatchedCluster,
  host: Host,
  due: Due & { readonly isOpen: boolean },
  begunMs: number,
): Promise<string | undefined> {
  const { suspicion } = due;
  const wasAsked = Date.now() < suspicion.askAtMs;
  if (wasAsked && due.isOpen) return undefined;
  const vm = await noteMissing(watch, due);
  const before = await watch.env.inventory.incidents({ vmId: vm.vmId, limit: incidentsRead });
  const ended =
    before[0] === undefined ? 'nothing began' : `${before[0].incidentId} ended: ${before[0].summary}`;
  // Brought back and gone again, no look having seen it in between: that is news, and not what was asked for.
  if (wasAsked && before[0]?.outcome !== 'recovered')
    return `its restart was asked for lately, and ${ended}. It is asked for again by itself`;
  if (!mayTakeUp(before, vm.observed.at, begunMs, Date.now())) return ended;
  // With no room for it the next one would come to nothing as well: it is waited for, and the budget is not spent on it.
  if (before[0]?.outcome === 'partially-recovered' && !(await placesFor(watch, [vm])).has(vm.vmId))
    return `no host has room for it; ${ended}`;
  const how = due.seen === undefined ? 'is not on its list' : `is ${due.seen.state} (${due.seen.reason})`;
  suspicion.askAtMs = await askForVm(watch, vm, `${vm.name} is to run on ${host.id}, and ${how}`);
  return due.isOpen ? undefined : 'its restart was asked for just now';
}

/** Asked to shut down by a person, and not down yet. */
const isStopping = async ({ env }: WatchedCluster, vm: VmRecord): Promise<boolean> =>
  (await env.inventory.alerts({ open: true })).some((a) => a.key === stoppingAlert(vm));

/** The record says what is seen; of a VM that no list shows nobody else writes it. */
async function noteMissing(watch: WatchedCluster, { vm, seen }: Due): Promise<VmRecord> {
  if (seen !== undefined || vm.observed.state === 'missing') return vm;
  const observed = { state: 'missing', reason: `not on the list of ${vm.hostId}`, at: nowIso() } as const;
  return (await change(watch, vm, { observed })) ?? vm;
}

async function leaveStopped(watch: WatchedCluster, host: Host, vm: VmRecord): Promise<void> {
  if ((await change(watch, vm, { desired: 'stopped' })) === undefined) return;
  (await watch.alerted(host.id)).add(shutDownKey(vm));
  await raise(watch.env, undefined, {
    key: shutDownKey(vm),
    severity: 'info',
    sentence: `${vm.name} was shut down in order on ${host.id}, by its guest or by a person: it stays down, as its policy says`,
    nextCommand: `vmedic vm restart ${vm.name} --reason "..."`,
  });
}

async function want(watch: WatchedCluster, vm: VmRecord, desired: VmRecord['desired']): Promise<void> {
  await change(watch, vm, { desired });
}

/** Undefined when somebody else changed the record meanwhile: the next round sees both. */
async function change(
  watch: WatchedCluster,
  vm: VmRecord,
  to: Partial<Pick<VmRecord, 'desired' | 'observed'>>,
): Promise<VmRecord | undefined> {
  try {
    return await watch.env.inventory.updateVm(vm.vmId, vm.version, to);
  } catch (error) {
    if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    return undefined;
  }
}
