import type { Fleet } from '../domain/fleet';
import { accessActivities } from './cut-access';
import { environment } from './environment';
import { atBoundary } from './fault-boundary';
import { fenceActivities } from './fence';
import { guestRepairActivities } from './guest-repair';
import { incidentActivities } from './incident';
import { lookActivities } from './look-at-host';
import { missingVmActivities } from './missing-vm';
import { shutDownActivities } from './shut-down';
import { pausedVmActivities } from './paused-vm';
import { moveVolumeActivities } from './move-volume';
import { planActivities } from './plan';
import type { Ports } from './ports';
import { readinessActivities } from './readiness';
import { readmitActivities } from './readmit';
import { rehearseStartActivities } from './rehearse-start';
import { releaseActivities } from './release';
import { restartVmActivities } from './restart-vm';
import { runActivities } from './other-run';
import { watchActivities } from './watch';
import type { Supervision } from './watched-cluster';

export type { Supervision };

/**
 * Everything the workflows can do to the world, over the ports given.
 *
 * @param supervision What lets the watch act; without it one only learns.
 */
export function createActivities(ports: Ports, fleet: Fleet, supervision?: Supervision) {
  const env = environment(ports, fleet);
  return atBoundary({
    ...lookActivities(env),
    ...incidentActivities(env),
    ...fenceActivities(env),
    ...accessActivities(env),
    ...releaseActivities(env),
    ...planActivities(env),
    ...readinessActivities(env),
    ...restartVmActivities(env),
    ...rehearseStartActivities(env),
    ...missingVmActivities(env),
    ...shutDownActivities(env),
    ...guestRepairActivities(env),
    ...pausedVmActivities(env),
    ...readmitActivities(env),
    ...moveVolumeActivities(env),
    ...runActivities(),
    ...watchActivities(env, supervision),
  });
}

export type Activities = ReturnType<typeof createActivities>;
