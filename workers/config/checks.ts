/** What no single key shows: relations over the whole file, and what it points at. */
import { statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { limitProblems } from '../../domain/limits';
import { frontProblems, frontReferences } from './front-checks';
import { policyOf } from './fleet-of';
import { guestRepairProblems } from './guest-repair-checks';
import { heartbeatProblems } from './heartbeat-checks';
import { nfsProblems } from './nfs-checks';
import { type ConfigProblem, type Path, type Places, wayOut } from './problems';
import { isSecretReference, resolveSecret } from './secrets';
import type { FenceDeviceConfig, HostConfig, VmedicConfig } from './types';
import { placedVcenters, vsphereProblems } from './vsphere-checks';

/** Checks the options of a fence agent against what the agent says of itself; each problem a sentence. */
export type AgentCheck = (
  agent: string,
  options: Readonly<Record<string, string | number | boolean>>,
) => Promise<string[]>;

export interface CheckContext {
  readonly places: Places;
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface Placed<T> {
  readonly item: T;
  readonly path: Path;
}

const hostsOf = (config: VmedicConfig): Placed<HostConfig>[] =>
  config.clusters.flatMap((cluster, c) =>
    cluster.hosts.map((item, h) => ({ item, path: ['clusters', c, 'hosts', h] })),
  );

const devicesOf = (host: Placed<HostConfig>): Placed<FenceDeviceConfig>[] =>
  (host.item.fencing ?? []).flatMap((level, l) =>
    level.devices.map((item, d) => ({ item, path: [...host.path, 'fencing', l, 'devices', d] })),
  );

/** Relations within the file. Pure; true of it on any machine. */
export function relationProblems(config: VmedicConfig, places: Places): ConfigProblem[] {
  const hosts = hostsOf(config);
  const clusters = config.clusters.map((item, c) => ({ item, path: ['clusters', c] as Path }));
  const pools = (config.pools ?? []).map((item, p) => ({ item, path: ['pools', p] as Path }));
  return [
    ...duplicates('cluster', clusters, places),
    ...duplicates('host', hosts, places),
    ...duplicates('pool', pools, places),
    ...duplicates('fence device', hosts.flatMap(devicesOf), places),
    ...hosts.flatMap((host) => hostProblems(host, config, places)),
    ...pools.flatMap(({ item, path }) => poolProblems(item, path, places)),
    ...nfsProblems(hosts, pools, places),
    ...heartbeatProblems(hosts, pools, places),
    ...guestRepairProblems(hosts, pools, places),
    ...clusters.flatMap(({ item, path }) =>
      limitProblems(policyOf(item.policy, config.health?.default)).map((sentence) =>
        places.problem('error', [...path, 'policy'], sentence),
      ),
    ),
    ...simulationProblems(hosts, config, places),
    ...duplicates('vCenter', placedVcenters(config), places),
    ...vsphereProblems(hosts, config, places),
    ...frontProblems(config, places),
  ];
}

function duplicates(
  what: string,
  placed: readonly Placed<{ id: string }>[],
  places: Places,
): ConfigProblem[] {
  const first = new Map<string, Path>();
  return placed.flatMap(({ item, path }) => {
    const before = first.get(item.id);
    if (before === undefined) {
      first.set(item.id, path);
      return [];
    }
    const { line } = places.problem('error', [...before, 'id'], '');
    return [
      places.problem(
        'error',
        [...path, 'id'],
        `${what} ${item.id} is declared on line ${line} already; give this one an id of its own`,
      ),
    ];
  });
}

function hostProblems(
  { item, path }: Placed<HostConfig>,
  config: VmedicConfig,
  places: Places,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const known = (config.pools ?? []).map((p) => p.id);
  (item.pools ?? []).forEach((pool, p) => {
    if (!known.includes(pool))
      problems.push(
        places.problem('error', [...path, 'pools', p], `there is no pool ${pool}${wayOut(pool, known)}`),
      );
  });
  const levels = item.fencing ?? [];
  if (levels.length === 0)
    problems.push(
      places.problem(
        'warning',
        [...path, 'id'],
        `host ${item.id} has no fence level, so its VMs are unprotected: after its failure nothing moves until a person attests that it is off; add fencing`,
      ),
    );
  levels.forEach((level, l) => {
    if (levels.findIndex((other) => other.name === level.name) !== l)
      problems.push(
        places.problem(
          'error',
          [...path, 'fencing', l, 'name'],
          `fence level ${level.name} is declared twice for ${item.id}; evidence names its level, so names must differ`,
        ),
      );
  });
  for (const device of devicesOf({ item, path })) problems.push(...literalSecrets(device, places));
  return problems;
}

/** A password among the options would travel in the clear; `password:` takes a reference. */
function literalSecrets({ item, path }: Placed<FenceDeviceConfig>, places: Places): ConfigProblem[] {
  return Object.keys(item.options ?? {})
    .filter((option) => /(passw|passwd|secret|token)/i.test(option) && !/_script$/i.test(option))
    .map((option) =>
      places.problem(
        'error',
        [...path, 'options', option],
        'a secret does not stand among the options: write password: file:PATH or password: env:NAME beside them',
      ),
    );
}

function poolProblems(
  pool: { id: string; type: string; path?: string | undefined; lockStrategy?: string | undefined },
  path: Path,
  places: Places,
): ConfigProblem[] {
  if (pool.lockStrategy === undefined)
    return [
      places.problem(
        'warning',
        [...path, 'type'],
        `pool ${pool.id} (${pool.type}) names no lockStrategy, so no VM on it is ever started elsewhere by guess; name one (none: the pool carries no locks between hosts)`,
      ),
    ];
  if (pool.type === 'rbd' || pool.type === 'iscsi')
    return [
      places.problem(
        'warning',
        [...path, 'type'],
        `pool ${pool.id} is ${pool.type}, which VMedic has no driver for: no VM on it is started elsewhere, whatever its lockStrategy; unprotect them, or let another manager look after them`,
      ),
    ];
  if (pool.type === 'lvm' && !/^\/dev\/[^/]+$/.test(pool.path ?? ''))
    return [
      places.problem(
        'error',
        [...path, pool.path === undefined ? 'type' : 'path'],
        `pool ${pool.id} is LVM, and its volume group is not named; write path: /dev/GROUP`,
      ),
    ];
  // A datastore of ESXi hosts: their locks are files of their own, whatever it lies on.
  if (pool.path?.startsWith('/vmfs/volumes/') === true) return [];
  if (pool.type === 'nfs' && pool.lockStrategy === 'none')
    return [
      places.problem(
        'warning',
        [...path, 'lockStrategy'],
        `pool ${pool.id} is NFS, whose server keeps the locks of a dead host: with "none" its VMs cannot get theirs; nfs3-notify, nfs4-expire or nfs4-lease release them`,
      ),
    ];
  return [];
}

function simulationProblems(
  hosts: readonly Placed<HostConfig>[],
  config: VmedicConfig,
  places: Places,
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const simulated = ({ item }: Placed<HostConfig>): boolean => item.hypervisor.driver === 'simulated';
  for (const host of hosts) {
    if (simulated(host) !== (host.item.commands.driver === 'simulated'))
      problems.push(
        places.problem(
          'error',
          [...host.path, 'commands'],
          `host ${host.item.id} is half simulated: hypervisor and commands are both simulated, or neither is`,
        ),
      );
  }
  const first = hosts.find(simulated);
  const real = hosts.find((h) => !simulated(h));
  if (first !== undefined && real !== undefined)
    problems.push(
      places.problem(
        'error',
        [...first.path, 'hypervisor'],
        `simulated and real hosts do not mix: ${first.item.id} is simulated, ${real.item.id} is not`,
      ),
    );
  if (first !== undefined && config.simulated === undefined)
    problems.push(
      places.problem(
        'error',
        [...first.path, 'hypervisor'],
        `host ${first.item.id} is simulated, but no world is named; add simulated: { socket: PATH }`,
      ),
    );
  return problems;
}

/** What the file points at on this machine: secrets that must resolve, agents that must know their options. */
export async function referenceProblems(
  config: VmedicConfig,
  context: CheckContext,
  checkAgent?: AgentCheck,
): Promise<ConfigProblem[]> {
  const problems = references(config).flatMap(({ item, path }) => referenceProblem(item, path, context));
  if (checkAgent === undefined) return problems;
  const devices = hostsOf(config).flatMap(devicesOf);
  const found = await Promise.all(
    devices
      .filter(({ item }) => item.agent !== 'simulated')
      .map(async ({ item, path }) => {
        // Only that there is a password matters to the check; the value stays where it is.
        const options = {
          ...item.options,
          ...(item.password !== undefined && { password: 'given by reference' }),
        };
        const sentences = await checkAgent(item.agent, options);
        return sentences.map((sentence) =>
          context.places.problem('error', [...path, 'options'], `${item.id}: ${sentence}`),
        );
      }),
  );
  return [...problems, ...found.flat()];
}

function references(config: VmedicConfig): Placed<string>[] {
  const tls = config.temporal?.tls;
  const candidates: { item: string | undefined; path: Path }[] = [
    ...hostsOf(config)
      .flatMap(devicesOf)
      .map(({ item, path }) => ({ item: item.password, path: [...path, 'password'] })),
    { item: config.temporal?.apiKey, path: ['temporal', 'apiKey'] },
    ...(['ca', 'certificate', 'key'] as const).map((k) => ({ item: tls?.[k], path: ['temporal', 'tls', k] })),
    { item: config.inventory?.url, path: ['inventory', 'url'] },
    ...placedVcenters(config).flatMap(({ item, path }) =>
      (['password', 'ca'] as const).map((k) => ({ item: item[k], path: [...path, k] })),
    ),
    ...frontReferences(config),
  ];
  return candidates.flatMap(({ item, path }) =>
    item !== undefined && isSecretReference(item) ? [{ item, path }] : [],
  );
}

/** Whoever connects is shown these anyway. */
const handedOut: ReadonlySet<string | number> = new Set(['ca', 'certificate']);

function referenceProblem(
  reference: string,
  path: Path,
  { places, folder, env }: CheckContext,
): ConfigProblem[] {
  const resolved = resolveSecret(reference, folder, env);
  if (!resolved.ok) return [places.problem('error', path, `the reference does not resolve: ${resolved.why}`)];
  if (!reference.startsWith('file:')) return [];
  const at = reference.slice('file:'.length);
  const file = isAbsolute(at) ? at : resolve(folder, at);
  const open = (statSync(file).mode & 0o007) !== 0;
  return open && !handedOut.has(path.at(-1) ?? '')
    ? [places.problem('warning', path, `every user of this machine may open ${reference}; chmod 600 it`)]
    : [];
}
