import type { ActOutcome } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import { faultFor, leavesUnknown, wasNotSent } from './driver-faults';
import { isVimError } from './errors';
import type { Vcenter } from './vcenter';

/** What an act that ended with an error came to. What is no answer of a vCenter is thrown again. */
export function outcomeOfFailure(error: unknown, vcenter: Vcenter): Exclude<ActOutcome, { kind: 'ok' }> {
  if (error instanceof DriverFault) {
    const { fault } = error;
    return { kind: fault.class === 'permanent' ? 'refused' : 'unreachable', fault };
  }
  if (!isVimError(error)) throw error;
  const fault = faultFor(error, vcenter.site);
  if (wasNotSent(error)) return { kind: fault.class === 'permanent' ? 'refused' : 'unreachable', fault };
  return { kind: leavesUnknown(error) ? 'unknown' : 'refused', fault };
}
