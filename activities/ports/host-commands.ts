import type { HealthCheck, HostAddress } from '../../domain/fleet';
import type { HostId, VmId } from '../../domain/ids';
import type { FleetOwner, VmDisk, VmShape } from '../../domain/records';

/** Where a VM's signs of life stood before it was started, so that old console output is never taken for new. */
export interface HealthMark {
  readonly consoleBytes: number;
  /** A sum of the bytes before the mark: a console file that was begun anew is noticed by it. */
  readonly consoleTail?: string;
}

export type DiskSight =
  | { readonly path: string; readonly seen: 'usable' }
  | { readonly path: string; readonly seen: 'missing' | 'unreadable' | 'hung'; readonly detail: string };

/**
 * Whose a host is by the mark on it. `theirs`: another VMedic's mark is there, and was written `heardMs` ago. `not-known`: the host keeps none, or was
 * not heard.
 */
export type HostClaim =
  | { readonly says: 'ours' }
  | { readonly says: 'theirs'; readonly owner: FleetOwner; readonly heardMs: number }
  | { readonly says: 'not-known'; readonly detail: string };

/**
 * What must be read *on* a host: ssh in production, namespace entry in the lab. Faults: `HOST_COMMAND_FAILED`; `HYPERVISOR_BUSY`
 * when the host's bulkhead is full. Every call has a deadline and kills what it started.
 */
export interface HostCommandsPort {
  /**
   * The id of the host's present boot. `silent` and `refused` are answers here, not faults: they are signs of their own. `refused` means
   * that somebody's kernel answered "nobody here".
   */
  bootId(
    host: HostId,
    signal: AbortSignal,
  ): Promise<{ says: 'answers'; bootId: string } | { says: 'silent' | 'refused'; detail: string }>;
  /**
   * Whether another host of the fleet is reached over this one's network: `answers` and `refused` both mean that its kernel is there, `silent`
   * that nothing came back in time, `not-known` that this host could not be asked. Never throws.
   */
  reaches(
    via: HostId,
    to: HostAddress & { readonly hostId: HostId },
    signal: AbortSignal,
  ): Promise<'answers' | 'refused' | 'silent' | 'not-known'>;
  /**
   * Leaves this VMedic's mark on the host, or renews it; another one's stays while it is younger than `silentMsMax`. Of two that claim at once
   * one gets it. Never throws for a host that does not answer.
   */
  claim(host: HostId, owner: FleetOwner, silentMsMax: number, signal: AbortSignal): Promise<HostClaim>;
  /** Whether each disk's file or device can be opened there. Never writes, never takes a lock. */
  inspectDisks(host: HostId, disks: readonly VmDisk[], signal: AbortSignal): Promise<DiskSight[]>;
  /** Taken before a start. */
  markHealth(host: HostId, shape: VmShape, signal: AbortSignal): Promise<HealthMark>;
  /** One look: healthy now or not yet. `running` checks are answered by the hypervisor's list, not here. Throws when nobody could look. */
  isHealthy(
    host: HostId,
    vm: { readonly vmId: VmId; readonly name: string; readonly shape: VmShape },
    check: HealthCheck,
    mark: HealthMark,
    signal: AbortSignal,
  ): Promise<boolean>;
}
