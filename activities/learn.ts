/** What one living host's complete list and definitions say together, stored: nothing of it can be had once the host is dead. */
import { type Cluster, defaultPriority, type Host, type VmPolicy } from '../domain/fleet';
import type { HostVmList, ObservedVm } from '../domain/observations';
import { type Environment, signal } from './environment';
import { judgeStrays, tellStrays } from './stray-vms';
import type { DiscoveredVm, ReadDefinition } from './ports';
import { withVolumeIdentities } from './volume-identity';

export interface Learnt {
  readonly added: number;
  /** False while it is not known yet where a VM belongs that this host runs and the record puts elsewhere. */
  readonly settled: boolean;
}

/**
 * Undefined when a VM of the list had no definition: it came or went between the two reads, and leaving it out would look as if its definition
 * were gone. The next round sees it whole.
 */
export async function learn(
  env: Environment,
  cluster: Cluster,
  host: Host,
  list: HostVmList,
): Promise<Learnt | undefined> {
  const definitions = await env.hypervisor.definitions(host.id, undefined, signal());
  const found = list.vms.flatMap((seen) => discovered(cluster, host, seen, definitions, list.observedAt));
  if (found.length < list.vms.length) return undefined;
  const vms = await withVolumeIdentities(env, host.id, found);
  const strays = await judgeStrays(env, host, list);
  const adopt = strays.follow.map((s) => s.vm.vmId);
  const { added } = await env.inventory.recordDiscovery(host.id, list.observedAt, vms, adopt);
  await tellStrays(env, host, strays);
  return { added: added.length, settled: strays.settled };
}

function discovered(
  cluster: Cluster,
  host: Host,
  seen: ObservedVm,
  definitions: readonly ReadDefinition[],
  at: string,
): DiscoveredVm[] {
  const read = definitions.find((d) => d.vmId === seen.vmId);
  if (read === undefined) return [];
  const policy: VmPolicy = cluster.vms[seen.name] ?? cluster.vms[seen.vmId] ?? {};
  return [
    {
      definitionText: read.text,
      vm: {
        vmId: seen.vmId,
        name: seen.name,
        clusterId: cluster.id,
        hostId: host.id,
        observed: { state: seen.state, reason: seen.reason, at },
        protected: policy.protect ?? true,
        persistent: seen.persistent,
        priority: policy.priority ?? defaultPriority,
        antiAffinity: policy.antiAffinity,
        shape: read.shape,
      },
    },
  ];
}
