/** What the loops over one cluster's hosts share: who is silent now, what may be done by itself, and to whom the fleet belongs. */
import { type EffectiveMode, effectiveMode } from '../domain/armed';
import type { Cluster } from '../domain/fleet';
import type { HostId, VmId } from '../domain/ids';
import { limits } from '../domain/limits';
import type { FleetClaim, FleetOwner, HostRecord } from '../domain/records';
import { isUnaskedAlert } from '../domain/unasked';
import { isBlind, type VmFinding } from '../domain/watch-rules';
import { foreignHostSentence } from './host-marks';
import { clear, raise } from './incident';
import { type Environment, nowIso } from './environment';
import type { RecoveriesPort } from './ports';

/** What makes a watch act: without it one only learns. */
export interface Supervision {
  readonly recoveries: RecoveriesPort;
  /** Undefined where nobody else can own the fleet (a test's own). */
  readonly owner: FleetOwner | undefined;
}

export interface SilentHost {
  readonly sinceMs: number;
  looks: number;
  deadLooks: number;
  readOff: boolean;
  nextLookMs: number;
}

export interface Suspicion {
  readonly finding: VmFinding;
  readonly sinceMs: number;
  looks: number;
  askAtMs: number;
  /** Since when nothing is done about it; undefined while something is. */
  leftSinceMs?: number | undefined;
}

/** Of one host. All of it may be lost with the worker: the next one sees the same and comes to the same. */
export interface HostMemory {
  known: string;
  definitionsReadMs: number;
  comparedMs: number;
  /** The records that were compared last, when nothing was wrong with any of them; undefined when something was. */
  comparedWell: { readonly mark: string; readonly atMs: number } | undefined;
  silent: SilentHost | undefined;
  /** Rounds without a list in a row, whether the host is missed or not. */
  misses: number;
  /** Rounds in a row whose definitions did not cover the list. */
  halfReads: number;
  /** When the look that is under way made its last step, and since when every look has failed. */
  progressMs: number;
  failingSinceMs: number | undefined;
  /** When this watch heard it last; the record's own "last seen" is some seconds behind. */
  heardMs: number;
  readonly suspicions: Map<VmId, Suspicion>;
  /** When it was last asked to go on writing its heartbeats. */
  beatAskedMs: number;
  /** Alerts of this watch that may be open; undefined before they were read once. */
  alerted: Set<string> | undefined;
  /** When the host's mark was last asked for, and whose it was when another VMedic's. */
  claimedMs: number;
  theirs: { readonly owner: FleetOwner; readonly readMs: number } | undefined;
  /** Why the host keeps no mark. */
  unmarked: string | undefined;
  /** The last reboot that a recovery was asked for, since when, and when to ask again for the same. */
  askedForBoot: { readonly bootId: string; readonly sinceMs: number; readonly againAtMs: number } | undefined;
}

export const newMemory = (): HostMemory => ({
  ...{ known: '', definitionsReadMs: 0, comparedMs: 0, silent: undefined, alerted: undefined },
  misses: 0,
  ...{ halfReads: 0, progressMs: 0, failingSinceMs: undefined },
  ...{ heardMs: 0, claimedMs: 0, theirs: undefined, unmarked: undefined },
  comparedWell: undefined,
  beatAskedMs: 0,
  suspicions: new Map(),
  askedForBoot: undefined,
});

/** An owner says that it is there this often. */
const claimEveryMs = limits.ownerSilentMsMax / 6;

export class WatchedCluster {
  private readonly memories = new Map<HostId, HostMemory>();
  private claimedMs = 0;
  private blindTold: boolean | undefined;
  /** The other VMedic that was told of last; empty when there is none, undefined before the first look. */
  foreignTold: string | undefined;
  /** When what an `Unasked` is about answered last. */
  readonly answeredMs = new Map<string, number>();
  private toldUnasked: Promise<Set<string>> | undefined;
  private records: { readonly begunMs: number; readonly rows: Promise<HostRecord[]> } | undefined;

  constructor(
    readonly env: Environment,
    readonly cluster: Cluster,
    /** Undefined: learns, and does nothing else. */
    readonly supervision: Supervision | undefined,
    /** So old may a host's row be that a round begins with; the round itself takes longer. */
    private readonly recordsMsMax = 0,
  ) {}

  memory(host: HostId): HostMemory {
    const known = this.memories.get(host) ?? newMemory();
    this.memories.set(host, known);
    return known;
  }

