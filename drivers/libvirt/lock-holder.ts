/** Who holds a lock that a start met, as far as hosts tell. */
import { DriverFault } from '../../domain/faults';
import type { VmId } from '../../domain/ids';
import type { HostConnection } from './connection';

/** The host that lists the VM as active, if one does. Asked only to name it: who holds the lock was decided by the lock. */
export async function whoRuns(
  others: readonly HostConnection[],
  vm: VmId,
  signal: AbortSignal,
): Promise<string> {
  const answers = await Promise.all(
    others.map(async (c) => {
      try {
        const seen = (await c.snapshot(signal)).vms.find((v) => v.vmId === vm);
        return { host: c.host, says: seen === undefined || seen.state === 'shut-off' ? 'not' : seen.state };
      } catch (error) {
        // A host that does not answer may be the holder: it is named as such.
        if (error instanceof DriverFault || signal.aborted) return { host: c.host, says: 'silent' };
        throw error;
      }
    }),
  );
  const active = answers.filter((a) => a.says !== 'not' && a.says !== 'silent');
  if (active.length > 0) return active.map((a) => `${a.host} (says "${a.says}")`).join(' and ');
  const silent = answers.filter((a) => a.says === 'silent').map((a) => a.host);
  if (silent.length > 0) return `somebody not known; ${silent.join(', ')} could not be asked`;
  return 'somebody not known: no host lists this VM as active';
}
