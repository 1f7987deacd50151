import type { ArmSwitch, FleetClaim, FleetOwner } from '../../domain/records';
import type { Timestamp } from '../../domain/observations';

/** Who owns the fleet, and whether it may act. Part of the inventory; the same faults. */
export interface SupervisionRows {
  /**
   * Takes the fleet, or says again that it is still held. `theirs` when another owner was heard of within `silentMsMax`; one that was not is
   * taken over, with a new `claimedAt`. Atomic: of two that claim at once one gets it.
   */
  claimFleet(
    owner: FleetOwner,
    at: Timestamp,
    silentMsMax: number,
  ): Promise<{ readonly is: 'ours' | 'theirs'; readonly claim: FleetClaim }>;
  fleetClaim(): Promise<FleetClaim | undefined>;
  switches(): Promise<ArmSwitch[]>;
  setSwitch(to: ArmSwitch): Promise<void>;
}
