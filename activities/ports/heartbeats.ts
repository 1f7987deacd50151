import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';

/** What one host sees of another's heartbeat on a pool that both have. `still` says nothing of death: a pool may hang for one of them. */
export type HeartbeatSight = 'writes' | 'still' | 'not-known';

/**
 * A small file for each host on a shared pool, which the host writes again and again by itself: who writes it lives, whatever the network says.
 */
export interface HeartbeatsPort {
  /**
   * Sees to it that the host writes, from now on and for an hour after this was asked last. Repeatable: there is one writer at a time. Faults:
   * `HOST_COMMAND_FAILED`; `HYPERVISOR_BUSY` when the host's bulkhead is full.
   */
  keep(host: HostId, pool: Pool, signal: AbortSignal): Promise<void>;
  /**
   * Looks on for some seconds, on the host `via`, whether the file of `of` changes; clocks have no part in it. `not-known` when it was never written,
   * or when that host cannot be asked. Never throws.
   */
  look(via: HostId, of: HostId, pool: Pool, signal: AbortSignal): Promise<HeartbeatSight>;
}
