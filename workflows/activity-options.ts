/** Every timeout and retry with its reason. `cancellationType` is always set: left unset, an undo runs while the act still runs. */
import {
  ActivityCancellationType,
  type ActivityOptions,
  proxyActivities,
  proxyLocalActivities,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities';
import { limits } from '../domain/limits';
import { powerQueue } from './inputs';

const waitForEnd = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED;

/** Activities beat every second, so a dead worker is noticed in 5 s; shorter would take a busy machine for a dead one. */
const heartbeatTimeout = '5 s';

/** Tried again for ever, at most 10 s apart: what fails here (inventory, hypervisor not answering) comes back. */
const forEver = { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '10 s' } as const;

const reads: ActivityOptions = {
  // The slowest source is bounded by 5 s of its own; 60 s leaves room for a queue of other hosts' reads.
  startToCloseTimeout: '60 s',
  heartbeatTimeout,
  retry: forEver,
  cancellationType: waitForEnd,
};

/** Inventory rows, timeline, alerts, looks at hosts. */
export const look = proxyActivities<Activities>(reads);

/** BMCs are slow and few: a queue and slots of their own, so that a silent one never starves a start. IPMI silence takes 20 s a call. */
export const power = () =>
  proxyActivities<Activities>({
    ...reads,
    taskQueue: powerQueue(workflowInfo().taskQueue),
    startToCloseTimeout: '5 min',
  });

/** Before the pivot: bounded inside by the cluster's storage deadline, which is minutes at most. */
export const prepare = proxyActivities<Activities>({
  ...reads,
  startToCloseTimeout: limits.storageWaitMsMax,
});

/** Of a dead host's locks: bounded inside by the storage deadline too, which begins anew with each attempt and must come to its end. */
export const release = proxyActivities<Activities>({
  ...reads,
  startToCloseTimeout: limits.storageWaitMsMax,
});

/**
 * One try within the workflow task, for what is a few rows and a look: an activity of its own costs the engine some 8 ms of CPU, this one.
 * Never cut off in the middle (each driver call has its own deadline), because what is tried next must not meet it still at work.
 */
export const inTask = proxyLocalActivities<Activities>({
  startToCloseTimeout: '10 min',
  retry: { maximumAttempts: 1 },
  cancellationType: waitForEnd,
});

/** The pivot: never cut off from outside, it reads back until its own deadline. */
export const start = proxyActivities<Activities>({ ...reads, startToCloseTimeout: '30 min' });

/** After the pivot: bounded inside by the health check's own timeout. */
export const settle = proxyActivities<Activities>({ ...reads, startToCloseTimeout: '60 min' });

/** The way back: tried for 10 minutes with short pauses, then it is a visible state (`stuck`), never a log line. */
export const wayBack = proxyActivities<Activities>({
  ...reads,
  scheduleToCloseTimeout: '10 min',
  retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '30 s' },
});

/**
 * On a stopped guest's disks: a copy or a check of one takes hours. Tried a few times and not for ever: the guest is down meanwhile, and the way back
 * is open; where that fails too, it is a visible state.
 */
export const onDisks = proxyActivities<Activities>({
  ...reads,
  startToCloseTimeout: '12 h',
  retry: { ...forEver, maximumAttempts: 6 },
});

/** Waits for another run, as long as that takes. */
export const otherRun = proxyActivities<Activities>({ ...reads, startToCloseTimeout: '7 d' });

/** The watch never ends; another worker takes it over 5 s after its own died. */
export const watch = proxyActivities<Activities>({ ...reads, startToCloseTimeout: '30 d' });

/** Looks into every host and tries locks between two: each call has its own deadline of seconds, and hosts are asked side by side. */
export const readiness = proxyActivities<Activities>({ ...reads, startToCloseTimeout: '10 min' });
