import type { HeartbeatsPort } from '../../../activities/ports';
import type { Served } from '../call-context';
import type { World } from '../world';
import { reach } from './host-commands';

/** Storage has a network of its own here: a host that VMedic and its neighbours cannot reach writes on. */
export function heartbeatsBody(world: World): Served<HeartbeatsPort> {
  return {
    async keep(host, _pool, context) {
      await reach(world, host, context);
      const state = world.host(host);
      state.beatsSince = state.bootId;
    },

    async look(via, of, _pool, context) {
      const from = world.host(via);
      if (!world.answers(from) || from.commands !== 'reachable') return 'not-known';
      await context.wait(world.costs.readMs);
      const host = world.host(of);
      if (host.beatsSince === undefined) return 'not-known';
      return world.isRunning(host) && host.beatsSince === host.bootId ? 'writes' : 'still';
    },
  };
}
