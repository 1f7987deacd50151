/** What readiness is judged by: read from hosts, devices, storage and the inventory, each with "could not be read" as an answer of its own. */
import type { Cluster, Host, Pool } from '../fleet';
import type { FenceDeviceId, HostId, PoolId } from '../ids';
import type { HostVmList, Timestamp } from '../observations';
import type { HostStanding, VmRecord } from '../records';

export type Read<T> =
  { readonly kind: 'read'; readonly value: T } | { readonly kind: 'not-read'; readonly detail: string };

export interface DeviceFact {
  readonly hostId: HostId;
  readonly level: string;
  readonly deviceId: FenceDeviceId;
  readonly says: 'on' | 'off' | 'silent' | 'login-refused';
  readonly detail: string;
}

export interface CommandFact {
  readonly name: string;
  /** Undefined when the command is not there. */
  readonly version: string | undefined;
}

/** How a pool's folder is mounted on one host, by the kernel's own table. */
export interface MountFact {
  readonly poolId: PoolId;
  readonly path: string;
  /** `none` when there is no such folder, `folder` when it lies on the host's own file system. */
  readonly kind: 'none' | 'folder' | 'mount';
  readonly source: string;
  readonly fileSystem: string;
  readonly options: readonly string[];
  /** What fstab says of it; undefined when it is not mounted from there. */
  readonly fstabOptions: readonly string[] | undefined;
}

export interface VolumeGroupFact {
  readonly uuid: string;
  readonly name: string;
  readonly missingPvs: number;
  /** Undefined where LVM is too old to have the setting: then everything is activated at boot. */
  readonly autoActivation: boolean | undefined;
  /** Guarded between hosts by lvmlockd. */
  readonly clustered: boolean;
  readonly volumes: readonly { readonly path: string; readonly active: boolean }[];
}

export interface HostSurvey {
  readonly commands: readonly CommandFact[];
  /** Other programs that restart VMs or fence hosts, alive on this host. */
  readonly rivals: readonly string[];
  readonly mounts: readonly MountFact[];
  readonly statd: boolean;
  /** Undefined when no pool of the host is LVM. */
  readonly lvm: Read<readonly VolumeGroupFact[]> | undefined;
}

export interface ImageSight {
  readonly path: string;
  readonly seen: 'usable' | 'missing' | 'unreadable' | 'hung';
  readonly detail: string;
}

/** One host held a lock on a scratch file as QEMU does, another asked whether it may have it. */
export interface LockTest {
  readonly says: 'guards' | 'does-not-guard' | 'not-known';
  readonly holder: HostId;
  readonly asker: HostId;
  readonly detail: string;
}

export interface HostFacts {
  readonly host: Host;
  readonly standing: HostStanding | 'not seen yet';
  readonly devices: readonly DeviceFact[];
  readonly list: Read<HostVmList>;
  readonly survey: Read<HostSurvey>;
  /** The disks of the cluster's VMs that lie in this host's pools, looked at from here. LVM volumes are not among them. */
  readonly images: Read<readonly ImageSight[]>;
}

export interface PoolFacts {
  readonly pool: Pool;
  /** The read that a release of locks begins with. Undefined where the pool has no strategy to ask. */
  readonly strategy: Read<'answers'> | undefined;
  /** Undefined where it makes no sense (block devices), or fewer than two hosts could be asked. */
  readonly lockTest: LockTest | undefined;
  /** Of hosts in service; left out where nobody cuts the access to this pool. */
  readonly access?: readonly { readonly hostId: HostId; readonly read: Read<'open' | 'cut'> }[];
}

export interface VmFacts {
  readonly record: VmRecord;
  readonly definitionStored: boolean;
}

export interface ReadinessFacts {
  readonly cluster: Cluster;
  readonly at: Timestamp;
  readonly hosts: readonly HostFacts[];
  readonly pools: readonly PoolFacts[];
  readonly vms: readonly VmFacts[];
}
