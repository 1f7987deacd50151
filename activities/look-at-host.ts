/** Is it alive, and how many are in trouble? Reads only. */
import { type Boot, bootByList } from '../domain/judge-boot';
import { blastRadius } from '../domain/placement';
import type { Host } from '../domain/fleet';
import type { ClusterId, HostId, IncidentId, VmId } from '../domain/ids';
import { type HostVerdict, judgeHost, powerReadsOff } from '../domain/judge-host';
import type { HostSign } from '../domain/observations';
import { unaskedBy } from '../domain/unasked';
import { faultOf, rootFaultOf } from './fault-boundary';
import {
  clusterById,
  declaredCluster,
  declaredHost,
  type Environment,
  nowIso,
  signal,
  tell,
} from './environment';
import { heartbeatSigns } from './storage-heartbeat';
import { askUntilKnown } from './ask-others';

/** A look must not wait for a dead BMC (20 s for IPMI): hypervisor and host commands are silent much sooner. */
const powerLookMs = 3_000;

export interface Look {
  readonly verdict: HostVerdict;
  readonly signs: readonly HostSign[];
  /** Whether the fence devices themselves, all of them, read "off": then one look is enough. */
  readonly readOff: boolean;
}

/** Asks every source at once; each source's silence is a sign of its own, never an error. */
export async function signsOf(env: Environment, host: Host, withPower: boolean): Promise<HostSign[]> {
  const asked: Promise<HostSign | undefined>[] = [hypervisorSign(env, host.id), commandsSign(env, host.id)];
  if (!withPower) return (await Promise.all(asked)).filter((s) => s !== undefined);
  asked.push(...host.fenceLevels.slice(0, 1).flatMap((l) => l.devices.map((d) => powerSign(env, host, d))));
  const others = othersInService(env, host);
  const more = await Promise.all([
    Promise.all(asked),
    others.then((ids) => neighbourSigns(env, host, ids)),
    others.then((ids) => heartbeatSigns(env, host, ids)),
  ]);
  return more.flat().filter((s) => s !== undefined);
}

/** Of its cluster, those in service first: one that was fenced or is in maintenance may be off, and then knows nothing. */
async function othersInService(env: Environment, host: Host): Promise<HostId[]> {
  const { id, hosts } = declaredCluster(env, host.id);
  const records = await env.inventory.hosts({ clusterId: id });
  const inService = new Set(records.filter((r) => r.standing === 'in-service').map((r) => r.hostId));
  const others = hosts.map((h) => h.id).filter((h) => h !== host.id);
  return [...others.filter((h) => inService.has(h)), ...others.filter((h) => !inService.has(h))];
}

/** Why the host cannot be asked at all. @throws what says nothing of that. */
function whyNotAsked(error: unknown, id: HostId): string {
  const cause = rootFaultOf(error);
  if (cause === undefined || unaskedBy(cause, id) === undefined) throw error;
  return cause.sentence;
}

async function hypervisorSign(env: Environment, id: HostId): Promise<HostSign> {
  try {
    return await env.hypervisor.probe(id, signal());
  } catch (error) {
    const detail = whyNotAsked(error, id);
    return { source: 'hypervisor', says: 'not-asked', detail, observedAt: nowIso() };
  }
}

async function commandsSign(env: Environment, id: HostId): Promise<HostSign | undefined> {
  let answer;
  try {
    answer = await env.hostCommands.bootId(id, signal());
  } catch (error) {
    whyNotAsked(error, id);
    return undefined;
  }
  const observedAt = nowIso();
  if (answer.says === 'answers')
    return { source: 'commands', says: 'answers', bootId: answer.bootId, observedAt };
  return { source: 'commands', says: answer.says, observedAt };
}

async function neighbourSigns(env: Environment, host: Host, others: readonly HostId[]): Promise<HostSign[]> {
  const { management } = host;
  if (management === undefined) return [];
  const to = { hostId: host.id, ...management };
  return askUntilKnown(others, async (via): Promise<HostSign> => {
    const answer = await env.hostCommands.reaches(via, to, signal());
    const says = answer === 'not-known' ? answer : answer === 'silent' ? 'does-not' : 'reaches-it';
    return { source: 'neighbour', via, says, observedAt: nowIso() };
  });
}

