/** What was seen, by whom and when. Every observation carries its time (ISO 8601, UTC): old ones prove nothing. */
import type { FenceDeviceId, HostId, PoolId, VmId } from './ids';

export type Timestamp = string;

export const millisOf = (at: Timestamp): number => Date.parse(at);

/** Power as a fence device reads it. There is no "unknown" here: a device that cannot say throws. */
export interface PowerReading {
  readonly hostId: HostId;
  readonly deviceId: FenceDeviceId;
  readonly agent: string;
  readonly power: 'on' | 'off';
  readonly observedAt: Timestamp;
}

/** A VM's state on one host. `in-transition` is shutting down or migrating: it may still write. */
export type VmState = 'running' | 'paused' | 'shut-off' | 'crashed' | 'in-transition' | 'unknown';

/** States in which no process of this VM can write: only these let it start elsewhere. */
export const isAtRest = (state: VmState): boolean => state === 'shut-off' || state === 'crashed';

export interface ObservedVm {
  readonly vmId: VmId;
  readonly name: string;
  readonly state: VmState;
  /** The hypervisor's own reason, for instance `booted`, `destroyed`, `io-error`; kept because it vanishes on a daemon restart. */
  readonly reason: string;
  readonly persistent: boolean;
  readonly autostart?: boolean;
  /** A memory image of it was saved on the host, which a start there would restore. */
  readonly savedImage?: boolean;
}

/** A complete, successful list of every VM that a host knows. There is no partial one: a list that failed is no list. */
export interface HostVmList {
  readonly hostId: HostId;
  readonly observedAt: Timestamp;
  readonly vms: readonly ObservedVm[];
}

/** One source's word on whether a host lives. */
export type HostSign =
  | {
      readonly source: 'hypervisor';
      readonly says: 'answers';
      readonly runningVms: number;
      readonly observedAt: Timestamp;
    }
  | {
      readonly source: 'hypervisor';
      /** `refused`: the port answers "nobody here", so the kernel lives. `silent`: nothing at all. `hung`: it answers some calls, not all. */
      readonly says: 'refused' | 'silent' | 'hung';
      readonly observedAt: Timestamp;
    }
  | {
      readonly source: 'hypervisor';
      /** VMedic could not put the question: it says nothing of the host. */
      readonly says: 'not-asked';
      readonly detail: string;
      readonly observedAt: Timestamp;
    }
  | {
      readonly source: 'commands';
      readonly says: 'answers';
      readonly bootId: string;
      readonly observedAt: Timestamp;
    }
  | { readonly source: 'commands'; readonly says: 'refused' | 'silent'; readonly observedAt: Timestamp }
  | {
      readonly source: 'power';
      readonly says: 'on' | 'off' | 'silent' | 'login-refused';
      readonly deviceId: FenceDeviceId;
      readonly observedAt: Timestamp;
    }
  | {
      /** What another host of the cluster says about reaching it. */
      readonly source: 'neighbour';
      readonly via: HostId;
      readonly says: 'reaches-it' | 'does-not' | 'not-known';
      readonly observedAt: Timestamp;
    }
  | {
      /** What another host of the cluster sees of its heartbeat on a pool that both have. */
      readonly source: 'storage';
      readonly poolId: PoolId;
      readonly via: HostId;
      readonly says: 'writes' | 'still' | 'not-known';
      readonly observedAt: Timestamp;
    };
