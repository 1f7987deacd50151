/**
 * Marks on the hosts themselves. The inventory says whose the fleet is to those who share it; a second VMedic with an inventory of its own, pointed at
 * the same hosts, meets nothing but the hosts. Marks are read while hosts answer: one that is there keeps this VMedic from acting in the whole
 * cluster, and one that nobody renews counts no longer, so that an installation which is gone holds nobody back. Whoever only observes leaves none:
 * it would keep the one that acts from acting.
 */
import { Context } from '@temporalio/activity';
import type { Host } from '../domain/fleet';
import { limits } from '../domain/limits';
import type { FleetOwner } from '../domain/records';
import { clear, raise } from './incident';
import { signal } from './environment';
import type { WatchedCluster } from './watched-cluster';

/** @returns whether another VMedic has the host: then nothing that is seen on it counts as seen by this one. */
export async function isTheirs(watch: WatchedCluster, host: Host): Promise<boolean> {
  const owner = watch.supervision?.owner;
  if (owner === undefined || watch.cluster.mode === 'observe') return false;
  const memory = watch.memory(host.id);
  // The first one does not renew what it cannot hear; a host that comes back is not taken from it meanwhile.
  if (memory.theirs === undefined && watch.foreign() !== undefined) return true;
  if (Date.now() - memory.claimedMs >= limits.ownerMarkEveryMs) {
    memory.claimedMs = Date.now();
    const claim = await watch.env.hostCommands.claim(host.id, owner, limits.ownerSilentMsMax, signal());
    // What is not known now changes nothing in what was read before.
    if (claim.says !== 'not-known')
      memory.theirs = claim.says === 'theirs' ? { owner: claim.owner, readMs: Date.now() } : undefined;
    const why = claim.says === 'not-known' ? claim.detail : undefined;
    if (why !== undefined && why !== memory.unmarked)
      Context.current().log.warn(`No mark on ${host.id}: ${why}`, { host: host.id });
    memory.unmarked = why;
    await tellForeign(watch);
  }
  return memory.theirs !== undefined;
}

async function tellForeign(watch: WatchedCluster): Promise<void> {
  const foreign = watch.foreign();
  const key = `foreign:${watch.cluster.id}`;
  const told = foreign?.owner.id ?? '';
  if (watch.foreignTold === told) return;
  watch.foreignTold = told;
  if (foreign === undefined) return clear(watch.env, key);
  await raise(watch.env, undefined, {
    key,
    severity: 'critical',
    sentence: foreignHostSentence(foreign),
    nextCommand: `end one of the two; ${limits.ownerSilentMsMax / 1000} s after the other one's last mark this one goes on`,
  });
}

export const foreignHostSentence = ({ hostId, owner }: { hostId: string; owner: FleetOwner }): string =>
  `${hostId} is looked after by another VMedic: ${owner.name}; this one only observes`;
