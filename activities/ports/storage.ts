import type { FenceEvidence, StartPermit } from '../../domain/evidence';
import type { Fault } from '../../domain/faults';
import type { LockStrategy } from '../../domain/fleet';
import type { HostId, PoolId } from '../../domain/ids';
import type { Timestamp } from '../../domain/observations';
import type { VmDisk } from '../../domain/records';

export interface HeldLock {
  readonly poolId: PoolId;
  readonly path: string;
  /** The lock's own id at the server, where it has one. */
  readonly lockId: string;
  readonly owner: HostId | { readonly foreign: string };
}

export interface LockListing {
  readonly poolId: PoolId;
  readonly observedAt: Timestamp;
  /** `none`: the pool carries no locks between hosts, evidence alone decides. */
  readonly knows: 'locks' | 'probe-only' | 'none';
  readonly locks: readonly HeldLock[];
}

/** Locks that a dead host left on a pool. Faults: `LOCKS_NOT_RELEASED`, `POOL_UNSUPPORTED`, `HOST_COMMAND_FAILED`. */
export interface StorageLocksPort {
  readonly strategies: readonly LockStrategy[];
  /**
   * Locks on these images, whoever holds them. Reads only. `suspect` is the host that the record says they ran on: some servers keep locks
   * without a name, and such a lock is ascribed to it unless a living host says that it holds it.
   */
  list(pool: PoolId, images: readonly string[], suspect: HostId, signal: AbortSignal): Promise<LockListing>;
  /**
   * Releases exactly these locks of exactly the host that the evidence is about. Already gone is a success. Where locks cannot be listed
   * (`probe-only`), all that this host holds there is released. That it returned proves nothing: list or probe afterwards.
   */
  release(
    pool: PoolId,
    locks: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void>;
  /** Whether `image` can be locked from `from` now. Takes the lock for a moment at most, writes nothing. Faults when it cannot be told. */
  probe(pool: PoolId, image: string, from: HostId, signal: AbortSignal): Promise<'free' | 'held'>;
}

/** `cut`: the pool's server takes no write of the host. `open`: it does, or nobody keeps it from doing so. */
export type StorageAccess = 'open' | 'cut';

/**
 * Whether a pool's server takes writes of one host. No proof that the host is off, and no lock: what keeps a host from writing that is not
 * as dead as it seems, or comes back too soon. Faults: `ACCESS_NOT_CHANGED`, `POOL_UNSUPPORTED`, `HOST_COMMAND_FAILED`.
 */
export interface StorageAccessPort {
  /** Reads only. */
  read(pool: PoolId, host: HostId, signal: AbortSignal): Promise<StorageAccess>;
  /** Returns once it was read back that no write of exactly this host is taken any more; everybody else's access is as it was. Repeatable. */
  cut(pool: PoolId, host: HostId, signal: AbortSignal): Promise<void>;
  /** Takes back what `cut` did and nothing that others did; returns once the access was read back as open. Repeatable. */
  restore(pool: PoolId, host: HostId, signal: AbortSignal): Promise<void>;
}

export type StorageReadiness =
  | { readonly ready: true; readonly activated: readonly string[] }
  | { readonly ready: false; readonly fault: Fault };

/** A VM's volumes on the host where it is to start. Never creates, zeroes, repairs or deletes anything. */
export interface VolumesPort {
  /**
   * Makes the disks usable there (activates what must be), read back. Not ready yet is an answer, not an error; its fault has the fact
   * `everywhere` when no other host could use them either. Repeatable.
   */
  makeReady(permit: StartPermit, disks: readonly VmDisk[], signal: AbortSignal): Promise<StorageReadiness>;
  /**
   * The disks, those on logical volumes with what each is by UUID, as the host sees it now. A disk that is none, or is not found without
   * a guess, stays as it is. Reads only.
   */
  identify(host: HostId, disks: readonly VmDisk[], signal: AbortSignal): Promise<VmDisk[]>;
  /** Deactivates only what `makeReady` activated: other disks among those named are left as they are. Repeatable. */
  standDown(host: HostId, activated: readonly string[], signal: AbortSignal): Promise<void>;
}
