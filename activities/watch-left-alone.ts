/** A VM that is to run, is down, and that nothing is done about: what is left so is said, with the reason. */
import type { Host } from '../domain/fleet';
import type { VmRecord } from '../domain/records';
import { clearTold, raise } from './incident';
import { observedHost } from './watch-orders';
import type { Suspicion, WatchedCluster } from './watched-cluster';

export const leftAloneKey = (vm: Pick<VmRecord, 'vmId' | 'hostId'>): string =>
  `left-alone:${vm.vmId}:${vm.hostId}`;

/** What passes by itself (an incident that closes, what is asked for again) has passed within so many graces. */
const leftAloneGraces = 12;

export interface Left {
  readonly vm: VmRecord;
  readonly suspicion: Suspicion;
  readonly why: string;
}

/**
 * One alert for each VM of the host, unless something open speaks of it already. Those that are told of and left alone no longer are taken back.
 *
 * @param left All that are left alone on this host now.
 */
export async function tellLeftAlone(watch: WatchedCluster, host: Host, left: readonly Left[]): Promise<void> {
  const alerted = await watch.alerted(host.id);
  const keys = new Set(left.map(({ vm }) => leftAloneKey(vm)));
  for (const key of [...alerted].filter((k) => k.startsWith('left-alone:') && !keys.has(k)))
    await clearTold(watch.env, alerted, key);
  const nowMs = Date.now();
  const patienceMs = watch.cluster.policy.watch.vmGraceMs * leftAloneGraces;
  for (const { suspicion } of left) suspicion.leftSinceMs ??= nowMs;
  const untold = left
    .filter(({ vm }) => !alerted.has(leftAloneKey(vm)))
    .filter(({ suspicion: { leftSinceMs = nowMs } }) => nowMs - leftSinceMs >= patienceMs);
  if (untold.length === 0) return;
  const open = await watch.env.inventory.alerts({ open: true });
  for (const { vm, why } of untold) {
    if (open.some((a) => a.key.includes(vm.vmId) || a.key === observedHost(host.id))) continue;
    const key = leftAloneKey(vm);
    const sentence = `${vm.name} is to run on ${host.id} and is ${vm.observed.state} (${vm.observed.reason}); nothing is done about it: ${why}`;
    const nextCommand = `vmedic vm restart ${vm.name} --reason "..."`;
    await raise(watch.env, undefined, { key, severity: 'warning', sentence, nextCommand });
    alerted.add(key);
  }
}
