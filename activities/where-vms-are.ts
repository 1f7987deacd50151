/**
 * Where VMs are seen by asking every host in service. A VM that somebody moved since the last round of the watch runs where neither its record
 * nor a sighting says; not looked for, it would be started a second time.
 */
import type { ClusterId, HostId, VmId } from '../domain/ids';
import { clusterById, type Environment } from './environment';
import { faultOf } from './fault-boundary';

/** Whether the host answers. Which of the VMs it knows is written down at once: from then on it is accounted for before one of them starts. */
export async function answersFor(env: Environment, host: HostId, vms: readonly VmId[]): Promise<boolean> {
  try {
    const list = await env.lists.read(host);
    for (const { vmId } of list.vms.filter((v) => vms.includes(v.vmId)))
      await env.inventory.recordSighting(vmId, host, list.observedAt);
    return true;
  } catch (error) {
    // A host that does not answer takes no VM; why it does not is another incident's matter.
    if (faultOf(error) === undefined) throw error;
    return false;
  }
}

export async function lookForVms(env: Environment, cluster: ClusterId, vms: readonly VmId[]): Promise<void> {
  const declared = new Set(clusterById(env, cluster).hosts.map((h) => h.id));
  const hosts = (await env.inventory.hosts({ clusterId: cluster })).filter(
    (h) => h.standing === 'in-service' && declared.has(h.hostId),
  );
  await Promise.all(hosts.map((h) => answersFor(env, h.hostId, vms)));
}
