/**
 * Has this host booted since it was last well? Its boot ids say so when both are known. Where one is not (host commands are not configured,
 * hang, or were never read), its own complete list does: a boot leaves no VM running.
 */
import type { VmId } from './ids';
import { type HostVmList, isAtRest } from './observations';

export type Boot = 'same' | 'new';

/** Undefined when the boot ids do not tell. */
export function bootByIds(known: string | undefined, now: string | undefined): Boot | undefined {
  if (known === undefined || now === undefined) return undefined;
  return known === now ? 'same' : 'new';
}

/**
 * `new` as soon as one VM of the roster is at rest or absent: taken for new, a host only gets back what does not run on it. Taken for the
 * same, its VMs stay down and nobody is told.
 */
export function bootByList(roster: readonly VmId[], list: HostVmList): Boot {
  const stillThere = (id: VmId): boolean => list.vms.some((v) => v.vmId === id && !isAtRest(v.state));
  return roster.every(stillThere) ? 'same' : 'new';
}
