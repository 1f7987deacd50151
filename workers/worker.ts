/** One worker process: config -> drivers -> ports -> activities -> two queues. Stateless; any number may run. */
import { existsSync } from 'node:fs';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities';
import { makeFirstCurrent, type WorkerVersion } from '../client/deployments';
import {
  connectionOptions,
  connectTemporal,
  type TemporalSession,
  type TemporalSettings,
} from '../client/temporal';
import { defaultTaskQueue, powerQueue } from '../workflows/inputs';
import { workflowBundlePath } from './bundle';
import { composePorts } from './compose';
import type { VmedicConfig } from './config';
import { supervise } from './supervise';
import { startTracing, untraced } from './tracing';

/** `recoveries`: workflows and all that hypervisors and storage are asked. `power`: fence devices, which are slow and hang. */
export const workerQueues = ['recoveries', 'power'] as const;
export type WorkerQueue = (typeof workerQueues)[number];

export interface WorkerSetup {
  readonly config: VmedicConfig;
  readonly configPath: string;
  readonly inventoryUrl: string;
  readonly temporal: TemporalSettings;
  readonly log: Logger;
  readonly taskQueue?: string;
  /** Runs that these workers begin stay on this version. Left out: any worker goes on with any run. */
  readonly version?: WorkerVersion;
  /** File of the workflow bundle; the build's own when left out. */
  readonly bundle?: string;
  /** Which of the queues; all when left out. Each must be taken by some worker of the installation. */
  readonly queues?: readonly WorkerQueue[];
  /** Called once its queues are polled. */
  readonly onReady?: () => void;
}

/**
 * Works until it is told to stop (SIGINT, SIGTERM: activities get `shutdownGraceTime`) or cannot go on.
 *
 * @throws when Temporal or the inventory is not there at the start, or when the SDK gives up.
 */
export async function runWorker(setup: WorkerSetup): Promise<void> {
  const { temporal, log, taskQueue = defaultTaskQueue, bundle = workflowBundlePath() } = setup;
  const { queues = workerQueues } = setup;
  if (!existsSync(bundle)) throw new Error(`${bundle} is missing: run "make build"`);
  const tracing = await startTracing('vmedic-worker');
  const untracedPorts = await composePorts(setup);
  const composed = { ...untracedPorts, ports: tracing?.ports(untracedPorts.ports) ?? untracedPorts.ports };
  try {
    const session = await connectTemporal(temporal, tracing?.client);
    const connection = await NativeConnection.connect(connectionOptions(temporal));
    try {
      const supervision = await supervise(setup, composed, session);
      const activities = createActivities(composed.ports, composed.fleet, supervision);
      const shared = {
        ...{ connection, namespace: temporal.namespace, activities },
        ...sharedOptions,
        ...versionOptions(setup.version),
        ...(tracing?.worker ?? untraced),
      };
      const workers = await Promise.all(
        queues.map((queue) =>
          Worker.create(
            queue === 'power'
              ? { ...shared, ...powerOptions, taskQueue: powerQueue(taskQueue) }
              : { ...shared, ...workflowOptions, taskQueue, workflowBundle: { codePath: bundle } },
          ),
        ),
      );
      const runs = workers.map((worker) => worker.run());
      log.info({ taskQueue, queues, temporal: temporal.address }, 'worker takes work');
      setup.onReady?.();
      if (setup.version !== undefined) void firstOfAll(session, setup.version, log);
      await Promise.all(runs).finally(() => {
        for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      });
    } finally {
      await connection.close();
      await session.close();
    }
  } finally {
    await composed.close();
    await tracing?.stop();
  }
}

/** A version gets no work before it is current; the first one of an installation becomes so here, every other by `vmedic setup`. */
async function firstOfAll(session: TemporalSession, version: WorkerVersion, log: Logger): Promise<void> {
  try {
    if (await makeFirstCurrent(session, version)) log.info({ version }, 'the first version is current');
  } catch (error) {
    // Nothing is lost: its workers wait, and `vmedic setup` does the same by hand.
    log.warn({ err: error, version }, 'whether this version is current could not be settled: vmedic setup');
  }
}

export const versionOptions = (version: WorkerVersion | undefined): Partial<WorkerOptions> =>
  version === undefined
    ? {}
    : {
        workerDeploymentOptions: {
          ...{ version, useWorkerVersioning: true },
          // Minutes long, and never patched in the middle; the endless watch says otherwise of itself.
          defaultVersioningBehavior: 'PINNED',
        },
      };

const sharedOptions = {
  // A polite stop lets a short act end by itself; what is longer is cancelled, and taken up again by another worker.
  shutdownGraceTime: '2s',
  shutdownForceTime: '20s',
  // Left alone, the SDK hands on a beat every four fifths of its timeout: a stall of one second would take a living attempt for dead.
  maxHeartbeatThrottleInterval: '2s',
} as const satisfies Partial<WorkerOptions>;

const workflowOptions = {
  // A killed worker's tasks wait this long for its cache before any worker gets them; the default of 10 s is most of a recovery.
  stickyQueueScheduleToStartTimeout: '2s',
  reuseV8Context: true,
  // A restart keeps its task while it works within it: two incidents' windows (30 each), and room for those who wait for nothing.
  maxConcurrentWorkflowTaskExecutions: 100,
  // One slot for each restart of the window (30), the watches, and looks beside them.
  maxConcurrentActivityTaskExecutions: 100,
} as const satisfies Partial<WorkerOptions>;

/** BMCs are slow and few: slots of their own, so that a silent one starves nothing else, and not so many that a rack's switch is. */
const powerOptions = { maxConcurrentActivityTaskExecutions: 16 } as const satisfies Partial<WorkerOptions>;
