/** Which VM goes where: reads the inventory and the living hosts, decides by the pure `placement`. */
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { candidate, type Candidate, placement, type Wanted } from '../domain/placement';
import type { Cluster } from '../domain/fleet';
import type { VmRecord } from '../domain/records';
import { declaredCluster, type Environment, tell } from './environment';
import { rosterOf } from './incident';
import { answersFor, lookForVms } from './where-vms-are';

export interface Plan {
  readonly vms: readonly {
    readonly vmId: VmId;
    readonly name: string;
    readonly priority: number;
    readonly target: HostId | undefined;
    readonly why: string | undefined;
  }[];
}

export const planActivities = (env: Environment) => ({
  /** For the VMs of a failed host: in order of priority, then name, so that the plan is the same however often it is made. */
  async planRestarts(input: {
    hostId: HostId;
    incidentId: IncidentId;
    vmIds: readonly VmId[];
    /** The host itself is the target: it rebooted by itself and its VMs come back on it. */
    onItself: boolean;
    mode: 'act' | 'rehearse';
  }): Promise<Plan> {
    // Read anew: between the incident's beginning and the proof that the host is off, hours may lie in which it took further VMs.
    const here = (await rosterOf(env, input.hostId)).map((v) => v.vmId);
    const all = await env.inventory.vms({ ids: [...new Set([...input.vmIds, ...here])] });
    // What a person has stopped since the incident began stays down.
    const vms = all
      .filter((vm) => vm.desired === 'running')
      .sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
    const named = (vm: VmRecord, target: HostId | undefined, why?: string) => ({
      vmId: vm.vmId,
      name: vm.name,
      priority: vm.priority,
      target,
      why,
    });
    if (input.onItself) {
      await lookForVms(env, declaredCluster(env, input.hostId).id, input.vmIds);
      const vmsHere = vms.map((vm) => named(vm, input.hostId));
      const sentence =
        vmsHere.length === 0
          ? `${input.hostId} has been switched on anew, and no VM is to run on it`
          : `${input.hostId} has rebooted by itself: its ${vmsHere.length} VMs start on it again`;
      if (input.mode === 'act') await tellPlan(env, input.incidentId, vmsHere, sentence);
      return { vms: vmsHere };
    }
    const cluster = declaredCluster(env, input.hostId);
    const hosts = await candidates(
      env,
      cluster,
      [input.hostId],
      vms.map((v) => v.vmId),
    );
    const placed = placement(
      vms.map((vm) => wanted(vm, [])),
      hosts,
    );
    const plan = vms.map((vm, i) => {
      const p = placed[i];
      return named(vm, p?.target, p?.target === undefined ? p?.why : undefined);
    });
    if (input.mode === 'act')
      await tellPlan(env, input.incidentId, plan, `${plan.length} VMs to start elsewhere`);
    return { vms: plan };
  },
});

async function tellPlan(
  env: Environment,
  incident: IncidentId,
  plan: Plan['vms'],
  sentence: string,
): Promise<void> {
  const summary = `restarting ${plan.length} VMs`;
  await env.inventory.updateIncident(incident, { phase: 'restarting', summary, nextCommand: undefined });
  await tell(env, incident, 'plan', 'decision', sentence, { plan });
}

export function wanted(vm: VmRecord, avoid: readonly HostId[]): Wanted {
  return {
    vmId: vm.vmId,
    memoryMiB: vm.shape.memoryMiB,
    vcpus: vm.shape.vcpus,
    pools: [...new Set(vm.shape.disks.flatMap((d) => (d.poolId === undefined ? [] : [d.poolId])))],
    networks: vm.shape.networks,
    antiAffinity: vm.antiAffinity,
    avoid,
  };
}

/** Hosts that take VMs and answer now, with what is free on each by the record and the reservations. */
export async function candidates(
  env: Environment,
  cluster: Cluster,
  except: readonly HostId[],
  moving: readonly VmId[],
): Promise<Candidate[]> {
  const [records, vms, reservations] = await Promise.all([
    env.inventory.hosts({ clusterId: cluster.id }),
    env.inventory.vms({ clusterId: cluster.id }),
    env.inventory.reservations(),
  ]);
  const standing = new Map(records.map((r) => [r.hostId, r.standing]));
  const able = cluster.hosts.filter((h) => standing.get(h.id) === 'in-service' && !except.includes(h.id));
  const answering = await Promise.all(
    able.map(async (h) => ({ h, answers: await answersFor(env, h.id, moving) })),
  );
  return answering
    .filter((a) => a.answers)
    .map(({ h }) => {
      const here = vms.filter(
        (v) => v.hostId === h.id && v.desired === 'running' && !moving.includes(v.vmId),
      );
      const kept = reservations.filter((r) => r.hostId === h.id && !here.some((v) => v.vmId === r.vmId));
      const reserved = kept.map((r) => ({
        ...{ memoryMiB: r.memoryMiB, vcpus: r.vcpus },
        antiAffinity: vms.find((v) => v.vmId === r.vmId)?.antiAffinity,
      }));
      const running = here.map((v) => ({ ...v.shape, antiAffinity: v.antiAffinity }));
      return candidate(h, cluster.policy.headroomPercent, [...running, ...reserved]);
    });
}
