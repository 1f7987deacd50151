/** What a simulated datacenter is made of: plain data, so that it travels to a process of its own. */
import type {
  Capacity,
  ClusterMode,
  ClusterPolicy,
  CutAccess,
  GuestRepair,
  HostAddress,
  LockStrategy,
  PoolType,
  VmPolicy,
} from '../../domain/fleet';
import type { ClusterId, FenceDeviceId, HostId, PoolId, VmId } from '../../domain/ids';

export interface ClusterSpec {
  readonly id: ClusterId;
  readonly mode: ClusterMode;
  readonly policy?: Partial<ClusterPolicy>;
  readonly vms?: Readonly<Record<string, VmPolicy>>;
}

export interface PoolSpec {
  readonly id: PoolId;
  readonly type: PoolType;
  readonly path: string;
  readonly lockStrategy: LockStrategy;
  /** Carries no image locks between hosts, as block devices and `nolock` mounts do: a second writer is not stopped. */
  readonly lockless?: boolean;
  readonly heartbeat?: boolean;
  /** Images must be activated on a host before they can be opened there, as logical volumes must. */
  readonly needsActivation?: boolean;
  /** Room for further disks; without end when left out. */
  readonly freeBytes?: number;
  /** With `nfs4-lease`: a dead host's locks end by themselves after this. */
  readonly leaseMs?: number;
  readonly cutAccess?: CutAccess;
  readonly guestRepair?: GuestRepair;
}

export interface HostSpec {
  readonly id: HostId;
  readonly clusterId: ClusterId;
  readonly capacity: Capacity;
  readonly pools: readonly PoolId[];
  readonly networks: readonly string[];
  readonly fenceLevels: readonly { readonly name: string; readonly devices: readonly FenceDeviceId[] }[];
  readonly management?: HostAddress;
}

export interface DeviceSpec {
  readonly id: FenceDeviceId;
  /** The host whose power it really switches: not always the one that the config names. */
  readonly wiredTo: HostId;
  /** A `bmc` switches the whole host; a `feed` one power supply, and the host is off once all of its feeds are. */
  readonly kind: 'bmc' | 'feed';
}

export interface DiskSpec {
  readonly device: string;
  readonly path: string;
  readonly poolId: PoolId;
  readonly shareable?: boolean;
  readonly uuid?: string;
}

export type GuestHealth = { readonly afterMs: number } | 'never';

export interface VmSpec {
  readonly id: VmId;
  readonly name: string;
  readonly hostId: HostId;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly disks: readonly DiskSpec[];
  readonly networks: readonly string[];
  readonly persistent: boolean;
  readonly autostart: boolean;
  readonly running: boolean;
  readonly health: GuestHealth;
}

/** How long things take, in milliseconds. All zero by default but the silences, which are deadlines of the driver. */
export interface Costs {
  /** A read that is answered. */
  readonly readMs: number;
  readonly defineMs: number;
  readonly startMs: number;
  /** From "off" or "on" to the device having taken it. */
  readonly fenceMs: number;
  /** From power-on until the host answers. */
  readonly bootMs: number;
  /** How long a call waits for somebody who never answers. */
  readonly silenceMs: number;
  /** From the order to move a volume until its copy is whole. */
  readonly copyMs: number;
}

export const defaultCosts: Costs = {
  readMs: 0,
  defineMs: 0,
  startMs: 0,
  fenceMs: 0,
  bootMs: 0,
  silenceMs: 50,
  copyMs: 0,
};

export interface WorldSpec {
  readonly clusters: readonly ClusterSpec[];
  readonly pools: readonly PoolSpec[];
  readonly hosts: readonly HostSpec[];
  readonly devices: readonly DeviceSpec[];
  readonly vms: readonly VmSpec[];
  readonly costs?: Partial<Costs>;
  /** `effects` leaves calls and answers out of the journal: for benches with many thousands of them. */
  readonly journal?: 'full' | 'effects';
}
