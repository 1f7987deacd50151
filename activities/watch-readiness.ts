/**
 * Readiness, surveyed now and then by the watch itself: VMs fail to come back for reasons that were there for months. No workflow is started for
 * it, because a quiet fleet costs no history; its report is the one that `vmedic readiness` stores and shows.
 */
import {
  isReadinessAlert,
  mayBeCured,
  newsAlerts,
  readinessAlerts,
  type ReadinessReport,
} from '../domain/readiness';
import { millisOf } from '../domain/observations';
import { limits } from '../domain/limits';
import type { Environment } from './environment';
import { clear, raise } from './incident';
import type { WatchedCluster } from './watched-cluster';

/** @returns how long to wait before this is asked again. */
export async function surveyIfDue(
  watch: WatchedCluster,
  begunMs: number,
  survey: () => Promise<unknown>,
): Promise<number> {
  const { env, cluster } = watch;
  const { readinessEveryMs } = cluster.policy.watch;
  const last = await env.inventory.readiness(cluster.id);
  // A watch that begins has not seen its hosts yet: what nobody has looked at would look missing.
  const firstMs = begunMs + Math.min(readinessEveryMs, limits.readinessFirstMs);
  const dueMs = Math.max(firstMs, last === undefined ? 0 : millisOf(last.at) + readinessEveryMs);
  const leftMs = dueMs - Date.now();
  if (leftMs > 0) return leftMs;
  // A host that is down lacks everything, which is no news and nobody's to cure: it is surveyed when its incident is over.
  const open = await env.inventory.incidents({ open: true, clusterId: cluster.id, limit: 1 });
  if (open.length > 0) return firstMs - begunMs;
  await survey();
  const report = await env.inventory.readiness(cluster.id);
  if (report !== undefined) await tellFindings(env, report);
  return readinessEveryMs;
}

/** Each finding is one alert with its cure, open for as long as it is found. */
async function tellFindings(env: Environment, report: ReadinessReport): Promise<void> {
  await endCured(env, report);
  for (const alert of newsAlerts(report)) await raise(env, undefined, { ...alert, severity: 'warning' });
}

/** Whoever has had it checked again: what is found no longer is over, where it could have been found. */
export async function endCured(env: Environment, report: ReadinessReport): Promise<void> {
  const stand = new Set(readinessAlerts(report).map((a) => a.key));
  for (const { key } of await env.inventory.alerts({ open: true }))
    if (isReadinessAlert(key, report.clusterId) && !stand.has(key) && mayBeCured(report, key))
      await clear(env, key);
}
