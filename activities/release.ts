/** Frees a dead host's locks on its own VMs' images, pool by pool: list, check whose, release, list again. Needs evidence. */
import { Context } from '@temporalio/activity';
import type { FenceEvidence } from '../domain/evidence';
import { DriverFault, type Fault, fault } from '../domain/faults';
import { findPool } from '../domain/fleet';
import type { HostId, IncidentId, PoolId, VmId } from '../domain/ids';
import { mayBeShared, type VmRecord } from '../domain/records';
import { describeFaults } from './incident';
import { freshEvidence } from './fence';
import { faultOf, isOfInventory } from './fault-boundary';
import { mustBeArmed } from './armed';
import { declaredCluster, type Environment, lookEveryMs, pause, signal, tell } from './environment';
import type { HeldLock } from './ports';
import { sideBySide } from './side-by-side';

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
    for (const [pool, end] of await releaseSideBySide(env, images, input)) {
      if (end.kind === 'over') sentences.push(end.sentence);
      else if (end.kind === 'refused') faults.push(end.fault);
      else {
        silent.push(end.fault);
        sentences.push(`pool ${pool}: its VMs wait (${end.fault.sentence})`);
      }
    }
    // A pool that is silent keeps only its own VMs waiting; with no other to go on with, a person must hear of it.
    if (input.alone === true || images.size === silent.length + faults.length) faults.push(...silent);
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

type PoolEnd =
  | { readonly kind: 'over'; readonly sentence: string }
  | { readonly kind: 'refused' | 'silent'; readonly fault: Fault };

interface ReleaseOrder {
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly evidence: FenceEvidence;
  readonly mode: 'act' | 'rehearse';
  readonly alone?: true;
}

/** A silence that lasts this long is told while it is waited for. */
const waitToldAfterMs = 10_000;

/**
 * With patience, and not for ever: a storage server or a fence device that stays silent is a person's matter, and said. Once one pool is done
 * and all the others were asked, nobody waits for storage that is silent but its own VMs: their starts release it (`releaseForStart`).
 */
async function releaseSideBySide(
  env: Environment,
  images: ReadonlyMap<PoolId, readonly string[]>,
  input: ReleaseOrder,
): Promise<readonly (readonly [PoolId, PoolEnd])[]> {
  const begunMs = Date.now();
  const deadline = begunMs + declaredCluster(env, input.hostId).policy.storageDeadlineMs;
  const ends = new Map<PoolId, PoolEnd>();
  const goOn = new AbortController();
  const note = (pool: PoolId, end: PoolEnd): void => {
    ends.set(pool, end);
    const known = [...ends.values()];
    const onlyStorage = known.every((e) => e.kind !== 'silent' || e.fault.code === 'HOST_COMMAND_FAILED');
    const enough = ends.size === images.size && known.some((e) => e.kind !== 'silent');
    if (enough && onlyStorage && input.alone !== true) goOn.abort();
  };
  await sideBySide(
    [...images].map(([pool, paths]) => async (over: AbortSignal): Promise<void> => {
      for (;;) {
        const end = await releasedOrNot(env, pool, paths, input);
        note(pool, end);
        if (end.kind !== 'silent' || Date.now() >= deadline) return;
        if (Date.now() >= begunMs + waitToldAfterMs) await tellWaiting(env, pool, end.fault, input);
        await pause(lookEveryMs * 4, over, goOn.signal);
        if (over.aborted || goOn.signal.aborted) return;
      }
    }),
  );
  return [...images.keys()].flatMap((pool) => {
    const end = ends.get(pool);
    return end === undefined ? [] : [[pool, end] as const];
  });
}

async function releasedOrNot(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  input: ReleaseOrder,
): Promise<PoolEnd> {
  try {
    return { kind: 'over', sentence: await releasePool(env, pool, paths, input) };
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined || isOfInventory(known)) throw error;
    if (known.code === 'POOL_UNSUPPORTED') return { kind: 'over', sentence: known.sentence };
    return { kind: known.class === 'transient' ? 'silent' : 'refused', fault: known };
  }
}

async function tellWaiting(env: Environment, pool: PoolId, why: Fault, input: ReleaseOrder): Promise<void> {
  if (input.mode === 'rehearse' || input.alone === true) return;
  const summary = `waiting for pool ${pool}: ${why.sentence}`;
  if ((await tell(env, input.incidentId, `locks-wait-${pool}`, 'observation', summary)) === 'already') return;
  await env.inventory.updateIncident(input.incidentId, { summary });
}

/**
 * What a VM's old host left on its disks, released before another look at them: a release for the whole host may have met silent storage, or
 * the locks may have come to light since. Says what keeps them, if anything does.
 */
export async function releaseForStart(
  env: Environment,
  vm: VmRecord,
  incidentId: IncidentId,
  proofs: readonly FenceEvidence[],
): Promise<Fault | undefined> {
  // The newest, as for the permit: a host that came back and failed again has an older proof that has lapsed.
  const given = proofs.filter((e) => e.hostId === vm.hostId).at(-1);
  const evidence = given ?? (await env.inventory.evidenceFor(vm.hostId));
  if (evidence === undefined) return undefined;
  const order: ReleaseOrder = { hostId: vm.hostId, incidentId, evidence, mode: 'act' };
  for (const [pool, paths] of imagesOf([vm])) {
    const end = await releasedOrNot(env, pool, paths, order);
    if (end.kind !== 'over') return end.fault;
    await tell(env, incidentId, `locks-${pool}-${vm.vmId}`, 'observation', `${vm.name}: ${end.sentence}`);
  }
  return undefined;
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
      const held = await heldFrom(env, pool, paths, id);
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

/** A server that took the notice frees the locks in its own time. */
const freedWithinMs = 10_000;

async function heldFrom(
  env: Environment,
  pool: PoolId,
  paths: readonly string[],
  host: HostId,
): Promise<string[]> {
  const until = Date.now() + freedWithinMs;
  for (;;) {
    const held: string[] = [];
    for (const path of paths)
      if ((await env.storageLocks.probe(pool, path, host, signal())) === 'held') held.push(path);
    if (held.length === 0 || Date.now() >= until) return held;
    await pause(lookEveryMs * 4);
  }
}

const whoHolds = (locks: readonly HeldLock[]): string =>
  locks.map((l) => `${l.path} is locked by ${ownerName(l.owner)}`).join('; ');

const ownerName = (owner: HostId | { readonly foreign: string }): string =>
  typeof owner === 'string' ? owner : owner.foreign;

const imagesByPool = async (env: Environment, vmIds: readonly VmId[]): Promise<Map<PoolId, string[]>> =>
  imagesOf(await env.inventory.vms({ ids: vmIds }));

/** Not those that several VMs may have open at once: a sibling on a living host holds them by right. */
function imagesOf(vms: readonly VmRecord[]): Map<PoolId, string[]> {
  const images = new Map<PoolId, string[]>();
  for (const vm of vms) {
    for (const disk of vm.shape.disks) {
      if (disk.poolId === undefined || mayBeShared(disk)) continue;
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
