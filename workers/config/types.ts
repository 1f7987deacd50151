/**
 * What an operator writes in `vmedic.yaml`, as it is written: durations are text with a unit ("30s"), secrets are references
 * (`file:PATH`, `env:NAME`). `fleetOf` turns it into what the rest of VMedic works with.
 */
import type { AlertsConfig, ApiConfig, NotifyConfig } from './front-types';
import type {
  ClusterMode,
  CutAccess,
  GuestRepair,
  GuestShutdown,
  LockStrategy,
  OnIoError,
  PoolType,
  Priority,
} from '../../domain/fleet';

/** A whole number and `ms`, `s`, `m` or `h`: "500ms", "30s", "2m". */
export type DurationText = string;

/** `file:PATH` (relative to the config's folder) or `env:NAME`. Never the secret itself. */
export type SecretReference = string;

export type HealthConfig =
  | { kind: 'running'; timeout?: DurationText | undefined }
  | { kind: 'guest-agent'; timeout?: DurationText | undefined }
  | { kind: 'tcp'; address: string; port: number; timeout?: DurationText | undefined }
  | { kind: 'console'; pattern: string; timeout?: DurationText | undefined };

export interface FenceDeviceConfig {
  id: string;
  agent: string;
  options?: Record<string, string | number | boolean> | undefined;
  password?: SecretReference | undefined;
}

export interface FenceLevelConfig {
  name: string;
  devices: FenceDeviceConfig[];
}

export type HypervisorConfig =
  | { driver: 'libvirt'; uri: string }
  /** `name` is the host's as vCenter shows it; left out, it is the id. `address`: where the host itself answers; left out, its name. */
  | { driver: 'vsphere'; vcenter: string; name?: string | undefined; address?: string | undefined }
  | { driver: 'simulated' };

export type CommandsConfig =
  | { driver: 'ssh'; target: string; options?: string[] | undefined; bootIdCommand?: string[] | undefined }
  | { driver: 'namespace'; enter: string[]; bootIdCommand?: string[] | undefined }
  /** What is asked of an ESXi host is asked of its vCenter. */
  | { driver: 'vsphere' }
  | { driver: 'simulated' };

export interface HostConfig {
  id: string;
  hypervisor: HypervisorConfig;
  commands: CommandsConfig;
  /** Where on the host the mark of its VMedic is kept. Default: `/var/lib/vmedic/owner` by ssh, nowhere else. */
  ownerFile?: string | undefined;
  capacity: { memoryMiB: number; vcpus: number };
  pools?: string[] | undefined;
  networks?: string[] | undefined;
  /** Every name and address under which NFS servers know this host. */
  storageNames?: string[] | undefined;
  fencing?: FenceLevelConfig[] | undefined;
  /** Where its neighbours reach its kernel; port 22 when left out. */
  management?: { address: string; port?: number | undefined } | undefined;
}

export interface VmConfig {
  protect?: boolean | undefined;
  priority?: Priority | undefined;
  antiAffinity?: string | undefined;
  health?: HealthConfig | undefined;
  guestShutdown?: GuestShutdown | undefined;
  onIoError?: OnIoError | undefined;
}

export interface WatchConfig {
  suspectAfter?: DurationText | undefined;
  vmGrace?: DurationText | undefined;
  guestShutdown?: GuestShutdown | undefined;
  onIoError?: OnIoError | undefined;
  missingVms?: 'restart' | 'leave' | undefined;
  readinessEvery?: DurationText | undefined;
  restartBudget?: { restarts?: number | undefined; per?: DurationText | undefined } | undefined;
}

/** Every key is optional: what is left out keeps its default (`domain/limits.ts`). */
export interface PolicyConfig {
  blastRadius?: { hosts?: number | undefined; percent?: number | undefined } | undefined;
  fenceDegraded?: boolean | undefined;
  concurrency?: { window?: number | undefined; perHost?: number | undefined } | undefined;
  confirmEvery?: DurationText | undefined;
  fenceRetry?: { first?: DurationText | undefined; max?: DurationText | undefined } | undefined;
  storageDeadline?: DurationText | undefined;
  readBackDeadline?: DurationText | undefined;
  headroomPercent?: number | undefined;
  health?: HealthConfig | undefined;
  watch?: WatchConfig | undefined;
}

