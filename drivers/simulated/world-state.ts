/** What the world holds at a moment: the mutable state, and the snapshot that leaves the process. */
import type { StartPermit } from '../../domain/evidence';
import type { HostId, PoolId, VmId } from '../../domain/ids';
import type { CommandFact, MountFact, VolumeGroupFact } from '../../domain/readiness';
import type { Timestamp } from '../../domain/observations';
import type { AlertRecord, FleetOwner } from '../../domain/records';
import type { ParsedDefinition } from './definition-text';
import type { Cause } from './journal';
import type { DiskWrite, ImageLock } from './shared-storage';
import type { DeviceSpec, GuestHealth, HostSpec } from './world-spec';

/**
 * What a fence device does. `says-ok`: answers "done" and does nothing. `not-taken`: admits that the host stays on. `claims-off`: does
 * nothing and reads "off" from then on, the lie that only other evidence can catch.
 */
export type DeviceMode = 'works' | 'silent' | 'says-ok' | 'not-taken' | 'claims-off';

export interface DeviceState {
  readonly spec: DeviceSpec;
  mode: DeviceMode;
  passwordOk: boolean;
  delayMs: number;
  /** Of a feed: whether it gives power. */
  feedOn: boolean;
  /** Set by the first "off" in mode `claims-off`. */
  claimsOff: boolean;
  loginRefusals: number;
}

export interface HostDefinition {
  readonly vmId: VmId;
  readonly name: string;
  readonly text: string;
  /** Version of the stored definition it was made from; undefined when it was not made by us. */
  readonly version: number | undefined;
  readonly by: Cause;
  autostart: boolean;
}

/** What is unlike a host in good order, for whoever looks into it. */
export interface HostOddities {
  /** Laid over the commands of the same name. */
  readonly commands?: readonly CommandFact[];
  readonly rivals?: readonly string[];
  readonly statd?: boolean;
  readonly mounts?: Readonly<Record<PoolId, Partial<MountFact>>>;
  /** Laid over the volume groups, by the pool that each stands for. */
  readonly groups?: Readonly<Record<PoolId, Partial<VolumeGroupFact>>>;
  /** Why LVM cannot be read there. */
  readonly lvmSilent?: string;
  /** Further volume groups seen there. */
  readonly moreGroups?: readonly VolumeGroupFact[];
}

export interface HostState {
  readonly spec: HostSpec;
  power: 'on' | 'off';
  bootId: string;
  /** Answers from then on. */
  readyAtMs: number;
  daemon: 'alive' | 'dead' | 'hung';
  frozen: boolean;
  /** `unlinked`: cut off from VMedic alone; its neighbours reach it. */
  network: 'up' | 'cut' | 'unlinked';
  commands: 'reachable' | 'silent' | 'refused';
  oddities: HostOddities;
  /** The boot in which it began to write its heartbeats; undefined when it never did. */
  beatsSince: string | undefined;
  /** Whose VMedic has marked it. */
  mark: { readonly owner: FleetOwner; readonly atMs: number } | undefined;
  readonly definitions: Map<VmId, HostDefinition>;
  readonly lastReason: Map<VmId, { state: 'shut-off' | 'crashed'; reason: string }>;
  /** Acts that a hung daemon has taken in and will do when it goes on. */
  readonly late: (() => void)[];
}

export interface GuestProcess {
  readonly vmId: VmId;
  readonly name: string;
  hostId: HostId;
  readonly boot: string;
  readonly definition: ParsedDefinition;
  readonly text: string;
  readonly persistent: boolean;
  state: 'running' | 'paused' | 'in-transition';
  reason: string;
  guestFrozen: boolean;
  readonly startedAtMs: number;
  readonly startedSeq: number;
  readonly by: Cause;
  readonly permit: StartPermit | undefined;
}

/** One stay of a process on one host; still open while `endedSeq` is undefined. */
export interface ProcessInterval {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly boot: string;
  readonly disks: readonly string[];
  readonly by: Cause;
  readonly permit: StartPermit | undefined;
  readonly startedSeq: number;
  readonly endedSeq: number | undefined;
  readonly state: GuestProcess['state'] | 'ended';
}

export interface WorldSnapshot {
  readonly at: Timestamp;
  readonly seq: number;
  readonly hosts: readonly {
    readonly id: HostId;
    readonly power: 'on' | 'off';
    readonly bootId: string;
    readonly daemon: HostState['daemon'];
    readonly frozen: boolean;
    readonly network: HostState['network'];
    readonly commands: HostState['commands'];
    readonly definitions: readonly HostDefinition[];
  }[];
  readonly processes: readonly ProcessInterval[];
  readonly disks: readonly {
    readonly path: string;
    readonly poolId: PoolId;
    readonly writes: readonly DiskWrite[];
    readonly activeOn: readonly { readonly hostId: HostId; readonly by: string }[];
    readonly madeBy: string | undefined;
  }[];
  readonly locks: readonly ImageLock[];
  /** Whose writes a pool's server does not take. */
  readonly accessCut: readonly { readonly poolId: PoolId; readonly hostId: HostId }[];
  readonly alerts: readonly AlertRecord[];
  readonly health: Readonly<Record<string, GuestHealth>>;
}
