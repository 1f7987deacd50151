/** Hosts that write to a shared pool are not dead, whatever the network says. */
import { Context } from '@temporalio/activity';
import type { Host, Pool } from '../domain/fleet';
import type { HostId } from '../domain/ids';
import type { HostSign } from '../domain/observations';
import { askUntilKnown } from './ask-others';
import { declaredCluster, type Environment, nowIso, signal } from './environment';
import { faultOf } from './fault-boundary';
import type { WatchedCluster } from './watched-cluster';

/** A writer that was ended by hand is back after this; one that is not asked for an hour ends by itself. */
const askEveryMs = 60_000;

const beatingPools = (env: Environment, host: Host): Pool[] =>
  env.fleet.pools.filter((p) => p.heartbeat === true && host.pools.includes(p.id));

/** Of a host that answers, now and then: it goes on by itself when it does not any more. */
export async function keepBeating(watch: WatchedCluster, host: Host, nowMs: number): Promise<void> {
  const memory = watch.memory(host.id);
  if (watch.supervision === undefined || nowMs - memory.beatAskedMs < askEveryMs) return;
  memory.beatAskedMs = nowMs;
  for (const pool of beatingPools(watch.env, host)) {
    try {
      await watch.env.heartbeats.keep(host.id, pool, signal());
    } catch (error) {
      // One source less for judging it; asked again in a minute.
      const known = faultOf(error);
      if (known === undefined) throw error;
      Context.current().log.warn(known.sentence, { host: host.id, pool: pool.id });
    }
  }
}

/** What others of its cluster see of its heartbeats. */
export async function heartbeatSigns(
  env: Environment,
  host: Host,
  others: readonly HostId[],
): Promise<HostSign[]> {
  const { hosts } = declaredCluster(env, host.id);
  const seen = beatingPools(env, host).map((pool) => {
    const lookers = others.filter((id) => hosts.some((h) => h.id === id && h.pools.includes(pool.id)));
    return askUntilKnown(lookers, async (via): Promise<HostSign> => {
      const says = await env.heartbeats.look(via, host.id, pool, signal());
      return { source: 'storage', poolId: pool.id, via, says, observedAt: nowIso() };
    });
  });
  return (await Promise.all(seen)).flat();
}
