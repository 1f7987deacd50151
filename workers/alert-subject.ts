/** Of whom an alert tells: the second part of each key is the id of a host, a VM or a cluster. */
import type { AlertSubject, InventoryPort } from '../activities/ports';
import { clusterOf, type Fleet, findHost } from '../domain/fleet';
import { hostId, isId, vmId } from '../domain/ids';
import { millisOf, type Timestamp } from '../domain/observations';
import type { AlertRecord, IncidentRecord, TimelineEntry } from '../domain/records';
import type { VmResult } from '../domain/recovery-state';

type Rows = Pick<InventoryPort, 'host' | 'vm' | 'timeline'>;

/** Undefined where the key names nobody that is known (any more). */
export async function subjectOf(
  fleet: Fleet,
  rows: Rows,
  alert: Pick<AlertRecord, 'key' | 'raisedAt'>,
  incident: Pick<IncidentRecord, 'incidentId' | 'openedAt' | 'closedAt' | 'target'> | undefined,
): Promise<AlertSubject | undefined> {
  const id = alert.key.split(':')[1] ?? '';
  const noticedAt = incident?.openedAt ?? alert.raisedAt;
  const cluster = fleet.clusters.find((c) => c.id === id);
  if (cluster !== undefined) return { clusterId: cluster.id, since: noticedAt };
  if (!isId(id)) return undefined;
  const host = findHost(fleet, hostId(id));
  const ofHost = host === undefined ? undefined : clusterOf(fleet, host.id);
  if (host !== undefined && ofHost !== undefined) {
    const seenAt = (await rows.host(host.id))?.lastSeenAt;
    const over = incident?.target.kind === 'host' && incident.closedAt !== undefined;
    const wentTo = over ? endsOf(await rows.timeline(incident.incidentId)) : [];
    return {
      ...{ clusterId: ofHost.id, hostId: host.id, since: earlier(seenAt, noticedAt) },
      ...(wentTo.length > 0 && { wentTo }),
    };
  }
  const vm = await rows.vm(vmId(id));
  if (vm === undefined) return undefined;
  const downAt = vm.observed.state === 'running' ? undefined : vm.observed.at;
  return {
    clusterId: vm.clusterId,
    vm: { vmId: vm.vmId, name: vm.name, hostId: vm.hostId },
    since: earlier(downAt, noticedAt),
  };
}

/** How an incident closed names each of its VMs; those that run are counted by host. */
function endsOf(timeline: readonly TimelineEntry[]): { hostId: string; vms: number }[] {
  const vms = timeline.findLast((entry) => Array.isArray(entry.facts['vms']))?.facts['vms'] ?? [];
  const counts = new Map<string, number>();
  for (const { phase, target: at } of vms as readonly Partial<VmResult>[])
    if (at !== undefined && (phase === 'running' || phase === 'guest-degraded'))
      counts.set(at, (counts.get(at) ?? 0) + 1);
  return [...counts].sort().map(([at, count]) => ({ hostId: at, vms: count }));
}

/** What was seen after it was noticed tells nothing of when it began. */
const earlier = (seen: Timestamp | undefined, noticed: Timestamp): Timestamp =>
  seen !== undefined && millisOf(seen) < millisOf(noticed) ? seen : noticed;
