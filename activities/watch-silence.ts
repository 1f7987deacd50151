/** A host that does not answer: looked at by every source, and its recovery asked for once that is due. */
import type { Host } from '../domain/fleet';
import { judgeHost, powerReadsOff } from '../domain/judge-host';
import { millisOf } from '../domain/observations';
import type { HostRecord, IncidentRecord } from '../domain/records';
import { wasStopped } from '../domain/watch-rules';
import { clearTold } from './incident';
import { signsOf } from './look-at-host';
import { tellLeftAlone } from './watch-left-alone';
import { askForHost, observedHost } from './watch-orders';
import type { SilentHost, WatchedCluster } from './watched-cluster';

/**
 * Silent from two sources in this many rounds is dead by evidence. A round apart, so that the loops of the other hosts have looked too and a
 * loss of VMedic's own network is seen for what it is.
 */
const deadLooksMin = 2;

/** A host that came back by itself so lately is given the longer time before it is taken for dead again: it may come and go. */
const flapsWithinMs = 300_000;

export async function whenSilent(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  begunMs: number,
): Promise<void> {
  const memory = watch.memory(host.id);
  // One that is meant to be away, or that an incident works on already, is not missed.
  if (record.standing !== 'in-service') {
    memory.silent = undefined;
    // Of a quarantined one they are told for as long as its list shows them: a missed look is no end.
    if (watch.supervision !== undefined && record.standing !== 'quarantined')
      await tellLeftAlone(watch, host, []);
    return takeBack(watch, host);
  }
  const silent = (memory.silent ??= newlySilent(begunMs));
  silent.looks += 1;
  if (watch.supervision === undefined || begunMs < silent.nextLookMs) return;
  const { env, cluster } = watch;
  const signs = await signsOf(env, host, true);
  const verdict = judgeHost(signs);
  silent.readOff = powerReadsOff(signs);
  silent.deadLooks = verdict.verdict === 'dead-by-evidence' ? silent.deadLooks + 1 : 0;
  const blind = await watch.isBlind(await env.inventory.hosts({ clusterId: cluster.id }));
  // Its daemon answers a short question: its list is another round's matter.
  if (verdict.verdict === 'alive') return;
  if (!silent.readOff && signs.some((s) => s.source === 'hypervisor' && s.says === 'not-asked')) return;
  const isDead =
    verdict.verdict === 'dead-by-evidence' && (silent.readOff || silent.deadLooks >= deadLooksMin);
  const longEnough = Date.now() - silent.sinceMs >= cluster.policy.watch.suspectAfterMs;
  if (!isDead && !longEnough) return;
  if (blind && !silent.readOff) return;
  const [latest] = await env.inventory.incidents({ hostId: host.id, limit: 1 });
  if (wasStopped(latest, record.lastSeenAt, memory.heardMs)) return;
  if (!longEnough && !silent.readOff && hasFlapped(latest)) return;
  const lastSeen = record.lastSeenAt === undefined ? 'never' : String(millisOf(record.lastSeenAt));
  const reason = `${host.id} is ${verdict.verdict}: ${verdict.why}`;
  silent.nextLookMs = await askForHost(watch, host.id, reason, `silent-${lastSeen}`);
}

const hasFlapped = (latest: IncidentRecord | undefined): boolean =>
  latest?.outcome === 'dismissed' &&
  latest.closedAt !== undefined &&
  Date.now() - millisOf(latest.closedAt) < flapsWithinMs;

/** What was reported of it while VMedic could only observe. */
async function takeBack(watch: WatchedCluster, host: Host): Promise<void> {
  if (watch.supervision === undefined) return;
  const alerted = await watch.alerted(host.id);
  await clearTold(watch.env, alerted, observedHost(host.id));
}

const newlySilent = (begunMs: number): SilentHost => ({
  ...{ sinceMs: begunMs, looks: 0, deadLooks: 0, readOff: false, nextLookMs: 0 },
});

export async function whenHeard(watch: WatchedCluster, host: Host): Promise<void> {
  const memory = watch.memory(host.id);
  memory.heardMs = Date.now();
  if (watch.supervision === undefined) return;
  const wasSilent = memory.silent !== undefined;
  memory.silent = undefined;
  await takeBack(watch, host);
  if (wasSilent) await watch.isBlind(await watch.env.inventory.hosts({ clusterId: watch.cluster.id }));
}
