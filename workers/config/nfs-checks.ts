/** What a pool on NFS needs so that a dead host's locks can be released there, and those of no other host. */
import { isIP } from 'node:net';
import { nfsStrategies } from '../../drivers/nfs';
import type { Placed } from './checks';
import type { ConfigProblem, Path, Places } from './problems';
import type { HostConfig, PoolConfig } from './types';

type Problem = (path: Path, sentence: string) => ConfigProblem;

const isNfsStrategy = (strategy: string | undefined): boolean =>
  (nfsStrategies as readonly (string | undefined)[]).includes(strategy);

export function nfsProblems(
  hosts: readonly Placed<HostConfig>[],
  pools: readonly Placed<PoolConfig>[],
  places: Places,
): ConfigProblem[] {
  const error: Problem = (path, sentence) => places.problem('error', path, sentence);
  // What is simulated, or a datastore of vSphere, is served by a driver that needs none of this.
  const own = hosts.filter(({ item }) => item.hypervisor.driver === 'libvirt');
  const onNfs = pools.filter(
    ({ item }) =>
      isNfsStrategy(item.lockStrategy) && own.some((host) => host.item.pools?.includes(item.id) === true),
  );
  const simulated = hosts.some(({ item }) => item.hypervisor.driver === 'simulated');
  const cut = simulated ? [] : pools.filter(({ item }) => item.cutAccess !== undefined);
  return [
    ...cut.flatMap((pool) => cutProblems(pool, hosts, error)),
    ...onNfs.flatMap((pool) => poolProblems(pool, error)),
    ...onNfs.flatMap((pool) => nameless(pool.item, own, error)),
    ...sharedNames(own, error),
  ];
}

function poolProblems({ item: pool, path }: Placed<PoolConfig>, error: Problem): ConfigProblem[] {
  const strategy = pool.lockStrategy as string;
  if (pool.type !== 'nfs')
    return [
      error(
        [...path, 'lockStrategy'],
        `${strategy} is for pools of type nfs, and ${pool.id} is ${pool.type}`,
      ),
    ];
  const lacks = (key: string, why: string): ConfigProblem =>
    error([...path, 'lockStrategy'], `pool ${pool.id}: ${strategy} needs "${key}" (${why})`);
  const problems: ConfigProblem[] = [];
  if (pool.path === undefined) problems.push(lacks('path', 'where the hosts mount it'));
  if (pool.server === undefined) problems.push(lacks('server', 'what the hosts mount'));
  const needsShell = strategy === 'nfs3-notify' || strategy === 'nfs4-expire';
  if (needsShell && pool.access === undefined)
    problems.push(
      lacks('access', 'a shell on the server; without one: nfs-appliance for NFSv3, nfs4-lease for NFSv4'),
    );
  if (pool.access !== undefined && pool.export === undefined)
    problems.push(
      lacks('export', "the folder on the server's own file system, to find images in its lock table"),
    );
  if (strategy === 'nfs4-lease' && pool.access === undefined && pool.lease === undefined)
    problems.push(lacks('lease', 'or access, to read it from the server'));
  const forVersion3 = strategy === 'nfs3-notify' || strategy === 'nfs-appliance';
  if (pool.version !== undefined && (pool.version === '3') !== forVersion3)
    problems.push(
      error(
        [...path, 'version'],
        `${strategy} is for NFSv${forVersion3 ? '3' : '4'}, and pool ${pool.id} is mounted as version ${pool.version}`,
      ),
    );
  return problems;
}

/** What cuts a host's access must reach the server, and know the host by an address: an entry for exactly one. */
function cutProblems(
  { item: pool, path }: Placed<PoolConfig>,
  hosts: readonly Placed<HostConfig>[],
  error: Problem,
): ConfigProblem[] {
  const at = [...path, 'cutAccess'];
  if (pool.type !== 'nfs')
    return [error(at, `cutAccess is for pools of type nfs, and ${pool.id} is ${pool.type}`)];
  const esxi = hosts.find(
    ({ item }) => item.hypervisor.driver === 'vsphere' && item.pools?.includes(pool.id) === true,
  );
  if (esxi !== undefined)
    return [error(at, `cutAccess is for pools of KVM hosts, and ${esxi.item.id} is an ESXi host`)];
  const lacks = (['access', 'export'] as const).filter((key) => pool[key] === undefined);
  return [
    ...lacks.map((key) =>
      error(at, `pool ${pool.id}: cutAccess needs "${key}" (the exports are changed there)`),
    ),
    ...hosts
      .filter(({ item }) => item.pools?.includes(pool.id) === true)
      .filter(({ item }) => !(item.storageNames ?? []).some((name) => isIP(name) !== 0))
      .map((host) =>
        error(
          [...host.path, 'id'],
          `host ${host.item.id} can be kept from writing to pool ${pool.id} only by its address: name it in storageNames`,
        ),
      ),
  ];
}

/** A server knows its clients by address, not by our ids. */
function nameless(pool: PoolConfig, hosts: readonly Placed<HostConfig>[], error: Problem): ConfigProblem[] {
  if (pool.lockStrategy === 'nfs4-lease' && pool.access === undefined) return [];
  return hosts
    .filter(({ item }) => item.pools?.includes(pool.id) === true && (item.storageNames ?? []).length === 0)
    .map(({ item, path }) =>
      error(
        [...path, 'id'],
        `host ${item.id} uses pool ${pool.id} and has no storageNames: name the addresses under which its NFS server knows it`,
      ),
    );
}

/** What frees the one would free the other. */
function sharedNames(hosts: readonly Placed<HostConfig>[], error: Problem): ConfigProblem[] {
  const first = new Map<string, string>();
  return hosts.flatMap(({ item, path }) =>
    (item.storageNames ?? []).flatMap((name, n) => {
      const other = first.get(name);
      if (other === undefined) first.set(name, item.id);
      if (other === undefined || other === item.id) return [];
      return [
        error(
          [...path, 'storageNames', n],
          `${name} is a name of ${other} already: releasing the locks of one of them would take the other's`,
        ),
      ];
    }),
  );
}
