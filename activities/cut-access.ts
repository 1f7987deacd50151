/**
 * A failed host's access to its storage, cut at the pools' servers before its power is, where the config says so. It is no proof of anything:
 * a pool whose server does not hear keeps no host from being fenced. It keeps a host from writing whose fence device is silent, too, or that
 * comes back before it is readmitted.
 */
import type { Fault } from '../domain/faults';
import type { HostId, IncidentId, PoolId } from '../domain/ids';
import { whyDisarmed } from './armed';
import { declaredCluster, declaredHost, type Environment, signal, tell } from './environment';
import { faultOf, isOfInventory } from './fault-boundary';
import { type LevelInput, signOfLife, wasOffSent } from './fence';
import { cutBy, poolsToCut } from './storage-access';

export const accessActivities = (env: Environment) => ({
  /** Cuts what can be cut, each read back. @returns what could not: it is tried again with the levels, and keeps nobody waiting. */
  async cutStorageAccess(
    input: Pick<LevelInput, 'hostId' | 'incidentId' | 'evenIf'>,
  ): Promise<{ readonly faults: readonly Fault[] }> {
    const host = declaredHost(env, input.hostId);
    // A host that is well after all keeps its storage; the fence level, which looks too, says so and ends it.
    if (
      !(await wasOffSent(env, input.incidentId)) &&
      (await signOfLife(env, host, input.evenIf)) !== undefined
    )
      return { faults: [] };
    const disarmed = await whyDisarmed(env, declaredCluster(env, host.id).id);
    if (disarmed !== undefined) return { faults: [disarmed] };
    const ends = await Promise.all(poolsToCut(env.fleet, host).map((pool) => cutOne(env, input, pool)));
    return { faults: ends.filter((f) => f !== undefined) };
  },

  /** The way back of a fence that was not: what this incident cut is open again, read back. What was cut before it stays so. */
  async restoreStorageAccess(input: { hostId: HostId; incidentId: IncidentId }): Promise<void> {
    for (const pool of await cutBy(env, input.incidentId)) {
      await env.storageAccess.restore(pool, input.hostId, signal());
      const sentence = `${input.hostId} may write to ${pool} again, read back`;
      await tell(env, input.incidentId, `access-open-${pool}`, 'act', sentence);
    }
  },
});

async function cutOne(
  env: Environment,
  { hostId, incidentId }: { hostId: HostId; incidentId: IncidentId },
  pool: PoolId,
): Promise<Fault | undefined> {
  try {
    const was = await env.storageAccess.read(pool, hostId, signal());
    // The intent first: an order to the server that was not answered may have been obeyed.
    const sentence = `access of ${hostId} to ${pool} is ${was === 'cut' ? 'cut already' : 'being cut at its server'}`;
    await tell(env, incidentId, `access-${pool}`, 'act', sentence, { call: 'cut-access', pool, access: was });
    await env.storageAccess.cut(pool, hostId, signal());
    const done = `the server of ${pool} takes no write of ${hostId} any more, read back`;
    await tell(env, incidentId, `access-cut-${pool}`, 'observation', done);
    return undefined;
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined || isOfInventory(known)) throw error;
    const sentence = `access of ${hostId} to ${pool} is not cut, and its fence goes on: ${known.sentence}`;
    await tell(env, incidentId, `access-not-cut-${pool}`, 'observation', sentence);
    return known;
  }
}
