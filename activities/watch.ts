/**
 * What is learnt while hosts live, because a dead host has nothing to give: their VMs, the definitions, the boot id. Level-triggered: each
 * round compares everything anew, so that losing one changes only the time.
 */
import { Context } from '@temporalio/activity';
import type { Cluster, Host } from '../domain/fleet';
import type { ClusterId, HostId } from '../domain/ids';
import { millisOf } from '../domain/observations';
import type { HostRecord } from '../domain/records';
import { faultOf } from './fault-boundary';
import { setStanding } from './fence';
import { clusterById, type Environment, nowIso, pause, signal } from './environment';
import { learn } from './learn';

export interface HostRound {
  readonly hostId: HostId;
  readonly answered: boolean;
  readonly vms: number;
  readonly added: number;
}

/** Definitions are read when the set of VMs changes, and this often besides: edits by hand must not stay unseen. */
const definitionsEveryMs = 60_000;
/** A quiet host's "last seen" is written no more often than this. */
const seenEveryMs = 10_000;

interface HostMemory {
  known: string;
  definitionsReadMs: number;
}

export const watchActivities = (env: Environment) => {
  const memories = new Map<HostId, HostMemory>();
  return {
    /** One complete round over a cluster, for whoever must not wait for the watch (set-up, tests, the demo). */
    async discoverCluster(input: { clusterId: ClusterId }): Promise<HostRound[]> {
      const cluster = clusterById(env, input.clusterId);
      await env.inventory.ensureHosts(cluster.hosts.map((h) => ({ hostId: h.id, clusterId: cluster.id })));
      return Promise.all(cluster.hosts.map((h) => round(env, cluster, h, new Map())));
    },

    /** Watches until cancelled. Hosts are looked at side by side: a hung one never delays another. */
    async watchCluster(input: { clusterId: ClusterId; everyMs: number }): Promise<void> {
      const cluster = clusterById(env, input.clusterId);
      await env.inventory.ensureHosts(cluster.hosts.map((h) => ({ hostId: h.id, clusterId: cluster.id })));
      const watchHost = async (host: Host): Promise<never> => {
        for (;;) {
          try {
            await round(env, cluster, host, memories);
          } catch (error) {
            const known = faultOf(error);
            if (known === undefined || Context.current().cancellationSignal.aborted) throw error;
            Context.current().log.warn(known.sentence, { host: host.id });
          }
          await pause(input.everyMs);
        }
      };
      await Promise.all(cluster.hosts.map(watchHost));
    },
  };
};

async function round(
  env: Environment,
  cluster: Cluster,
  host: Host,
  memories: Map<HostId, HostMemory>,
): Promise<HostRound> {
  const record = await env.inventory.host(host.id);
  const begunMs = Date.now();
  const list = await listOrSilence(env, host);
  if (record === undefined || list === undefined)
    return { hostId: host.id, answered: false, vms: 0, added: 0 };
  if (record.standing === 'fenced') await noteReturn(env, record, begunMs);
  const memory = memories.get(host.id) ?? { known: '', definitionsReadMs: 0 };
  const known = list.vms
    .map((v) => `${v.vmId} ${v.state}`)
    .sort()
    .join(',');
  const readDefinitions = known !== memory.known || begunMs - memory.definitionsReadMs > definitionsEveryMs;
  let added = 0;
  if (readDefinitions) {
    const learnt = await learn(env, cluster, host, list);
    if (learnt === undefined) return { hostId: host.id, answered: true, vms: list.vms.length, added };
    added = learnt.added;
    // What is not decided yet is looked at again in the next round, as if nothing had been known.
    memories.set(host.id, { known: learnt.settled ? known : '', definitionsReadMs: begunMs });
  }
  if (record.standing === 'in-service') await noteSeen(env, host, record);
  return { hostId: host.id, answered: true, vms: list.vms.length, added };
}

async function listOrSilence(env: Environment, host: Host) {
  try {
    return await env.hypervisor.list(host.id, signal());
  } catch (error) {
    // Silence is the judgement's matter, not this one's: nothing is learnt from it here.
    if (faultOf(error) === undefined) throw error;
    return undefined;
  }
}

async function noteSeen(env: Environment, host: Host, record: HostRecord): Promise<void> {
  const fresh = record.lastSeenAt !== undefined && Date.now() - millisOf(record.lastSeenAt) < seenEveryMs;
  if (fresh && record.bootId !== undefined) return;
  const answer = await env.hostCommands.bootId(host.id, signal());
  // A boot id seen before is kept: only an incident may accept a new one, else a host that rebooted by itself would look well.
  const bootId = record.bootId ?? (answer.says === 'answers' ? answer.bootId : undefined);
  try {
    await env.inventory.updateHost(host.id, record.version, { bootId, lastSeenAt: nowIso() });
  } catch (error) {
    // Somebody changed the host's row meanwhile; the next round sees both.
    if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
  }
}

/** A fenced host answers: whatever proved it off is void, and it takes no VM until it is readmitted. */
async function noteReturn(env: Environment, record: HostRecord, listBegunMs: number): Promise<void> {
  const evidence = await env.inventory.evidenceFor(record.hostId);
  if (evidence !== undefined && millisOf(evidence.observedAt) >= listBegunMs) return;
  // As of the list's beginning: a fence may prove the host off again while this is written, and that proof is about a later moment.
  await env.inventory.lapseEvidence(record.hostId, new Date(listBegunMs).toISOString());
  await setStanding(env, record.hostId, 'quarantined', ['fenced']);
}
