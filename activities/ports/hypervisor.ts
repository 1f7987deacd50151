import type { ResumePermit, StartPermit } from '../../domain/evidence';
import type { Fault } from '../../domain/faults';
import type { HostId, VmId } from '../../domain/ids';
import type { HostSign, HostVmList } from '../../domain/observations';
import type { StoredDefinition, VmShape } from '../../domain/records';

/**
 * What an act on a hypervisor came to. `refused`: it answered, and the act did not happen. `unreachable`: the act was not sent.
 * `unknown`: it was sent and not answered, so it may have happened: read until it is known.
 */
export type ActOutcome =
  | { readonly kind: 'ok' }
  | { readonly kind: 'refused'; readonly fault: Fault }
  | { readonly kind: 'unreachable'; readonly fault: Fault }
  | { readonly kind: 'unknown'; readonly fault: Fault };

export interface ReadDefinition {
  readonly vmId: VmId;
  readonly name: string;
  readonly persistent: boolean;
  readonly autostart: boolean;
  readonly text: string;
  readonly shape: VmShape;
}

/**
 * One host's hypervisor. Reads throw `HYPERVISOR_UNREACHABLE`, `HYPERVISOR_BUSY` or `LIST_INCOMPLETE`; acts return an `ActOutcome`.
 * Every call has a deadline of its own and is bulkheaded per host, so that a hung host never slows another. Aborting the signal ends
 * the call and whatever it started here; it undoes nothing on the host.
 */
export interface HypervisorPort {
  /** A short look at the daemon. Never throws: refused, silent and hung are answers. */
  probe(host: HostId, signal: AbortSignal): Promise<Extract<HostSign, { source: 'hypervisor' }>>;
  /** Every VM the host knows, with its state; complete or thrown. "Absent" may be concluded only from this. */
  list(host: HostId, signal: AbortSignal): Promise<HostVmList>;
  /** Definitions of the VMs named (all when undefined), read in one go. A VM that vanished meanwhile is left out. */
  definitions(host: HostId, vms: readonly VmId[] | undefined, signal: AbortSignal): Promise<ReadDefinition[]>;
  /** Makes the definition known on the host without starting it. Repeatable: the same definition again is `ok`. */
  define(host: HostId, definition: StoredDefinition, signal: AbortSignal): Promise<ActOutcome>;
  /**
   * Starts the VM on the permit's target. A persistent VM must have been defined there; a transient one is created from its stored
   * definition. Running there already is `ok`. A lock held by somebody else is `refused` with `LOCK_HELD` and the holder where known.
   */
  start(
    permit: StartPermit,
    definition: StoredDefinition,
    persistent: boolean,
    signal: AbortSignal,
  ): Promise<ActOutcome>;
  /**
   * Lets a VM go on that stands paused on the permit's target. `ok`: it was let go on, or runs there already; it may stand paused again at
   * once, when its disk still fails. At rest or gone is `refused`.
   */
  resume(permit: ResumePermit, signal: AbortSignal): Promise<ActOutcome>;
  /** Ends the process of a VM that stands paused there, as a crash would. Not there, or at rest, is `ok`; one that runs is `refused`. */
  endPaused(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome>;
  /** Asks the guest to shut down, as its power button would; it may take its time, or not react. At rest, or not there, is `ok`. */
  shutDown(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome>;
  /**
   * Ends the VM's process as pulling its plug would: what the guest has not written is lost. Only where a person, or a policy that a person switched
   * on, wants it stopped and its guest does not hear. At rest, or not there, is `ok`.
   */
  end(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome>;
  /** Takes the definition away. Refused while the VM runs there. Not known there is `ok`. */
  undefine(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome>;
  /** Keeps the host from starting the VM by itself at boot. */
  disableAutostart(host: HostId, vm: VmId, signal: AbortSignal): Promise<ActOutcome>;
}
