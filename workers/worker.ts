/** One worker process: config -> drivers -> ports -> activities -> two queues. Stateless; any number may run. */
import { existsSync } from 'node:fs';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import { createActivities } from '../activities';
import { connectionOptions, connectTemporal, type TemporalSettings } from '../client/temporal';
import { defaultTaskQueue, powerQueue } from '../workflows/inputs';
import { workflowBundlePath } from './bundle';
import { composePorts } from './compose';
import type { VmedicConfig } from './config';
import { supervise } from './supervise';

export interface WorkerSetup {
  readonly config: VmedicConfig;
  readonly configPath: string;
  readonly inventoryUrl: string;
  readonly temporal: TemporalSettings;
  readonly log: Logger;
  readonly taskQueue?: string;
  /** File of the workflow bundle; the build's own when left out. */
  readonly bundle?: string;
  /** Called once both queues are polled. */
  readonly onReady?: () => void;
}

/**
 * Works until it is told to stop (SIGINT, SIGTERM: activities get `shutdownGraceTime`) or cannot go on.
 *
 * @throws when Temporal or the inventory is not there at the start, or when the SDK gives up.
 */
export async function runWorker(setup: WorkerSetup): Promise<void> {
  const { temporal, log, taskQueue = defaultTaskQueue, bundle = workflowBundlePath() } = setup;
  if (!existsSync(bundle)) throw new Error(`${bundle} is missing: run "make build"`);
  const composed = await composePorts(setup);
  try {
    const session = await connectTemporal(temporal);
    const connection = await NativeConnection.connect(connectionOptions(temporal));
    try {
      const supervision = await supervise(setup, composed, session);
      const activities = createActivities(composed.ports, composed.fleet, supervision);
      const shared = { connection, namespace: temporal.namespace, activities, ...sharedOptions };
      const main = await Worker.create({
        ...shared,
        ...workflowOptions,
        taskQueue,
        workflowBundle: { codePath: bundle },
      });
      const power = await Worker.create({ ...shared, ...powerOptions, taskQueue: powerQueue(taskQueue) });
      const runs = [main.run(), power.run()];
      log.info({ taskQueue, temporal: temporal.address }, 'worker takes work');
      setup.onReady?.();
      await Promise.all(runs).finally(() => {
        for (const worker of [main, power]) if (worker.getState() === 'RUNNING') worker.shutdown();
      });
    } finally {
      await connection.close();
      await session.close();
    }
  } finally {
    await composed.close();
  }
}

const sharedOptions = {
  // A polite stop lets a short act end by itself; what is longer is cancelled, and taken up again by another worker.
  shutdownGraceTime: '2s',
  shutdownForceTime: '20s',
} as const satisfies Partial<WorkerOptions>;

const workflowOptions = {
  // A killed worker's tasks wait this long for its cache before any worker gets them; the default of 10 s is most of a recovery.
  stickyQueueScheduleToStartTimeout: '2s',
  reuseV8Context: true,
  maxConcurrentWorkflowTaskExecutions: 40,
  // One slot for each restart of the window (30), the watches, and looks beside them.
  maxConcurrentActivityTaskExecutions: 100,
} as const satisfies Partial<WorkerOptions>;

/** BMCs are slow and few: slots of their own, so that a silent one starves nothing else, and not so many that a rack's switch is. */
const powerOptions = { maxConcurrentActivityTaskExecutions: 16 } as const satisfies Partial<WorkerOptions>;
