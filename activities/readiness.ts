/**
 * Gathers what readiness is judged by, from every host, device and pool of a cluster at once. Reads only. Each source's silence is an answer
 * like any other: it is for the domain to say what follows from it.
 */
import type { Host, Pool } from '../domain/fleet';
import type { ClusterId, HostId } from '../domain/ids';
import {
  assessReadiness,
  countOf,
  type DeviceFact,
  type HostFacts,
  type ImageSight,
  type PoolFacts,
  type Read,
} from '../domain/readiness';
import { type HostRecord, mayBeShared, type VmDisk, type VmRecord } from '../domain/records';
import { clusterById, type Environment, nowIso, signal } from './environment';
import { faultOf } from './fault-boundary';
import { endCured } from './watch-readiness';

export interface ReadinessSummary {
  readonly kind: 'checked';
  readonly clusterId: ClusterId;
  readonly at: string;
  readonly comeBack: number;
  readonly wouldNot: number;
  readonly findings: number;
}

export const readinessActivities = (env: Environment) => ({
  /** Asks every device of every level for its status; on the queue of the slow devices. A device that refused a login is not asked again. */
  async readFenceDevices(input: { clusterId: ClusterId; retryLogins?: true }): Promise<DeviceFact[]> {
    const { hosts } = clusterById(env, input.clusterId);
    const devices = hosts.flatMap((h) => h.fenceLevels.flatMap((l) => l.devices.map((d) => d.id)));
    if (input.retryLogins === true) await env.inventory.forgetLoginRefusals(devices);
    const asked = hosts.flatMap((host) =>
      host.fenceLevels.flatMap((level) => level.devices.map((d) => deviceFact(env, host, level.name, d))),
    );
    return Promise.all(asked);
  },

  /** Everything else, judged and stored. */
  async assessCluster(input: {
    clusterId: ClusterId;
    devices: readonly DeviceFact[];
  }): Promise<ReadinessSummary> {
    const cluster = clusterById(env, input.clusterId);
    const [records, vms] = await Promise.all([
      env.inventory.hosts({ clusterId: cluster.id }),
      env.inventory.vms({ clusterId: cluster.id }),
    ]);
    const hosts = await Promise.all(
      cluster.hosts.map((host) => hostFacts(env, host, records, vms, input.devices)),
    );
    const used = new Set(cluster.hosts.flatMap((h) => h.pools));
    const pools = await Promise.all(
      env.fleet.pools.filter((p) => used.has(p.id)).map((pool) => poolFacts(env, pool, hosts, vms)),
    );
    // Asked for as a start would: what the record counts says nothing of a row that is lost.
    const isStored = async ({ vmId }: VmRecord): Promise<boolean> =>
      (await env.inventory.definition(vmId)) !== undefined;
    const known = await Promise.all(
      vms.map(async (record) => ({ record, definitionStored: await isStored(record) })),
    );
    const report = assessReadiness({ cluster, at: nowIso(), hosts, pools, vms: known });
    await env.inventory.storeReadiness(report);
    await endCured(env, report);
    return {
      kind: 'checked',
      ...{ clusterId: cluster.id, at: report.at, findings: report.findings.length },
      ...{ comeBack: countOf(report, 'comes-back'), wouldNot: countOf(report, 'would-not') },
    };
  },
});

/** A fault of the source is what could not be read; anything else goes up. */
async function read<T>(from: Promise<T>): Promise<Read<T>> {
  try {
    return { kind: 'read', value: await from };
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    return { kind: 'not-read', detail: fault.facts['detail'] ?? fault.sentence };
  }
}

async function deviceFact(
  env: Environment,
  { id: hostId }: Host,
  level: string,
  device: Host['fenceLevels'][number]['devices'][number],
): Promise<DeviceFact> {
  const fact = { hostId, level, deviceId: device.id };
  const health = await env.inventory.deviceHealth(device.id);
  if (health.loginRefusals > 0)
    return {
      ...fact,
      says: 'login-refused',
      detail: `it refused ${health.loginRefusals} times, and is not asked again because BMCs lock accounts`,
    };
  try {
    const reading = await env.fencing.status(hostId, device, signal());
    await env.inventory.noteDeviceAnswer(device.id, 'answered', reading.observedAt);
    return { ...fact, says: reading.power, detail: `read "${reading.power}"` };
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    const detail = fault.facts['detail'] ?? fault.sentence;
    if (fault.code !== 'FENCE_LOGIN_REFUSED') return { ...fact, says: 'silent', detail };
    await env.inventory.noteDeviceAnswer(device.id, 'login-refused', nowIso());
    return { ...fact, says: 'login-refused', detail };
  }
}

