/** What a pool needs so that hosts can write their heartbeats to it, and see each other's. */
import type { Placed } from './checks';
import type { ConfigProblem, Places } from './problems';
import type { HostConfig, PoolConfig } from './types';

export function heartbeatProblems(
  hosts: readonly Placed<HostConfig>[],
  pools: readonly Placed<PoolConfig>[],
  places: Places,
): ConfigProblem[] {
  return pools
    .filter(({ item }) => item.heartbeat === true)
    .flatMap(({ item: pool, path }) => {
      const at = [...path, 'heartbeat'];
      const users = hosts.filter(({ item }) => item.pools?.includes(pool.id) === true);
      const byVcenter = users.find(({ item }) => item.commands.driver === 'vsphere');
      if ((pool.type !== 'dir' && pool.type !== 'nfs') || pool.path === undefined)
        return [
          places.problem(
            'error',
            at,
            `pool ${pool.id} cannot hold heartbeats: they are files in a folder that its hosts mount; leave heartbeat out, or name a pool of type dir or nfs with its path`,
          ),
        ];
      if (byVcenter !== undefined)
        return [
          places.problem(
            'error',
            at,
            `pool ${pool.id} cannot hold heartbeats: nothing can be run on ${byVcenter.item.id}, which is reached by way of its vCenter; leave heartbeat out`,
          ),
        ];
      if (users.length < 2)
        return [
          places.problem(
            'warning',
            at,
            `pool ${pool.id} holds heartbeats, and fewer than two hosts have it: nobody sees them; add it to the pools of other hosts`,
          ),
        ];
      return [];
    });
}
