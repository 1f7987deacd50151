/** Before each new act: is it still allowed? What is under way in a device or a hypervisor comes to its end; the next act waits. */
import { armCommand, disarmedBy, disarmedSentence } from '../domain/armed';
import { DriverFault } from '../domain/faults';
import type { ClusterId } from '../domain/ids';
import type { Environment } from './environment';

/** Throws `DISARMED`, which is tried again for ever: the recovery pauses here until somebody arms again. */
export async function mustBeArmed(env: Environment, cluster: ClusterId): Promise<void> {
  const off = disarmedBy(await env.inventory.switches(), cluster);
  if (off !== undefined)
    throw new DriverFault('DISARMED', { detail: disarmedSentence(off), command: armCommand(off) });
}
