/** A host that cannot be asked, for a reason that a person can cure: said once for all that the reason is about, and nothing is concluded. */
import type { Host } from '../domain/fleet';
import type { HostRecord } from '../domain/records';
import { aboutHost, aboutVcenter, type Unasked, unaskedAlert } from '../domain/unasked';
import { powerReadsOff } from '../domain/judge-host';
import { clearTold, raise } from './incident';
import { signsOf } from './look-at-host';
import { whenSilent } from './watch-silence';
import type { WatchedCluster } from './watched-cluster';

/** A reason that passes by itself, as a restart of vCenter does, is told of from this round on. */
const passingMissesMin = 2;

export async function whenUnasked(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  unasked: Unasked,
  begunMs: number,
): Promise<void> {
  if (await isSomebodyElse(watch, host, record, unasked)) return whenSilent(watch, host, record, begunMs);
  const memory = watch.memory(host.id);
  const wasSilent = memory.silent !== undefined;
  // How long it has been silent nobody knows: that begins anew once it can be asked.
  memory.silent = undefined;
  if (wasSilent && watch.supervision !== undefined)
    await watch.isBlind(await watch.env.inventory.hosts({ clusterId: watch.cluster.id }));
  if (watch.supervision === undefined || record.standing === 'maintenance') return;
  if (unasked.passes && memory.misses < passingMissesMin) return;
  // Asked before somebody else was answered there.
  if (begunMs < (watch.answeredMs.get(unasked.about) ?? 0)) return;
  const told = await watch.unaskedTold();
  const key = unaskedAlert(unasked);
  if (told.has(key)) return;
  await forget(watch, told, unasked.about, key);
  const { sentence, next } = unasked.fault;
  const isVcenter = host.vcenter !== undefined && unasked.about === aboutVcenter(host.vcenter);
  const names = watch.cluster.hosts.filter((h) => h.vcenter === host.vcenter).map((h) => h.id);
  const meanwhile = isVcenter
    ? `Its hosts (${names.join(', ')}) are not watched meanwhile: nothing is fenced or restarted there`
    : 'It is not watched meanwhile: nothing is fenced or restarted there';
  await raise(watch.env, undefined, {
    ...{ key, severity: 'critical', sentence: `${sentence}. ${meanwhile}`, nextCommand: next },
  });
  // Only now: a row that was not written is written in the next round.
  told.add(key);
}

/** With the host's power off, the login was refused by something else at its address, and says nothing of the host. */
async function isSomebodyElse(
  watch: WatchedCluster,
  host: Host,
  record: HostRecord,
  { fault }: Unasked,
): Promise<boolean> {
  if (fault.code !== 'HYPERVISOR_LOGIN_REFUSED' || watch.supervision === undefined) return false;
  return record.standing === 'in-service' && powerReadsOff(await signsOf(watch.env, host, true));
}

export async function whenAsked(watch: WatchedCluster, host: Host): Promise<void> {
  if (watch.supervision === undefined) return;
  const told = await watch.unaskedTold();
  const abouts = [aboutHost(host.id), ...(host.vcenter === undefined ? [] : [aboutVcenter(host.vcenter)])];
  for (const about of abouts) {
    watch.answeredMs.set(about, Date.now());
    await forget(watch, told, about);
  }
}

/** What is told of the same, but for `except`. */
async function forget(
  watch: WatchedCluster,
  told: Set<string>,
  about: string,
  except?: string,
): Promise<void> {
  for (const key of told) {
    if (!key.startsWith(about) || key === except) continue;
    await clearTold(watch.env, told, key);
  }
}
