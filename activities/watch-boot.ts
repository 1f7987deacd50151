/** A host that answers and has booted since it was last well, without anybody having fenced it. */
import type { Host } from '../domain/fleet';
import { bootByList } from '../domain/judge-boot';
import { type HostVmList, millisOf } from '../domain/observations';
import type { HostRecord } from '../domain/records';
import { faultOf } from './fault-boundary';
import { rosterOf } from './incident';
import { askForHost } from './watch-orders';
import type { WatchedCluster } from './watched-cluster';

/** Its VMs come back by one incident, in order; with all of them running there is nothing to recover, and its new boot is accepted. */
export async function whenRebooted(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  list: HostVmList,
  bootId: string,
): Promise<void> {
  const { env } = watch;
  const roster = (await rosterOf(env, host.id)).map((v) => v.vmId);
  if (bootByList(roster, list) === 'new') {
    const memory = watch.memory(host.id);
    const nowMs = Date.now();
    // Another boot is another failure, however lately it was asked for the one before.
    const asked = memory.askedForBoot?.bootId === bootId ? memory.askedForBoot : undefined;
    if (
      asked !== undefined &&
      (nowMs < asked.againAtMs || (await wasAbortedSince(watch, host, asked.sinceMs)))
    )
      return;
    const reason = `${host.id} has rebooted by itself`;
    const againAtMs = await askForHost(watch, host.id, reason, `boot-${bootId}`);
    memory.askedForBoot = { bootId, sinceMs: asked?.sinceMs ?? nowMs, againAtMs };
    return;
  }
  const now = await env.inventory.host(host.id);
  const [open] = await env.inventory.incidents({ hostId: host.id, open: true, limit: 1 });
  if (now === undefined || now.bootId !== record.bootId || open !== undefined) return;
  try {
    await env.inventory.updateHost(host.id, now.version, { bootId });
  } catch (error) {
    // An incident accepts it by itself.
    if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
  }
}

/** A person has stopped the recovery of this very boot: asked for again, it would page them anew every minute. An older abort was of another failure. */
async function wasAbortedSince({ env }: WatchedCluster, host: Host, sinceMs: number): Promise<boolean> {
  const [latest] = await env.inventory.incidents({ hostId: host.id, limit: 1 });
  return (
    latest?.outcome === 'aborted' && latest.closedAt !== undefined && millisOf(latest.closedAt) >= sinceMs
  );
}
