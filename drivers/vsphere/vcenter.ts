/** One vCenter as the ports see it: a session, the config's hosts and pools, and a bound on what is asked of it at once. */
import { hostId, type HostId, type PoolId } from '../../domain/ids';
import { DriverFault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import { Lane } from '../child-processes/lane';
import { datastoreOfPool } from './datastores';
import { asDriverFault, type Site } from './driver-faults';
import { type AskOptions, type ServiceContent, Session } from './session';
import type { MoRef } from './xml';
import { textOf, unescaped } from './xml';

export interface VcenterSetup {
  readonly id: string;
  readonly url: string;
  readonly username: string;
  readonly password: () => string;
  /** Where it is written (`file:vc-password`), for people. */
  readonly secret?: string;
  readonly ca?: string;
  readonly thumbprint?: string;
  /** `about.instanceUuid` of the vCenter that is meant; any when left out. */
  readonly instanceUuid?: string;
}

export interface VsphereHost {
  readonly id: HostId;
  readonly vcenter: string;
  /** As vCenter calls it. */
  readonly name: string;
  /** Where its own network stack answers; its name when left out, which is what hosts are added to a vCenter by. */
  readonly address?: string;
}

export interface VsphereOptions {
  readonly vcenters: readonly VcenterSetup[];
  readonly hosts: readonly VsphereHost[];
  /** Datastores: a pool's path is `/vmfs/volumes/<datastore>`. */
  readonly pools: readonly Pool[];
}

/** vCenter serves some 2,000 sessions' calls; these keep one installation of ours from being most of them. */
const lookLane = { atOnce: 8, queueMax: 64, waitMsMax: 20_000 } as const;
const actLane = { atOnce: 8, queueMax: 64, waitMsMax: 20_000 } as const;
/** Waits are silent and cheap; there is one for each relocation and start under way. */
const waitLane = { atOnce: 64, queueMax: 256, waitMsMax: 60_000 } as const;

/** A host keeps its object until somebody removes it; what is read of the object then says so. */
const hostsSeenMsMax = 60_000;

export type Turn = 'look' | 'act' | 'wait';

export class Vcenter {
  readonly session: Session;
  readonly site: Site;
  private readonly lanes: Readonly<Record<Turn, Lane>>;
  private hostsSeen:
    { readonly at: number; readonly byName: ReadonlyMap<string, readonly MoRef[]> } | undefined;

  constructor(
    readonly setup: VcenterSetup,
    private readonly options: VsphereOptions,
  ) {
    const { id, url, username, secret = 'as the config names it' } = setup;
    this.site = { vcenter: id, username, url, secret };
    // Waits hold a connection each while they are silent.
    this.session = new Session({ ...setup, connections: lookLane.atOnce + actLane.atOnce + waitLane.atOnce });
    const lane = hostId(id);
    this.lanes = {
      look: new Lane(lane, lookLane),
      act: new Lane(lane, actLane),
      wait: new Lane(lane, waitLane),
    };
  }

  /** Runs it in its turn. @throws what the work throws; `HYPERVISOR_BUSY` when it was not even begun. */
  inTurn<T>(turn: Turn, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.lanes[turn].run(work, signal);
  }

  /** A read, whose failure is a `DriverFault`. */
  look<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return asDriverFault(this.site, () =>
      this.inTurn('look', signal, async () => {
        await this.expected(signal);
        return work();
      }),
    );
  }

  /** What the vCenter says of itself. @throws VCENTER_CHANGED when it is another one than the config means. */
  async expected(signal: AbortSignal): Promise<ServiceContent> {
    const content = await this.session.content(signal);
    const { instanceUuid: wanted } = this.setup;
    if (wanted !== undefined && wanted !== content.instanceUuid)
      throw new DriverFault('VCENTER_CHANGED', {
        ...{ vcenter: this.setup.id, url: this.setup.url, wanted },
        found: content.instanceUuid,
      });
    return content;
  }

  /** The host's object. @throws VCENTER_HOST_UNKNOWN when vCenter has none of that name, or several. */
  async hostRef(id: HostId, options: AskOptions): Promise<MoRef> {
    const wanted = this.nameOf(id) ?? '';
    const fresh = this.hostsSeen !== undefined && Date.now() - this.hostsSeen.at < hostsSeenMsMax;
    const seen = fresh ? this.hostsSeen?.byName.get(wanted) : undefined;
    const [one, ...others] = seen ?? (await this.readHosts(options)).get(wanted) ?? [];
    if (one !== undefined && others.length === 0) return one;
    const known = [...(this.hostsSeen?.byName.keys() ?? [])].join(', ');
    throw new DriverFault('VCENTER_HOST_UNKNOWN', {
      ...{ host: id, name: wanted, vcenter: this.setup.id },
      known: others.length > 0 ? `${others.length + 1} of that name` : known,
    });
  }

  private async readHosts(options: AskOptions): Promise<ReadonlyMap<string, readonly MoRef[]>> {
    const at = Date.now();
    const byName = new Map<string, MoRef[]>();
    for (const { ref, properties } of await this.session.all('HostSystem', ['name'], undefined, options)) {
      const name = unescaped(textOf(properties.get('name')) ?? '');
      byName.set(name, [...(byName.get(name) ?? []), ref]);
    }
    this.hostsSeen = { at, byName };
    return byName;
  }

  /** The config's id of a host; undefined for one that the config does not name. */
  async hostIdOf(ref: MoRef, options: AskOptions): Promise<HostId | undefined> {
    const name = (await this.session.retrieveOne(ref, ['name'], options)).get('name');
    return this.hostOfName(unescaped(textOf(name) ?? ''));
  }

  nameOf(id: HostId): string | undefined {
    return this.options.hosts.find((h) => h.id === id && h.vcenter === this.setup.id)?.name;
  }

  addressOf(id: HostId): string {
    return this.options.hosts.find((h) => h.id === id)?.address ?? this.nameOf(id) ?? id;
  }

  /** The config's id of the host that vCenter calls so; undefined for one that the config does not name. */
  hostOfName(name: string): HostId | undefined {
    return this.options.hosts.find((h) => h.name === name && h.vcenter === this.setup.id)?.id;
  }

  poolOfDatastore(name: string): PoolId | undefined {
    return this.options.pools.find((p) => p.path !== undefined && datastoreOfPool(p.path) === name)?.id;
  }

  datastoreOf(pool: PoolId): string | undefined {
    const path = this.options.pools.find((p) => p.id === pool)?.path;
    return path === undefined ? undefined : datastoreOfPool(path);
  }
}

export class Vcenters {
  private readonly byId: ReadonlyMap<string, Vcenter>;

  constructor(private readonly options: VsphereOptions) {
    this.byId = new Map(options.vcenters.map((v) => [v.id, new Vcenter(v, options)]));
  }

  /** @throws UNKNOWN_HOST for a host that no vCenter of the config has. */
  of(host: HostId): Vcenter {
    const declared = this.options.hosts.find((h) => h.id === host);
    const found = declared === undefined ? undefined : this.byId.get(declared.vcenter);
    if (found !== undefined) return found;
    throw new DriverFault('UNKNOWN_HOST', { host, known: this.options.hosts.map((h) => h.id).join(', ') });
  }

  has(host: HostId): boolean {
    return this.options.hosts.some((h) => h.id === host);
  }

  get all(): readonly Vcenter[] {
    return [...this.byId.values()];
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((v) => v.session.close()));
  }
}
