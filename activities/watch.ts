/**
 * The watch over one cluster. Theory of operation: one loop per host, side by side, each round a comparison of everything anew with what is
 * stored, so that losing a round, an event or a worker changes only the time. What it learns it learns while hosts live, because a dead host
 * has nothing to give. What it decides it asks of the one front door, where the server refuses the second of two.
 */
import { setMaxListeners } from 'node:events';
import { Context } from '@temporalio/activity';
import type { Cluster, Host } from '../domain/fleet';
import type { ClusterId, HostId } from '../domain/ids';
import type { Fault } from '../domain/faults';
import { type HostVmList, millisOf } from '../domain/observations';
import type { HostRecord } from '../domain/records';
import { bootByIds } from '../domain/judge-boot';
import { unaskedBy } from '../domain/unasked';
import { faultOf, rootFaultOf } from './fault-boundary';
import { setStanding } from './fence';
import { clusterById, type Environment, nowIso, pause, signal } from './environment';
import { isTheirs } from './host-marks';
import { learn } from './learn';
import { readinessActivities } from './readiness';
import { sideBySide } from './side-by-side';
import { keepBeating } from './storage-heartbeat';
import { whenRebooted } from './watch-boot';
import { EarlyLooks } from './watch-hints';
import { toItsEnd, untilItEnds } from './watch-looks';
import { surveyIfDue } from './watch-readiness';
import { type LeftDownMemory, retryLeftDown } from './watch-left-down';
import { tellReturned } from './watch-returns';
import { whenHeard, whenSilent } from './watch-silence';
import { whenAsked, whenUnasked } from './watch-unasked';
import { compareVms, looksMin } from './watch-vms';
import { type HostMemory, type Supervision, WatchedCluster } from './watched-cluster';

export interface HostRound {
  readonly hostId: HostId;
  readonly answered: boolean;
  readonly vms: number;
  readonly added: number;
}

/** Definitions are read when the set of VMs changes, and this often besides: edits by hand must not stay unseen. */
const definitionsEveryMs = 60_000;
/** Rounds in a row in which a VM of the list had no definition, before the round goes on without what they would have told. */
const halfReadsMax = 3;
/** A quiet host's "last seen" is written no more often than this. */
const seenEveryMs = 10_000;
/** Rounds of a host that stays silent grow apart up to this many intervals, so that it costs little and its return is still seen soon. */
const silentIntervalsMax = 4;
/** What was left down is looked after so seldom: nothing but room makes a difference, and that comes seldom too. */
const leftDownIntervals = 5;
/** A survey that failed. */
const surveyRetryMs = 60_000;
/** Of an interval: rows of hosts that were read so lately serve the next host's round as well. */
const recordsShare = 1 / 2;
/**
 * Looks begin at so many moments of an interval, the same for all hosts: each time that a resting process is woken for one of them costs it
 * more than the look itself, and the hosts are asked side by side.
 */
const momentsAnInterval = 8;
/** Each pause differs by up to this share, so that the looks at many hosts do not fall together. */
const jitterShare = 0.1;

export const watchActivities = (env: Environment, supervision?: Supervision) => ({
  /** One complete round over a cluster, for whoever must not wait for the watch (set-up, tests, the demo). It only learns. */
  async discoverCluster(input: { clusterId: ClusterId }): Promise<HostRound[]> {
    const cluster = await declared(env, input.clusterId);
    const watch = new WatchedCluster(env, cluster, undefined);
    return Promise.all(cluster.hosts.map((h) => round(watch, h)));
  },

  /**
   * Watches until cancelled. Hosts are looked at side by side: a hung one never delays another. What is no driver's fault ends all of it
   * together, and the server begins it anew.
   */
  async watchCluster(input: { clusterId: ClusterId; everyMs: number }): Promise<void> {
    const cluster = await declared(env, input.clusterId);
    // Every call about every host listens to it: many are no leak.
    setMaxListeners(0, signal());
    const { everyMs } = input;
    const watch = new WatchedCluster(env, cluster, supervision, everyMs * recordsShare);
    const claiming = async (over: AbortSignal): Promise<void> => {
      while (!over.aborted) {
        await unlessFaulty(() => watch.sayThatItIsOurs());
        await pause(everyMs, over);
      }
    };
    const hosts = cluster.hosts.map((h) => (over: AbortSignal) => watchHost(watch, h, everyMs, over));
    if (supervision === undefined) return sideBySide([claiming, ...hosts]);
    const acting = [surveying(watch), bringingBack(watch, everyMs)];
    const all = [claiming, ...acting, ...hosts];
    await untilItEnds(watch, (calm) => sideBySide([...all, calm]));
  },
});

