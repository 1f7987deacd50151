/** Hosts that write to a shared pool are not dead, whatever the network says. */
import { Context } from '@temporalio/activity';
import type { Host, Pool } from '../domain/fleet';
import type { HostSign } from '../domain/observations';
import { declaredCluster, type Environment, nowIso, signal } from './environment';
import { faultOf } from './fault-boundary';
import type { WatchedCluster } from './watched-cluster';

/** A writer that was ended by hand is back after this; one that is not asked for an hour ends by itself. */
const askEveryMs = 60_000;
/** More than one, because the first may be down itself. */
const lookersAsked = 2;

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
export function heartbeatSigns(env: Environment, host: Host): Promise<HostSign>[] {
  const others = declaredCluster(env, host.id).hosts.filter((h) => h.id !== host.id);
  return beatingPools(env, host).flatMap((pool) =>
    others
      .filter((h) => h.pools.includes(pool.id))
      .slice(0, lookersAsked)
      .map(async ({ id }): Promise<HostSign> => {
        const says = await env.heartbeats.look(id, host.id, pool, signal());
        return { source: 'storage', poolId: pool.id, via: id, says, observedAt: nowIso() };
      }),
  );
}
