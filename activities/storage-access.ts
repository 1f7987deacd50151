/** Which pools a host loses its access to when it fails, and what is known of that access now. */
import { DriverFault } from '../domain/faults';
import { findPool, type Fleet, type Host } from '../domain/fleet';
import type { HostId, IncidentId, PoolId } from '../domain/ids';
import { declaredHost, type Environment, signal } from './environment';
import { faultOf } from './fault-boundary';

/** Pools of the host whose servers can be told to take no write of it. */
export const poolsToCut = (fleet: Fleet, host: Host): PoolId[] =>
  host.pools.filter((id) => findPool(fleet, id)?.cutAccess !== undefined);

/** Pools on which this incident found the host's access open, and set out to cut it. */
export async function cutBy(env: Environment, incident: IncidentId): Promise<PoolId[]> {
  return (await env.inventory.timeline(incident))
    .filter((e) => e.kind === 'act' && e.facts['call'] === 'cut-access' && e.facts['access'] === 'open')
    .map((e) => e.facts['pool'] as PoolId);
}

/** Throws `ACCESS_NOT_CHANGED` while a pool still takes no write of the host because of this incident: such a host takes no VMs. */
export async function mustHaveAccess(env: Environment, host: HostId, incident: IncidentId): Promise<void> {
  for (const pool of await cutBy(env, incident))
    if ((await env.storageAccess.read(pool, host, signal())) === 'cut')
      throw new DriverFault('ACCESS_NOT_CHANGED', {
        host,
        pool,
        what: 'restored',
        detail: 'it is still cut',
      });
}

/** Before a host is in service: whatever kept it from its pools is taken back, read back. @returns what was done, in sentences. */
export async function restoreEverywhere(
  env: Environment,
  hostId: HostId,
  mode: 'act' | 'rehearse',
): Promise<string[]> {
  const did: string[] = [];
  for (const pool of poolsToCut(env.fleet, declaredHost(env, hostId))) {
    const was = await env.storageAccess.read(pool, hostId, signal());
    // Also where it reads as open: what was cut half way is open, and is taken back like the rest.
    if (mode === 'act') await env.storageAccess.restore(pool, hostId, signal());
    if (was === 'cut')
      did.push(`${hostId} ${mode === 'act' ? 'may' : 'would be let'} write to ${pool} again`);
  }
  return did;
}

/** What a rehearsal says of one pool. */
export async function wouldCut(env: Environment, host: HostId, pool: PoolId): Promise<string> {
  try {
    const now = await env.storageAccess.read(pool, host, signal());
    return `would have the server of ${pool} take no write of ${host} any more; its access is ${now} now`;
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined) throw error;
    return `could not cut its access to ${pool}, and would go on without: ${known.sentence}`;
  }
}
