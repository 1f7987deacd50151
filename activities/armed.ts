/** Before each new act: is it still allowed? What is under way in a device or a hypervisor comes to its end; the next act waits. */
import { armCommand, disarmedBy, disarmedSentence } from '../domain/armed';
import { DriverFault, type Fault, fault } from '../domain/faults';
import type { ClusterId } from '../domain/ids';
import type { Environment } from './environment';

/** The fault `DISARMED` while no new act is allowed. */
export async function whyDisarmed(env: Environment, cluster: ClusterId): Promise<Fault | undefined> {
  const off = disarmedBy(await env.inventory.switches(), cluster);
  if (off === undefined) return undefined;
  return fault('DISARMED', { detail: disarmedSentence(off), command: armCommand(off) });
}

/** Throws `DISARMED`, which is tried again for ever: the recovery pauses here until somebody arms again. */
export async function mustBeArmed(env: Environment, cluster: ClusterId): Promise<void> {
  const why = await whyDisarmed(env, cluster);
  if (why !== undefined) throw new DriverFault(why.code, why.facts);
}
