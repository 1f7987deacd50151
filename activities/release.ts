/** Frees a dead host's locks on its own VMs' images, pool by pool: list, check whose, release, list again. Needs evidence. */
import { Context } from '@temporalio/activity';
import type { FenceEvidence } from '../domain/evidence';
import { DriverFault, type Fault, fault } from '../domain/faults';
import { findPool } from '../domain/fleet';
import type { HostId, IncidentId, PoolId, VmId } from '../domain/ids';
import type { VmRecord } from '../domain/records';
import { describeFaults } from './incident';
import { freshEvidence } from './fence';
import { faultOf, isOfInventory } from './fault-boundary';
import { mustBeArmed } from './armed';
import { declaredCluster, type Environment, lookEveryMs, pause, signal, tell } from './environment';
import type { HeldLock } from './ports';

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
    alone?: true;
  }): Promise<ReleaseResult> {
    if (input.mode === 'act') await mustBeArmed(env, declaredCluster(env, input.hostId).id);
    const images = await imagesByPool(env, input.vmIds);
    const sentences: string[] = [];
    const faults: Fault[] = [];
    const silent: Fault[] = [];
    for (const [pool, paths] of images) {
      try {
        sentences.push(await untilReleased(env, pool, paths, input));
      } catch (error) {
        const known = faultOf(error);
        if (known === undefined || isOfInventory(known)) throw error;
        if (known.class === 'transient') {
          silent.push(known);
          sentences.push(`pool ${pool}: its VMs wait (${known.sentence})`);
        } else if (known.code === 'POOL_UNSUPPORTED') sentences.push(known.sentence);
        else faults.push(known);
      }
    }
    // A pool that is silent keeps only its own VMs waiting; with no other to go on with, a person must hear of it.
    if (images.size === silent.length + faults.length) faults.push(...silent);
    if (input.mode === 'act') {
      const free = faults.length === 0;
      const summary = free ? sentences.join('; ') || 'no pool holds locks' : describeFaults(faults);
      if (input.alone !== true)
        await env.inventory.updateIncident(input.incidentId, {
          phase: free ? 'restarting' : 'blocked-locks',
          summary,
          nextCommand: free ? undefined : faults[0]?.next,
        });
      const once =
        input.alone === true
          ? `locks-alone-${Context.current().info.workflowExecution?.runId ?? ''}`
          : undefined;
      const key = once ?? (free ? 'locks-free' : `locks-${summary}`);
      await tell(env, input.incidentId, key, 'observation', summary);
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

/** With patience, and not for ever: a storage server or a fence device that stays silent is a person's matter, and said. */
async function untilReleased(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  input: { hostId: HostId; evidence: FenceEvidence; mode: 'act' | 'rehearse' },
): Promise<string> {
  const deadline = Date.now() + declaredCluster(env, input.hostId).policy.storageDeadlineMs;
  for (;;) {
    try {
      return await releasePool(env, pool, paths, input);
    } catch (error) {
      const known = faultOf(error);
      if (known?.class !== 'transient' || isOfInventory(known) || Date.now() >= deadline) throw error;
    }
    await pause(lookEveryMs * 4);
  }
}

async function releasePool(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  input: { hostId: HostId } & ({ evidence: FenceEvidence; mode: 'act' } | { mode: 'rehearse' }),
): Promise<string> {
  const declared = findPool(env.fleet, pool);
  if (declared === undefined || !env.storageLocks.strategies.includes(declared.lockStrategy))
    throw new DriverFault('POOL_UNSUPPORTED', { pool, vm: 'its VMs' });
  const before = await env.storageLocks.list(pool, paths, input.hostId, signal());
  if (before.knows === 'none')
    return `pool ${pool} carries no locks between hosts: the evidence alone decides`;
  const foreign = before.locks.filter((l) => l.owner !== input.hostId);
  if (foreign.length > 0)
    throw new DriverFault('LOCKS_NOT_RELEASED', { host: input.hostId, pool, detail: whoHolds(foreign) });
  const nothing = before.knows === 'locks' && before.locks.length === 0;
  if (input.mode === 'rehearse' && nothing) return `${input.hostId} holds no locks on ${pool}`;
  if (input.mode === 'rehearse')
    return before.knows === 'locks'
      ? `would release ${before.locks.length} locks of ${input.hostId} on ${pool}`
      : `would release what ${input.hostId} holds on ${pool}, whose locks cannot be listed`;
  const evidence = await freshEvidence(env, input.evidence);
  await env.storageLocks.release(pool, before.locks, evidence, signal());
  if (before.knows === 'probe-only') return probed(env, pool, paths, input.hostId);
  const after = await env.storageLocks.list(pool, paths, input.hostId, signal());
  if (after.locks.length > 0) {
    const detail = `the release was answered, and still ${whoHolds(after.locks)}`;
    throw new DriverFault('LOCKS_NOT_RELEASED', { host: input.hostId, pool, detail });
  }
  if (nothing) return `${input.hostId} held no locks on ${pool}`;
  return `${before.locks.length} locks of ${input.hostId} on ${pool} released, read back as gone`;
}

/** Where nobody can list locks, another host that mounts the pool asks for each of them. The first that can tell is believed. */
async function probed(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  dead: HostId,
): Promise<string> {
  const inService = (await env.inventory.hosts())
    .filter((h) => h.standing === 'in-service')
    .map((h) => h.hostId);
  const hosts = env.fleet.clusters
    .flatMap((c) => c.hosts)
    .filter((h) => h.id !== dead && h.pools.includes(pool) && inService.includes(h.id));
  let last: unknown = new DriverFault('HOST_COMMAND_FAILED', {
    host: dead,
    detail: `no other host in service mounts ${pool}, so nobody can say whether its locks are gone`,
  });
  for (const { id } of hosts) {
    try {
      const held: string[] = [];
      for (const path of paths)
        if ((await env.storageLocks.probe(pool, path, id, signal())) === 'held') held.push(path);
      if (held.length === 0)
        return `what ${dead} held on ${pool} was released; ${id} could lock its ${paths.length} images (the server shows no more)`;
      const detail = `the release was answered, and ${id} finds ${held.join(', ')} still locked`;
      throw new DriverFault('LOCKS_NOT_RELEASED', { host: dead, pool, detail });
    } catch (error) {
      if (faultOf(error)?.class !== 'transient') throw error;
      last = error;
    }
  }
  throw last;
}

const whoHolds = (locks: readonly HeldLock[]): string =>
  locks.map((l) => `${l.path} is locked by ${ownerName(l.owner)}`).join('; ');

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

/** Of a VM with a disk that lies in no pool of the config: nobody could say what guards it. */
export function poolNotKnown({ name, shape }: VmRecord): Fault | undefined {
  const disk = shape.disks.find((d) => d.poolId === undefined);
  return disk === undefined ? undefined : fault('POOL_UNSUPPORTED', { pool: `of ${disk.path}`, vm: name });
}
