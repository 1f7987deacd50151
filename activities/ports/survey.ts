import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import type { HostSurvey, LockTest } from '../../domain/readiness';

/**
 * What must be known of hosts and pools before anything fails. Reads only, but for the lock test, which makes one scratch file of its own in
 * the pool and takes it away again. Faults: `HOST_COMMAND_FAILED`; `HYPERVISOR_BUSY` when the host's bulkhead is full.
 */
export interface SurveyPort {
  /** Commands, other HA managers, how these pools are mounted, LVM. */
  survey(host: HostId, pools: readonly Pool[], signal: AbortSignal): Promise<HostSurvey>;
  /**
   * Whether a lock held on one host is seen by another, through the pool's own server, with QEMU's own locks. What could not be tried is
   * `not-known`, never `guards`. Nothing is held any more when this ends; a host that dies meanwhile holds its lock for some seconds at most.
   */
  testLocks(pool: Pool, holder: HostId, asker: HostId, signal: AbortSignal): Promise<LockTest>;
}
