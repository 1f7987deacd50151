/** What VMedic may do by itself in a cluster now: the declared mode, unless it is disarmed or has not seen its hosts yet. */
import type { Cluster, ClusterMode } from './fleet';
import type { ClusterId } from './ids';
import { millisOf } from './observations';
import type { ArmSwitch, FleetClaim, FleetOwner, HostRecord } from './records';

/** The switch that is off for this cluster, if one is: the fleet's, or its own. */
export const disarmedBy = (switches: readonly ArmSwitch[], cluster: ClusterId): ArmSwitch | undefined =>
  switches.find((s) => !s.armed && (s.scope === 'fleet' || s.scope === cluster));

export const disarmedSentence = (s: ArmSwitch): string =>
  `${s.by} has disarmed ${s.scope === 'fleet' ? 'the whole fleet' : `cluster ${s.scope}`} since ${s.at}: ${s.reason}`;

export const armCommand = (s: ArmSwitch): string =>
  `vmedic arm${s.scope === 'fleet' ? '' : ` --cluster ${s.scope}`} --reason "..."`;

export interface EffectiveMode {
  readonly mode: ClusterMode;
  /** Why it is less than declared; undefined when it is what the config says. */
  readonly why: string | undefined;
  /** Another VMedic, which acts where this one only observes. */
  readonly insteadOfUs?: FleetOwner;
}

/**
 * An owner that has not seen every host yet knows too little to act: what it holds may be another's record, or nothing at all. A host that
 * never answers holds it back until a person arms the cluster.
 */
export function effectiveMode(
  cluster: Pick<Cluster, 'id' | 'mode' | 'hosts'>,
  hosts: readonly HostRecord[],
  claim: FleetClaim | undefined,
  switches: readonly ArmSwitch[],
): EffectiveMode {
  const off = disarmedBy(switches, cluster.id);
  if (off !== undefined) return { mode: 'observe', why: disarmedSentence(off) };
  if (cluster.mode === 'observe') return { mode: 'observe', why: undefined };
  const since = claim === undefined ? 0 : millisOf(claim.claimedAt);
  const armedSince = switches.some(
    (s) => s.armed && (s.scope === 'fleet' || s.scope === cluster.id) && millisOf(s.at) >= since,
  );
  // A row of a host that the config does not name any more is history: nobody looks at it, so nobody would ever see it.
  const declared = new Set(cluster.hosts.map((h) => h.id));
  const unseen = hosts
    .filter((h) => declared.has(h.hostId))
    .filter((h) => h.standing === 'in-service')
    .filter((h) => h.lastSeenAt === undefined || millisOf(h.lastSeenAt) < since)
    .map((h) => h.hostId);
  if (armedSince || unseen.length === 0) return { mode: cluster.mode, why: undefined };
  return {
    mode: 'observe',
    why: `${unseen.join(', ')} ${unseen.length === 1 ? 'was' : 'were'} not seen since this VMedic took the fleet over; it only observes until every host was`,
  };
}
