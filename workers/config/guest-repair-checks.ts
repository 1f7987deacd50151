/** What a pool needs so that guests on it can be repaired without a person: what is kept of a disk is made by commands on a host. */
import type { Placed } from './checks';
import type { ConfigProblem, Places } from './problems';
import type { HostConfig, PoolConfig } from './types';

const keptBy: readonly PoolConfig['type'][] = ['dir', 'nfs', 'lvm'];

export function guestRepairProblems(
  hosts: readonly Placed<HostConfig>[],
  pools: readonly Placed<PoolConfig>[],
  places: Places,
): ConfigProblem[] {
  return pools
    .filter(({ item }) => item.guestRepair === 'automatic')
    .flatMap(({ item: pool, path }) => {
      const users = hosts.filter(({ item }) => item.pools?.includes(pool.id) === true);
      const error = (why: string): ConfigProblem =>
        places.problem(
          'error',
          [...path, 'guestRepair'],
          `guests on pool ${pool.id} cannot be repaired without a person: ${why}; leave guestRepair out`,
        );
      if (!keptBy.includes(pool.type) || pool.path === undefined)
        return [
          error('disks are kept in folders and volume groups only, of types dir, nfs and lvm with a path'),
        ];
      const byVcenter = users.find(({ item }) => item.commands.driver === 'vsphere');
      if (byVcenter !== undefined)
        return [error(`nothing can be run on ${byVcenter.item.id}, which is reached by way of its vCenter`)];
      if (pool.type === 'lvm' && users.length > 1)
        return [error('several hosts use this volume group, and a snapshot belongs to one host')];
      return [];
    });
}
