/** Frees a dead host's locks on its own VMs' images, pool by pool: list, check whose, release, list again. Needs evidence. */
import type { FenceEvidence } from '../domain/evidence';
import { DriverFault, type Fault, fault } from '../domain/faults';
import { findPool } from '../domain/fleet';
import type { HostId, IncidentId, PoolId, VmId } from '../domain/ids';
import { describeFaults } from './incident';
import { freshEvidence } from './fence';
import { faultOf } from './fault-boundary';
import { mustBeArmed } from './armed';
import { declaredCluster, type Environment, signal, tell } from './environment';

export type ReleaseResult =
  | { readonly kind: 'free'; readonly sentences: readonly string[] }
  | { readonly kind: 'blocked'; readonly faults: readonly Fault[] };

export const releaseActivities = (env: Environment) => ({
  async releaseHostLocks(input: {
    hostId: HostId;
    incidentId: IncidentId;
    evidence: FenceEvidence;
    vmIds: readonly VmId[];
    mode: 'act' | 'rehearse';
  }): Promise<ReleaseResult> {
    if (input.mode === 'act') await mustBeArmed(env, declaredCluster(env, input.hostId).id);
    const images = await imagesByPool(env, input.vmIds);
    const sentences: string[] = [];
    const faults: Fault[] = [];
    for (const [pool, paths] of images) {
      try {
        sentences.push(await releasePool(env, pool, paths, input));
      } catch (error) {
        const known = faultOf(error);
        if (known === undefined || known.class === 'transient') throw error;
        faults.push(known);
      }
    }
    if (input.mode === 'act') {
      const free = faults.length === 0;
      const summary = free ? sentences.join('; ') || 'no pool holds locks' : describeFaults(faults);
      await env.inventory.updateIncident(input.incidentId, {
        phase: free ? 'restarting' : 'blocked-locks',
        summary,
        nextCommand: free ? undefined : faults[0]?.next,
      });
      await tell(env, input.incidentId, free ? 'locks-free' : `locks-${summary}`, 'observation', summary);
    }
    return faults.length > 0 ? { kind: 'blocked', faults } : { kind: 'free', sentences };
  },

  /** What a release would do now, pool by pool, as sentences. Reads only. */
  async rehearseRelease(input: { hostId: HostId; vmIds: readonly VmId[] }): Promise<string[]> {
    const would: string[] = [];
    for (const [pool, paths] of await imagesByPool(env, input.vmIds)) {
      try {
        would.push(await releasePool(env, pool, paths, { ...input, mode: 'rehearse' }));
      } catch (error) {
        const known = faultOf(error);
        if (known === undefined || known.class === 'transient') throw error;
        would.push(`would wait for a person: ${known.sentence}`);
      }
    }
    return would;
  },
});

async function releasePool(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  input: { hostId: HostId } & ({ evidence: FenceEvidence; mode: 'act' } | { mode: 'rehearse' }),
): Promise<string> {
  const declared = findPool(env.fleet, pool);
  if (declared === undefined || !env.storageLocks.strategies.includes(declared.lockStrategy))
    throw new DriverFault('POOL_UNSUPPORTED', { pool, vm: 'its VMs' });
  const before = await env.storageLocks.list(pool, paths, signal());
  if (before.knows === 'none')
    return `pool ${pool} carries no locks between hosts: the evidence alone decides`;
  const foreign = before.locks.filter((l) => l.owner !== input.hostId);
  if (foreign.length > 0) {
    const detail = foreign.map((l) => `${l.path} is locked by ${ownerName(l.owner)}`).join('; ');
    throw new DriverFault('LOCKS_NOT_RELEASED', { host: input.hostId, pool, detail });
  }
  if (input.mode === 'rehearse')
    return `would release ${before.locks.length} locks of ${input.hostId} on ${pool}`;
  const evidence = await freshEvidence(env, input.evidence);
  await env.storageLocks.release(pool, before.locks, evidence, signal());
  const after = await env.storageLocks.list(pool, paths, signal());
  const left = after.locks.filter((l) => l.owner === input.hostId);
  if (left.length > 0) {
    const detail = `the release was answered and ${left.map((l) => l.path).join(', ')} is still locked`;
    throw new DriverFault('LOCKS_NOT_RELEASED', { host: input.hostId, pool, detail });
  }
  return `${before.locks.length} locks of ${input.hostId} on ${pool} released, read back as gone`;
}

const ownerName = (owner: HostId | { readonly foreign: string }): string =>
  typeof owner === 'string' ? owner : owner.foreign;

async function imagesByPool(env: Environment, vmIds: readonly VmId[]): Promise<Map<PoolId, string[]>> {
  const images = new Map<PoolId, string[]>();
  for (const vm of await env.inventory.vms({ ids: vmIds })) {
    for (const disk of vm.shape.disks) {
      if (disk.poolId === undefined) continue;
      images.set(disk.poolId, [...(images.get(disk.poolId) ?? []), disk.path]);
    }
  }
  return images;
}

export const poolUnsupported = (pool: PoolId, vm: string): Fault => fault('POOL_UNSUPPORTED', { pool, vm });