export interface ClusterConfig {
  id: string;
  mode?: ClusterMode | undefined;
  hosts: HostConfig[];
  vms?: Record<string, VmConfig> | undefined;
  policy?: PolicyConfig | undefined;
}

export interface PoolConfig {
  id: string;
  type: PoolType;
  path?: string | undefined;
  /** Left out, the pool is `unsupported`: nothing on it is ever started elsewhere by guess. */
  lockStrategy?: LockStrategy | undefined;
  /** Its hosts write heartbeats there, by which one that is silent is known to live. */
  heartbeat?: boolean | undefined;
  /** Left out: by hand. */
  guestRepair?: GuestRepair | undefined;
  /** NFS: what the hosts mount. `export` is the folder as the server's own file system has it. */
  server?: string | undefined;
  export?: string | undefined;
  version?: NfsVersion | undefined;
  /** NFS: a shell on the server, which shows whose locks are held. */
  access?: ShellConfig | undefined;
  /** NFS, `nfs4-lease` without a shell: how long the server keeps the state of a silent client. */
  lease?: DurationText | undefined;
  /** NFS: a host that is fenced loses its access first, at the server. */
  cutAccess?: CutAccess | undefined;
  /** NFS, `nfs-appliance`: where statd is reached; by default at `server`, on the port that rpcbind names. */
  statd?: { address?: string | undefined; port?: number | undefined } | undefined;
}

/** One vCenter. Its certificate is verified: by `thumbprint` where given, by `ca`, else by the system's authorities. */
export interface VcenterConfig {
  id: string;
  /** `https://vcenter.example/sdk`. */
  url: string;
  username: string;
  password: SecretReference;
  /** PEM of the authorities that may have signed its certificate. */
  ca?: SecretReference | undefined;
  /** SHA-256 of its certificate, hex with or without colons. */
  thumbprint?: string | undefined;
  /** `about.instanceUuid`: another vCenter at the same address is refused. */
  instanceUuid?: string | undefined;
}

/** A way onto a machine that is no host of the fleet. */
export type ShellConfig = Extract<CommandsConfig, { driver: 'ssh' | 'namespace' }>;

export type NfsVersion = '3' | '4' | '4.1' | '4.2';

export interface VmedicConfig {
  version: 1;
  clusters: ClusterConfig[];
  vcenters?: VcenterConfig[] | undefined;
  pools?: PoolConfig[] | undefined;
  /** Health of every VM that has none of its own, in clusters whose policy names none. */
  health?: { default: HealthConfig } | undefined;
  /** A PostgreSQL by URL. Left out: the embedded one that `vmedic up` starts. */
  inventory?: { url: string } | undefined;
  temporal?:
    | {
        address?: string | undefined;
        namespace?: string | undefined;
        /** Runs stay on the version of the workers that began them. Only for workers that `vmedic worker` starts. */
        workerVersions?: boolean | undefined;
        apiKey?: SecretReference | undefined;
        tls?:
          | {
              serverName?: string | undefined;
              ca?: SecretReference | undefined;
              certificate?: SecretReference | undefined;
              key?: SecretReference | undefined;
            }
          | undefined;
      }
    | undefined;
  api?: ApiConfig | undefined;
  /** Who is told of alerts. Left out: the log. */
  notify?: NotifyConfig[] | undefined;
  alerts?: AlertsConfig | undefined;
  /** Days that closed incidents, cleared alerts and the audit trail are kept. */
  keepDays?: number | undefined;
  /** Signs incident reports. */
  signingKey?: SecretReference | undefined;
  /** The simulated datacenter's Unix socket; hosts with `driver: simulated` live there. */
  simulated?: { socket: string } | undefined;
  /** Where the embedded system keeps its state. */
  stateDir?: string | undefined;
}