async function hostFacts(
  env: Environment,
  host: Host,
  records: readonly HostRecord[],
  vms: readonly VmRecord[],
  devices: readonly DeviceFact[],
): Promise<HostFacts> {
  const pools = env.fleet.pools.filter((p) => host.pools.includes(p.id));
  // The list first and by itself: it has the shortest deadline, and the survey keeps a slow host busy for seconds.
  const list = await read(env.lists.read(host.id));
  const [survey, images] = await Promise.all([
    read(env.survey.survey(host.id, pools, signal())),
    read(looksAt(env, host, pools, vms)),
  ]);
  return {
    ...{ host, list, survey, images },
    standing: records.find((r) => r.hostId === host.id)?.standing ?? 'not seen yet',
    devices: devices.filter((d) => d.hostId === host.id),
  };
}

/** Disks looked at in one call: each is a process on the host for a moment. */
const disksPerLook = 50;

/** Volumes of LVM are inactive wherever their VM does not run, so only files say something here. */
async function looksAt(
  env: Environment,
  host: Host,
  pools: readonly Pool[],
  vms: readonly VmRecord[],
): Promise<ImageSight[]> {
  const files = pools.filter((p) => p.type !== 'lvm').map((p) => p.id);
  const disks: VmDisk[] = vms
    .filter((v) => v.protected && v.hostId !== host.id)
    .flatMap((v) => v.shape.disks.filter((d) => d.poolId !== undefined && files.includes(d.poolId)));
  const sights: ImageSight[] = [];
  for (let i = 0; i < disks.length; i += disksPerLook) {
    const seen = await env.hostCommands.inspectDisks(host.id, disks.slice(i, i + disksPerLook), signal());
    sights.push(...seen.map((s) => ({ ...s, detail: s.seen === 'usable' ? '' : s.detail })));
  }
  return sights;
}

async function poolFacts(
  env: Environment,
  pool: Pool,
  hosts: readonly HostFacts[],
  vms: readonly VmRecord[],
): Promise<PoolFacts> {
  const [strategy, lockTest, access] = await Promise.all([
    strategyOf(env, pool, hosts, vms),
    lockTestOf(env, pool, hosts),
    accessOf(env, pool, hosts),
  ]);
  return { pool, strategy, lockTest, ...(access.length > 0 && { access }) };
}

/** One after the other: each is a question to the same server. A host that is out of service may be cut as it should. */
async function accessOf(
  env: Environment,
  pool: Pool,
  hosts: readonly HostFacts[],
): Promise<NonNullable<PoolFacts['access']>> {
  if (pool.cutAccess === undefined) return [];
  const access: { hostId: HostId; read: Read<'open' | 'cut'> }[] = [];
  for (const { host, standing } of hosts)
    if (standing === 'in-service' && host.pools.includes(pool.id))
      access.push({ hostId: host.id, read: await read(env.storageAccess.read(pool.id, host.id, signal())) });
  return access;
}

/** The list is what a release begins with: who can read it has the way, the port and the rights. */
async function strategyOf(
  env: Environment,
  pool: Pool,
  hosts: readonly HostFacts[],
  vms: readonly VmRecord[],
): Promise<PoolFacts['strategy']> {
  if (pool.lockStrategy === 'unsupported') return undefined;
  if (!env.storageLocks.strategies.includes(pool.lockStrategy))
    return { kind: 'not-read', detail: `this VMedic has no driver for ${pool.lockStrategy}` };
  const images = vms.flatMap((v) =>
    v.shape.disks.filter((d) => d.poolId === pool.id && !mayBeShared(d)).map((d) => d.path),
  );
  // Whose they are does not matter here, only that they can be read.
  const suspect = vms[0]?.hostId ?? hosts[0]?.host.id;
  if (suspect === undefined) return undefined;
  const listing = await read(env.storageLocks.list(pool.id, images, suspect, signal()));
  return listing.kind === 'read' ? { kind: 'read', value: 'answers' } : listing;
}

/** Between the first two hosts that answer. Block devices have no locks between hosts at all. */
async function lockTestOf(
  env: Environment,
  pool: Pool,
  hosts: readonly HostFacts[],
): Promise<PoolFacts['lockTest']> {
  if (pool.path === undefined || (pool.type !== 'nfs' && pool.type !== 'dir')) return undefined;
  const able = hosts.filter((h) => h.host.pools.includes(pool.id) && h.survey.kind === 'read');
  const [holder, asker] = able.map((h) => h.host.id);
  if (holder === undefined || asker === undefined) return undefined;
  const test = await read(env.survey.testLocks(pool, holder, asker, signal()));
  return test.kind === 'read' ? test.value : { says: 'not-known', holder, asker, detail: test.detail };
}
