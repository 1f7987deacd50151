/**
 * Where each VM goes. Deterministic: the same facts give the same plan, so that a second run, a rehearsal and a test agree.
 * The emptiest host by free memory first (which also spreads the load of starting), ties broken by host id.
 */
import type { Capacity, Host } from './fleet';
import type { HostId, PoolId, VmId } from './ids';

export interface Candidate {
  readonly hostId: HostId;
  readonly free: Capacity;
  readonly pools: readonly PoolId[];
  readonly networks: readonly string[];
  /** Anti-affinity groups of the VMs that run, or are reserved, there. */
  readonly groups: readonly string[];
}

export interface Wanted extends Capacity {
  readonly vmId: VmId;
  readonly pools: readonly PoolId[];
  readonly networks: readonly string[];
  readonly antiAffinity: string | undefined;
  /** Hosts that must not be used, for instance because a start there was refused. */
  readonly avoid?: readonly HostId[];
}

export type Placed =
  | { readonly vmId: VmId; readonly target: HostId }
  | { readonly vmId: VmId; readonly target: undefined; readonly why: string };

/** A host as a candidate: what it has, less the headroom, less what runs or is reserved there. */
export function candidate(
  host: Host,
  headroomPercent: number,
  taken: readonly (Capacity & { readonly antiAffinity: string | undefined })[],
): Candidate {
  const share = 1 - headroomPercent / 100;
  const free = (what: keyof Capacity): number =>
    Math.floor(host.capacity[what] * share) - taken.reduce((n, t) => n + t[what], 0);
  return {
    hostId: host.id,
    pools: host.pools,
    networks: host.networks,
    groups: taken.flatMap((t) => (t.antiAffinity === undefined ? [] : [t.antiAffinity])),
    free: { memoryMiB: free('memoryMiB'), vcpus: free('vcpus') },
  };
}

function obstacle(vm: Wanted, host: Candidate): string | undefined {
  if (vm.avoid?.includes(host.hostId) === true) return 'was already tried';
  const pool = vm.pools.find((p) => !host.pools.includes(p));
  if (pool !== undefined) return `has no pool ${pool}`;
  const network = vm.networks.find((n) => !host.networks.includes(n));
  if (network !== undefined) return `has no network ${network}`;
  if (vm.antiAffinity !== undefined && host.groups.includes(vm.antiAffinity))
    return `already holds a VM of anti-affinity group ${vm.antiAffinity}`;
  if (host.free.memoryMiB < vm.memoryMiB)
    return `has ${host.free.memoryMiB} MiB free of the ${vm.memoryMiB} MiB needed`;
  if (host.free.vcpus < vm.vcpus) return `has ${host.free.vcpus} vCPU free of the ${vm.vcpus} needed`;
  return undefined;
}

/** Places VMs in the order given (callers sort by priority); each placement lowers what the next one finds free. */
export function placement(vms: readonly Wanted[], hosts: readonly Candidate[]): Placed[] {
  const state = hosts
    .map((h) => ({ ...h, free: { ...h.free }, groups: [...h.groups] }))
    .sort((a, b) => (a.hostId < b.hostId ? -1 : 1));
  return vms.map((vm): Placed => {
    const fits = state
      .filter((h) => obstacle(vm, h) === undefined)
      .sort((a, b) => b.free.memoryMiB - a.free.memoryMiB);
    const best = fits[0];
    if (best === undefined) {
      const why = state.map((h) => `${h.hostId} ${obstacle(vm, h) ?? ''}`).join('; ');
      return { vmId: vm.vmId, target: undefined, why: why === '' ? 'no host is in service' : why };
    }
    best.free.memoryMiB -= vm.memoryMiB;
    best.free.vcpus -= vm.vcpus;
    if (vm.antiAffinity !== undefined) best.groups.push(vm.antiAffinity);
    return { vmId: vm.vmId, target: best.hostId };
  });
}

/** Hosts in trouble that a cluster survives without a person's yes: max(hosts, percent of the cluster, rounded down). */
export function blastRadius(allowed: { hosts: number; percent: number }, clusterSize: number): number {
  return Math.max(allowed.hosts, Math.floor((clusterSize * allowed.percent) / 100));
}

/** Priority waves: 1 first. Within a wave the order is the one given. */
export function waves<T extends { readonly priority: number }>(vms: readonly T[]): T[][] {
  const levels = [...new Set(vms.map((v) => v.priority))].sort((a, b) => a - b);
  return levels.map((level) => vms.filter((v) => v.priority === level));
}
