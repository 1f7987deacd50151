/** Of whom an alert tells: the second part of each key is the id of a host, a VM or a cluster. */
import type { AlertSubject, InventoryPort } from '../activities/ports';
import { clusterOf, type Fleet, findHost } from '../domain/fleet';
import { hostId, isId, vmId } from '../domain/ids';
import { millisOf, type Timestamp } from '../domain/observations';
import type { AlertRecord, IncidentRecord } from '../domain/records';

type Rows = Pick<InventoryPort, 'host' | 'vm'>;

/** Undefined where the key names nobody that is known (any more). */
export async function subjectOf(
  fleet: Fleet,
  rows: Rows,
  alert: Pick<AlertRecord, 'key' | 'raisedAt'>,
  incident: Pick<IncidentRecord, 'openedAt'> | undefined,
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
    return { clusterId: ofHost.id, hostId: host.id, since: earlier(seenAt, noticedAt) };
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

/** What was seen after it was noticed tells nothing of when it began. */
const earlier = (seen: Timestamp | undefined, noticed: Timestamp): Timestamp =>
  seen !== undefined && millisOf(seen) < millisOf(noticed) ? seen : noticed;
