import type { FenceDevice } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import type { PowerReading } from '../../domain/observations';

/**
 * Power of a host through one fence device. Only `status` proves anything: what `off` returns is not evidence, the reading after it
 * is. A device that is silent, refuses the login or answers nonsense throws; there is no reading called "unknown".
 *
 * Faults: `FENCE_DEVICE_SILENT`, `FENCE_LOGIN_REFUSED`; from `off` also `FENCE_OFF_NOT_TAKEN` (answered, still on) and
 * `FENCE_OUTCOME_UNKNOWN` (no answer after the command may have been sent).
 */
export interface FencingPort {
  /** Reads the power. Never acts. Repeatable. */
  status(host: HostId, device: FenceDevice, signal: AbortSignal): Promise<PowerReading>;
  /** Asks for power off and returns once the device has taken it. A host that is off already is a success. Repeatable. */
  off(host: HostId, device: FenceDevice, signal: AbortSignal): Promise<void>;
}
