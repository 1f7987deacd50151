import type { Fleet } from '../domain/fleet';
import { environment } from './environment';
import { atBoundary } from './fault-boundary';
import { fenceActivities } from './fence';
import { incidentActivities } from './incident';
import { lookActivities } from './look-at-host';
import { planActivities } from './plan';
import type { Ports } from './ports';
import { readinessActivities } from './readiness';
import { releaseActivities } from './release';
import { restartVmActivities } from './restart-vm';
import { runActivities } from './other-run';
import { watchActivities } from './watch';

/** Everything the workflows can do to the world, over the ports given. */
export function createActivities(ports: Ports, fleet: Fleet) {
  const env = environment(ports, fleet);
  return atBoundary({
    ...lookActivities(env),
    ...incidentActivities(env),
    ...fenceActivities(env),
    ...releaseActivities(env),
    ...planActivities(env),
    ...readinessActivities(env),
    ...restartVmActivities(env),
    ...runActivities(),
    ...watchActivities(env),
  });
}

export type Activities = ReturnType<typeof createActivities>;
