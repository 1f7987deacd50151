/** What the operator declares: clusters, hosts, fence levels, pools, policies. Discovered things (VMs) are in `records.ts`. */
import type { ClusterId, FenceDeviceId, HostId, PoolId } from './ids';

/** What VMedic does by itself when something fails. A person's own command acts in every mode. */
export type ClusterMode = 'observe' | 'approve' | 'automatic';

export type PoolType = 'dir' | 'nfs' | 'lvm' | 'vmfs' | 'rbd' | 'iscsi';
export type LockStrategy =
  'none' | 'nfs3-notify' | 'nfs4-expire' | 'nfs4-lease' | 'nfs-appliance' | 'unsupported';

/** What becomes of a guest on it that runs and does not get well: a person repairs it, or VMedic does, once, with a snapshot to go back to. */
export type GuestRepair = 'by-hand' | 'automatic';

/** How a pool's server is told to take no write of one host any more. */
export type CutAccess = 'exportfs';

export interface Pool {
  readonly id: PoolId;
  readonly type: PoolType;
  /** Where the pool is mounted on its hosts. */
  readonly path?: string;
  readonly lockStrategy: LockStrategy;
  /** Set: a host that is fenced loses its access to this pool first, and has it back when it is readmitted. */
  readonly cutAccess?: CutAccess;
  /** Its hosts write a small file there again and again: one that is seen to write is not dead. */
  readonly heartbeat?: boolean;
  /** `by-hand` when left out. */
  readonly guestRepair?: GuestRepair;
}

export interface FenceDevice {
  readonly id: FenceDeviceId;
  /** The ClusterLabs agent, for instance `fence_ipmilan`; `simulated` in the simulated datacenter. */
  readonly agent: string;
}

/** Levels are tried in order; within a level every device must be read as off (a host with two power supplies has two). */
export interface FenceLevel {
  readonly name: string;
  readonly devices: readonly FenceDevice[];
}

export interface Capacity {
  readonly memoryMiB: number;
  readonly vcpus: number;
}

/** Where a host's kernel can be reached by its neighbours. */
export interface HostAddress {
  readonly address: string;
  readonly port: number;
}

export interface Host {
  readonly id: HostId;
  readonly clusterId: ClusterId;
  readonly capacity: Capacity;
  readonly pools: readonly PoolId[];
  readonly networks: readonly string[];
  readonly fenceLevels: readonly FenceLevel[];
  /** What its manager (vCenter) calls it, where that is another name than its id. */
  readonly managedAs?: string;
  /** Its neighbours are asked whether they reach it there: silent towards VMedic alone, it is not dead. */
  readonly management?: HostAddress;
  /** The vCenter through which alone it can be asked. */
  readonly vcenter?: string;
}

/** How a VM shows that it is back. Running but not healthy in time is `guest-degraded`. */
export type HealthCheck =
  | { readonly kind: 'running'; readonly timeoutMs: number }
  | { readonly kind: 'guest-agent'; readonly timeoutMs: number }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number; readonly timeoutMs: number }
  | { readonly kind: 'console'; readonly pattern: string; readonly timeoutMs: number };

export interface ClusterPolicy {
  /** Held when more hosts than this are in trouble at once: max(hosts, percent of the cluster). */
  readonly blastRadius: { readonly hosts: number; readonly percent: number };
  /** Whether a degraded host (daemon dead, guests alive) may be fenced at all. Off unless an operator says so. */
  readonly fenceDegraded: boolean;
  /** Restarts under way at once, over the whole incident and per target host. */
  readonly concurrency: { readonly window: number; readonly perHost: number };
  /** How long to wait between two looks at a host that is suspect but not proven dead. */
  readonly confirmEveryMs: number;
  /** Pause before the levels of a fence are tried again, doubled each time up to the cap. */
  readonly fenceRetryMs: { readonly first: number; readonly max: number };
  /** How long a start waits for its storage before the VM is `blocked`. */
  readonly storageDeadlineMs: number;
  /** How long an unknown start outcome is read again before the VM is `stuck`. */
  readonly readBackDeadlineMs: number;
  /** Memory and vCPU that stay free on every host, in percent. */
  readonly headroomPercent: number;
  readonly health: HealthCheck;
  readonly watch: WatchPolicy;
}

