import type { HostId } from '../../domain/ids';

/**
 * What a host tells by itself. A hint says no more than "look soon": nothing may be concluded from one, and nothing from there being none.
 */
export interface HintsPort {
  /**
   * Calls `heard` when something about the host's VMs, or the connection to it, has changed, until the signal is aborted. Hints may be lost, late,
   * doubled or about nothing. Returns sooner where the driver has none to give. Never throws.
   */
  follow(host: HostId, heard: () => void, signal: AbortSignal): Promise<void>;
}