type Loop = (over: AbortSignal) => Promise<void>;

async function watchHost(
  watch: WatchedCluster,
  host: Host,
  everyMs: number,
  over: AbortSignal,
): Promise<void> {
  const looks = new EarlyLooks(everyMs, over);
  void watch.env.hints.follow(host.id, () => looks.hint(), AbortSignal.any([signal(), over]));
  while (!over.aborted) {
    await unlessFaulty(() => toItsEnd(watch, host, () => round(watch, host)), host.id);
    // The second look at a host that has fallen silent comes soon: it may be the one that decides.
    const misses = Math.max(watch.memory(host.id).misses - 1, 0);
    const intervals = Math.min(2 ** misses, silentIntervalsMax);
    const waitMs = everyMs * intervals * (1 + jitterShare * (2 * Math.random() - 1));
    const untilMs = toMoment(waitMs, everyMs);
    await (mustBeSeenAgain(watch.memory(host.id)) ? pause(untilMs, over) : looks.pause(untilMs));
  }
}

/** The moment nearest to so long from now. */
function toMoment(waitMs: number, everyMs: number): number {
  const apartMs = everyMs / momentsAnInterval;
  const nowMs = performance.now();
  return Math.max(0, Math.round((nowMs + waitMs) / apartMs) * apartMs - nowMs);
}

function surveying(watch: WatchedCluster): Loop {
  const begunMs = Date.now();
  const input = { clusterId: watch.cluster.id };
  const checks = readinessActivities(watch.env);
  const survey = async (): Promise<unknown> =>
    checks.assessCluster({ ...input, devices: await checks.readFenceDevices(input) });
  return async (over) => {
    while (!over.aborted) {
      let waitMs = surveyRetryMs;
      await unlessFaulty(async () => {
        waitMs = await surveyIfDue(watch, begunMs, survey);
      });
      await pause(waitMs * (1 + jitterShare * Math.random()), over);
    }
  };
}

function bringingBack(watch: WatchedCluster, everyMs: number): Loop {
  const memory: LeftDownMemory = { left: new Map(), askAtMs: new Map() };
  return async (over) => {
    while (!over.aborted) {
      await unlessFaulty(() => retryLeftDown(watch, memory));
      await pause(everyMs * leftDownIntervals, over);
    }
  };
}

async function declared(env: Environment, id: ClusterId): Promise<Cluster> {
  const cluster = clusterById(env, id);
  await env.inventory.ensureHosts(cluster.hosts.map((h) => ({ hostId: h.id, clusterId: cluster.id })));
  return cluster;
}

/** What was seen once counts when it is seen again a whole interval later, by when the other hosts were looked at too: no hint may hurry that. */
const mustBeSeenAgain = ({ misses, suspicions }: HostMemory): boolean =>
  misses > 0 || [...suspicions.values()].some((s) => s.looks < looksMin);

/** A round that failed is followed by the next; what no driver owes to throw ends the watch, and Temporal begins it anew. */
async function unlessFaulty(work: () => Promise<unknown>, host?: HostId): Promise<void> {
  try {
    await work();
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined || Context.current().cancellationSignal.aborted) throw error;
    Context.current().log.warn(known.sentence, { host });
  }
}