/** What becomes of a VM that its own guest shut down cleanly: left alone, or started again. */
export type GuestShutdown = 'respect' | 'restart';

/**
 * What becomes of a VM that its host has paused because its disk failed. `resume`: it goes on where it stands, once its disk lets it. `restart`: its
 * process is ended and it is started anew, as after a crash. `leave`: a person decides.
 */
export type OnIoError = 'resume' | 'restart' | 'leave';

export type MissingVms = 'restart' | 'leave';

export interface WatchPolicy {
  /** How long one source's silence, or a degraded host, is left alone before an incident is opened (which then waits for a person). */
  readonly suspectAfterMs: number;
  /** How long a missing VM is left alone before it is acted on; doubled with each restart of the budget that is used. */
  readonly vmGraceMs: number;
  readonly guestShutdown: GuestShutdown;
  readonly onIoError: OnIoError;
  /** How often it is surveyed whether every VM would come back: each survey looks into every host. */
  readonly readinessEveryMs: number;
  /** `leave`: a VM that stops on a host that lives is another system's matter, as vSphere HA's. It is only recorded. */
  readonly missingVms: MissingVms;
  /** A VM restarted more often than this within the time waits for a person. */
  readonly restartBudget: { readonly restarts: number; readonly perMs: number };
}

export interface Cluster {
  readonly id: ClusterId;
  readonly mode: ClusterMode;
  readonly hosts: readonly Host[];
  readonly policy: ClusterPolicy;
  /** Per-VM settings, by VM name or UUID. */
  readonly vms: Readonly<Record<string, VmPolicy>>;
}

export interface VmPolicy {
  readonly protect?: boolean;
  /** 1 comes back first; 3 is the default. */
  readonly priority?: Priority;
  /** VMs of one group never share a host. */
  readonly antiAffinity?: string;
  readonly health?: HealthCheck;
  readonly guestShutdown?: GuestShutdown;
  readonly onIoError?: OnIoError;
}

export type Priority = 1 | 2 | 3 | 4 | 5;
export const defaultPriority: Priority = 3;

export interface Fleet {
  readonly clusters: readonly Cluster[];
  readonly pools: readonly Pool[];
}

export const findHost = (fleet: Fleet, id: HostId): Host | undefined =>
  fleet.clusters.flatMap((c) => c.hosts).find((h) => h.id === id);

export const findCluster = (fleet: Fleet, id: ClusterId): Cluster | undefined =>
  fleet.clusters.find((c) => c.id === id);

export const clusterOf = (fleet: Fleet, id: HostId): Cluster | undefined =>
  fleet.clusters.find((c) => c.hosts.some((h) => h.id === id));

export const findPool = (fleet: Fleet, id: PoolId): Pool | undefined => fleet.pools.find((p) => p.id === id);

/** The pool with the longest path that the disk lies under. A logical volume is written in two ways. */
export function poolOf(pools: readonly Pool[]): (path: string) => PoolId | undefined {
  const byLength = pools
    .flatMap(({ id, type, path }) => {
      if (path === undefined) return [];
      const folder = path.replace(/\/+$/, '');
      const mapped = `/dev/mapper/${(folder.split('/').at(-1) ?? '').replaceAll('-', '--')}-`;
      return [`${folder}/`, ...(type === 'lvm' ? [mapped] : [])].map((f) => ({ id, folder: f }));
    })
    .sort((a, b) => b.folder.length - a.folder.length);
  return (path) => byLength.find(({ folder }) => path.startsWith(folder))?.id;
}
