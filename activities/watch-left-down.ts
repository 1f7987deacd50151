/**
 * VMs that a recovery could not bring back, because no host had room for them or their storage was not ready: taken up again once there is a place.
 * Their host is off and stays silent, so nobody would miss them there.
 *
 * INVARIANT: what a person has stopped, or must decide, is not taken up here. Whether a VM may be started is decided by its run, as always.
 */
import type { Fault } from '../domain/faults';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { millisOf } from '../domain/observations';
import { placement } from '../domain/placement';
import type { IncidentRecord, TimelineEntry, VmRecord } from '../domain/records';
import type { VmResult } from '../domain/recovery-state';
import { mayTakeUp } from '../domain/watch-rules';
import { clear } from './incident';
import { candidates, wanted } from './plan';
import { askForVm } from './watch-orders';
import type { WatchedCluster } from './watched-cluster';

const incidentsRead = 10;

/** What this watch remembers of it; lost with the worker, it is read and found again. */
export interface LeftDownMemory {
  /** By incident: the VMs that it could not bring back, and whose cause may pass. */
  readonly left: Map<IncidentId, readonly VmId[]>;
  readonly askAtMs: Map<VmId, number>;
}

export async function retryLeftDown(watch: WatchedCluster, memory: LeftDownMemory): Promise<void> {
  const { env, cluster } = watch;
  await endOfThoseThatRun(watch);
  const hosts = await env.inventory.hosts({ clusterId: cluster.id });
  const away = hosts.filter((h) => h.standing === 'fenced' || h.standing === 'quarantined');
  if (away.length === 0) return memory.left.clear();
  const open = await env.inventory.incidents({ open: true, clusterId: cluster.id });
  // A host's recovery places its own VMs now: what it leaves free is known when it is over.
  if (open.some((i) => i.target.kind === 'host')) return;
  const down = (await Promise.all(away.map((h) => leftBy(watch, memory, h.hostId)))).flat();
  if (down.length === 0 || (await watch.mode()).mode === 'observe') return;
  const begunMs = Date.now();
  const places = await placesFor(watch, down);
  for (const vm of down) {
    const target = places.get(vm.vmId);
    if (target === undefined || Date.now() < (memory.askAtMs.get(vm.vmId) ?? 0)) continue;
    if (open.some((i) => i.target.kind === 'vm' && i.target.vmId === vm.vmId)) continue;
    const before = await env.inventory.incidents({ vmId: vm.vmId, limit: incidentsRead });
    if (!mayTakeUp(before, vm.observed.at, begunMs, Date.now())) continue;
    const reason = `${vm.name} was left down when ${vm.hostId} failed, and ${target} can take it now`;
    memory.askAtMs.set(vm.vmId, await askForVm(watch, vm, reason));
  }
}

/** Where each would go now; those for which there is no room are left out. */
export async function placesFor(
  { env, cluster }: WatchedCluster,
  vms: readonly VmRecord[],
): Promise<Map<VmId, HostId>> {
  const hosts = await candidates(
    env,
    cluster,
    [],
    vms.map((v) => v.vmId),
  );
  const placed = placement(
    vms.map((vm) => wanted(vm, [])),
    hosts,
  );
  return new Map(
    placed.flatMap(({ target }, i) => {
      const vm = vms[i];
      return target === undefined || vm === undefined ? [] : [[vm.vmId, target] as const];
    }),
  );
}

async function leftBy(watch: WatchedCluster, memory: LeftDownMemory, host: HostId): Promise<VmRecord[]> {
  const { inventory } = watch.env;
  const incidents = await inventory.incidents({ hostId: host, limit: incidentsRead });
  for (const incident of incidents) {
    const left =
      memory.left.get(incident.incidentId) ?? leftIn(incident, await inventory.timeline(incident.incidentId));
    if (left === 'not-a-recovery') continue;
    memory.left.set(incident.incidentId, left);
    if (left.length === 0) return [];
    const vms = await inventory.vms({ ids: left });
    return vms.filter((v) => v.hostId === host && v.protected && v.desired === 'running');
  }
  return [];
}

/** By the incident's own report. A readmission that was refused says nothing about VMs, and is no reason to forget them. */
function leftIn(
  incident: IncidentRecord,
  timeline: readonly TimelineEntry[],
): readonly VmId[] | 'not-a-recovery' {
  const closing = timeline.filter((e) => e.kind === 'phase').at(-1);
  const vms = closing?.facts['vms'] as readonly VmResult[] | undefined;
  if (incident.outcome === 'partially-recovered' && vms !== undefined)
    return vms.filter((v) => mayPass(v.phase, v.fault)).map((v) => v.vmId);
  const saysNothing = closing === undefined || Object.keys(closing.facts).length === 0;
  return incident.outcome === 'aborted' && saysNothing ? 'not-a-recovery' : [];
}

const mayPass = (phase: VmResult['phase'], fault: Fault | undefined): boolean =>
  phase === 'no-capacity' || (phase === 'blocked' && fault?.class === 'transient');

const vmAlert = /^vm:(.+)$/;

/** A VM that is told to be down, and runs again since: whoever brought it back. */
async function endOfThoseThatRun({ env }: WatchedCluster): Promise<void> {
  const alerts = (await env.inventory.alerts({ open: true })).filter((a) => vmAlert.test(a.key));
  if (alerts.length === 0) return;
  const vms = await env.inventory.vms({ ids: alerts.map((a) => vmAlert.exec(a.key)?.[1] as VmId) });
  for (const { key, raisedAt } of alerts) {
    const vm = vms.find((v) => key === `vm:${v.vmId}`);
    if (vm?.observed.state !== 'running') continue;
    if (millisOf(vm.observed.at) > millisOf(raisedAt)) await clear(env, key);
  }
}