async function round(watch: WatchedCluster, host: Host): Promise<HostRound> {
  const { env, cluster } = watch;
  const record = await watch.record(host.id);
  const begunMs = Date.now();
  const list = await listOrWhyNot(env, host);
  if (record === undefined) return { hostId: host.id, answered: false, vms: 0, added: 0 };
  const memory = watch.memory(host.id);
  memory.misses = 'vms' in list ? 0 : memory.misses + 1;
  if (!('vms' in list)) {
    // Fenced again it answers no more, whatever was told of it.
    if (record.standing !== 'quarantined') await tellReturned(watch, host, record);
    const unasked = unaskedBy(list, host.id);
    if (unasked !== undefined) await whenUnasked(watch, host, record, unasked, begunMs);
    else await whenSilent(watch, host, record, begunMs);
    return { hostId: host.id, answered: false, vms: 0, added: 0 };
  }
  await whenHeard(watch, host);
  await whenAsked(watch, host);
  if (record.standing === 'fenced') await noteReturn(env, record, begunMs);
  await tellReturned(watch, host, record);
  const known = list.vms
    .map((v) => `${v.vmId} ${v.state} ${v.reason}`)
    .sort()
    .join(',');
  const changed = known !== memory.known;
  let added = 0;
  if (changed || begunMs - memory.definitionsReadMs > definitionsEveryMs) {
    const learnt = await learn(env, cluster, host, list);
    memory.halfReads = learnt === undefined ? memory.halfReads + 1 : 0;
    // A VM that came or went meanwhile is seen whole by the next round. One that never is keeps nobody from looking after the others.
    if (learnt === undefined && memory.halfReads < halfReadsMax)
      return { hostId: host.id, answered: true, vms: list.vms.length, added };
    added = learnt?.added ?? 0;
    // What is not decided yet is looked at again in the next round, as if nothing had been known.
    memory.known = learnt?.settled === true ? known : '';
    if (learnt !== undefined) memory.definitionsReadMs = begunMs;
  }
  if (record.standing === 'in-service') await noteSeen(watch, host, record, list);
  await compareVms(watch, host, record, list, { begunMs, changed });
  if (record.standing === 'in-service') await keepBeating(watch, host, begunMs);
  return { hostId: host.id, answered: true, vms: list.vms.length, added };
}

async function listOrWhyNot(env: Environment, host: Host): Promise<HostVmList | Fault> {
  try {
    return await env.hypervisor.list(host.id, signal());
  } catch (error) {
    // Silence is the judgement's matter, not this one's: nothing is learnt from it here.
    const why = rootFaultOf(error);
    if (why === undefined) throw error;
    return why;
  }
}

async function noteSeen(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
): Promise<void> {
  const { env } = watch;
  if (await isTheirs(watch, host)) return;
  const fresh = record.lastSeenAt !== undefined && Date.now() - millisOf(record.lastSeenAt) < seenEveryMs;
  if (fresh && record.bootId !== undefined) return;
  const answer = await env.hostCommands.bootId(host.id, signal());
  const now = answer.says === 'answers' ? answer.bootId : undefined;
  // A boot id seen before is kept: a new one is accepted only once the host's VMs are back, else a host that rebooted would look well.
  try {
    await env.inventory.updateHost(host.id, record.version, {
      bootId: record.bootId ?? now,
      lastSeenAt: nowIso(),
    });
  } catch (error) {
    // Somebody changed the host's row meanwhile; the next round sees both.
    if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
  }
  if (bootByIds(record.bootId, now) === 'new') await whenRebooted(watch, host, record, list, now as string);
}

/** A fenced host answers: whatever proved it off is void, and it takes no VM until it is readmitted. */
async function noteReturn(env: Environment, record: HostRecord, listBegunMs: number): Promise<void> {
  const evidence = await env.inventory.evidenceFor(record.hostId);
  if (evidence !== undefined && millisOf(evidence.observedAt) >= listBegunMs) return;
  // As of the list's beginning: a fence may prove the host off again while this is written, and that proof is about a later moment.
  await env.inventory.lapseEvidence(record.hostId, new Date(listBegunMs).toISOString());
  await setStanding(env, record.hostId, 'quarantined', ['fenced']);
}