async function powerSign(
  env: Environment,
  host: Host,
  device: Host['fenceLevels'][number]['devices'][number],
): Promise<HostSign | undefined> {
  const sign = { source: 'power', deviceId: device.id, observedAt: nowIso() } as const;
  const health = await env.inventory.deviceHealth(device.id);
  if (health.loginRefusals > 0) return { ...sign, says: 'login-refused' };
  try {
    const reading = await env.fencing.status(
      host.id,
      device,
      AbortSignal.any([signal(), AbortSignal.timeout(powerLookMs)]),
    );
    return { ...sign, says: reading.power, observedAt: reading.observedAt };
  } catch (error) {
    // A silent device is a sign like any other; what is not a fault of the device goes up.
    const fault = faultOf(error);
    if (fault?.code === 'FENCE_LOGIN_REFUSED') {
      await env.inventory.noteDeviceAnswer(device.id, 'login-refused', nowIso());
      return { ...sign, says: 'login-refused' };
    }
    if (fault === undefined) throw error;
    return { ...sign, says: 'silent' };
  }
}

/** Asked twice before it counts as trouble: one that is busy with much else may miss the deadline of one question. */
async function answersNow(env: Environment, id: HostId): Promise<boolean> {
  return (await hypervisorSign(env, id)).says === 'answers';
}

export interface Admission {
  readonly inTrouble: readonly HostId[];
  readonly allowed: number;
}

export const lookActivities = (env: Environment) => ({
  async lookAtHost(input: { hostId: HostId; withPower: boolean }): Promise<Look> {
    const host = declaredHost(env, input.hostId);
    const signs = await signsOf(env, host, input.withPower);
    return {
      verdict: judgeHost(signs),
      signs,
      readOff: powerReadsOff(signs),
    };
  },

  /** Whether a host that was waited for can be reckoned with again. */
  async answersOrIsOff({ hostId }: { hostId: HostId }): Promise<boolean> {
    if ((await env.inventory.evidenceFor(hostId)) !== undefined) return true;
    try {
      await env.lists.read(hostId);
      return true;
    } catch (error) {
      if (faultOf(error) === undefined) throw error;
      return false;
    }
  },

  /** Of a host that answers, and whose boot ids do not tell: by its own complete list. `not-known` when that cannot be read now. */
  async judgeBoot(input: { hostId: HostId; roster: readonly VmId[] }): Promise<Boot | 'not-known'> {
    try {
      return bootByList(input.roster, await env.lists.read(input.hostId));
    } catch (error) {
      // It may have failed again since it answered: whoever asks looks at the host anew.
      if (faultOf(error) === undefined) throw error;
      return 'not-known';
    }
  },

  /**
   * Counts the hosts of the cluster that are in trouble now: those with an open incident and those that do not answer. A host fenced by
   * an incident that is over, or in maintenance, is no new trouble.
   */
  async countTrouble(input: {
    hostId: HostId;
    clusterId: ClusterId;
    incidentId: IncidentId;
    mode: 'act' | 'rehearse';
  }): Promise<Admission> {
    const cluster = clusterById(env, input.clusterId);
    const [open, records] = await Promise.all([
      env.inventory.incidents({ open: true, clusterId: input.clusterId }),
      env.inventory.hosts({ clusterId: input.clusterId }),
    ]);
    const withIncident = open.flatMap((i) => (i.target.kind === 'host' ? [i.target.hostId] : []));
    const expectedAway = records
      .filter((r) => r.standing === 'fenced' || r.standing === 'maintenance' || r.standing === 'quarantined')
      .map((r) => r.hostId);
    const toAsk = cluster.hosts.filter(
      (h) => h.id !== input.hostId && !withIncident.includes(h.id) && !expectedAway.includes(h.id),
    );
    const answers = await Promise.all(
      toAsk.map(async (h) => ({
        h,
        answers: (await answersNow(env, h.id)) || (await answersNow(env, h.id)),
      })),
    );
    const silent = answers.filter((a) => !a.answers).map((a) => a.h.id);
    const inTrouble = [...new Set([input.hostId, ...withIncident, ...silent])].sort();
    const allowed = blastRadius(cluster.policy.blastRadius, cluster.hosts.length);
    const held = inTrouble.length > allowed;
    // The phase is stored by the workflow once it is in it: "held" with its command, read any earlier, would have that command refused.
    if (input.mode === 'act')
      await tell(
        env,
        input.incidentId,
        held ? `held-${inTrouble.join('-')}` : 'admitted',
        'decision',
        held ? `held: ${inTrouble.join(', ')} in trouble at once, ${allowed} allowed` : 'admitted',
        { inTrouble, allowed },
      );
    return { inTrouble, allowed };
  },
});