  /** One read for the rounds that begin at about the same time. */
  async record(host: HostId): Promise<HostRecord | undefined> {
    const nowMs = performance.now();
    if (this.records === undefined || nowMs - this.records.begunMs > this.recordsMsMax) {
      const rows = this.env.inventory.hosts({ clusterId: this.cluster.id });
      const records = { begunMs: nowMs, rows };
      this.records = records;
      // Whoever waits for it hears of it; the next one asks anew.
      rows.catch(() => {
        if (this.records === records) this.records = undefined;
      });
    }
    return (await this.records.rows).find((r) => r.hostId === host);
  }

  /** What may be done by itself now, read anew each time: a switch that is thrown must hold at once. */
  async mode(): Promise<EffectiveMode> {
    await this.sayThatItIsOurs();
    const { inventory } = this.env;
    const [hosts, claim, switches] = await Promise.all([
      inventory.hosts({ clusterId: this.cluster.id }),
      inventory.fleetClaim(),
      inventory.switches(),
    ]);
    const { owner } = this.supervision ?? {};
    if (owner !== undefined && claim?.owner.id !== owner.id)
      return { mode: 'observe', why: foreignSentence(claim), ...(claim && { insteadOfUs: claim.owner }) };
    const foreign = this.foreign();
    if (foreign !== undefined)
      return { mode: 'observe', why: foreignHostSentence(foreign), insteadOfUs: foreign.owner };
    return effectiveMode(this.cluster, hosts, claim, switches);
  }

  /** A host that bears another VMedic's mark; of one that is not heard any more it counts for as long as it would on the host. */
  foreign(): { readonly hostId: HostId; readonly owner: FleetOwner } | undefined {
    for (const [hostId, { theirs }] of this.memories)
      if (theirs !== undefined && Date.now() - theirs.readMs < limits.ownerSilentMsMax)
        return { hostId, owner: theirs.owner };
    return undefined;
  }

  async sayThatItIsOurs(): Promise<void> {
    const owner = this.supervision?.owner;
    if (owner === undefined || Date.now() - this.claimedMs < claimEveryMs) return;
    this.claimedMs = Date.now();
    await this.env.inventory.claimFleet(owner, nowIso(), limits.ownerSilentMsMax);
  }

  /** Keys of this watch's alerts about a host and its VMs that may be open; read once, because another worker may have raised them. */
  async alerted(host: HostId): Promise<Set<string>> {
    const memory = this.memory(host);
    if (memory.alerted === undefined) {
      const open = await this.env.inventory.alerts({ open: true });
      memory.alerted = new Set(open.map((a) => a.key).filter((key) => key.endsWith(`:${host}`)));
    }
    return memory.alerted;
  }

  /** Keys of open alerts about what cannot be asked; read once, because another worker may have raised them. */
  unaskedTold(): Promise<Set<string>> {
    this.toldUnasked ??= this.env.inventory
      .alerts({ open: true })
      .then((open) => new Set(open.map((a) => a.key).filter(isUnaskedAlert)));
    this.toldUnasked.catch(() => (this.toldUnasked = undefined));
    return this.toldUnasked;
  }

  /** Whether so many hosts are silent that nothing may be concluded; alarmed once, cleared when it is over. */
  async isBlind(records: readonly HostRecord[]): Promise<boolean> {
    const declared = new Set(this.cluster.hosts.map((h) => h.id));
    const watched = records
      .filter((r) => r.standing === 'in-service' && declared.has(r.hostId))
      .map((r) => r.hostId);
    const silent = watched.filter((h) => {
      const known = this.memories.get(h)?.silent;
      return known !== undefined && !known.readOff;
    });
    const blind = isBlind(silent.length, watched.length);
    if (blind === this.blindTold) return blind;
    this.blindTold = blind;
    const key = `blind:${this.cluster.id}`;
    if (!blind) await clear(this.env, key);
    else
      await raise(this.env, undefined, {
        key,
        severity: 'critical',
        sentence: `${silent.length} of ${watched.length} hosts of cluster ${this.cluster.id} do not answer at once (${silent.join(', ')}): VMedic's own network may be the cause, so nothing is fenced`,
        nextCommand: "check VMedic's own network; a host that is known to be dead: vmedic host recover HOST",
      });
    return blind;
  }
}

const foreignSentence = (claim: FleetClaim | undefined): string =>
  claim === undefined
    ? 'the fleet is not taken yet'
    : `the fleet belongs to another VMedic since ${claim.claimedAt}: ${claim.owner.name}`;
