/** One recovery by VMedic as it runs in production: Temporal, PostgreSQL and the worker in processes of their own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { RecoveryClient } from '../client/recovery-client';
import { incidentId, workflowIds } from '../domain/ids';
import type { TimelineEntry } from '../domain/records';
import type { OpenInventory } from '../drivers/postgres';
import { fleetOf } from '../workers/config';
import type { RecoverHostResult } from '../workflows/inputs';
import type { EmbeddedSystem } from '../workers/embedded/system';
import { cpuSeconds, machineSeconds } from './cpu';
import { withSystem } from './running-system';
import type { BenchSite } from './site';

export interface VmedicRun {
  readonly cutMs: number;
  /** The host counts as dead by evidence and the incident is admitted. */
  readonly confirmedMs: number;
  /** When the power was read as off, and when that proof was stored. */
  readonly offProvenMs: number;
  readonly plannedMs: number;
  readonly upMs: readonly number[];
  readonly closedMs: number;
  readonly result: RecoverHostResult;
  readonly complaints: readonly string[];
  /** CPU seconds from the cut until the incident was closed. */
  readonly cpu: {
    /** Undefined when the worker was killed: what the dead one spent is gone with it. */
    readonly worker: number | undefined;
    readonly temporal: number;
    readonly postgres: number;
  };
  readonly othersCpu: number;
}

export interface VmedicOptions {
  readonly timeoutMs: number;
  /** SIGKILL to the worker once so many VMs are up; another takes over. */
  readonly killWorkerAt?: number | undefined;
  readonly progress: (line: string) => void;
}

export function recoverWithVmedic(site: BenchSite, options: VmedicOptions): Promise<VmedicRun> {
  return withSystem(site, options, ({ system, session, inventory }) =>
    measure(site, system, session.client, inventory, options),
  );
}

async function measure(
  site: BenchSite,
  system: EmbeddedSystem,
  client: Client,
  inventory: OpenInventory,
  options: VmedicOptions,
): Promise<VmedicRun> {
  const { temporal, inventory: database, workers } = system.runtime;
  const fleet = fleetOf(site.config);
  const door = new RecoveryClient({ client, inventory, fleet, address: temporal.address });
  const groups = {
    worker: workers.map((w) => w.pid),
    temporal: [temporal.pid ?? 0],
    postgres: [database.pid ?? 0],
    site: site.pids(),
  };
  const ups = await site.watch();
  try {
    const cpuBefore = cpuSeconds(groups);
    const machineBefore = machineSeconds();
    const cutMs = await site.cutPower();
    await door.recoverHost(site.failing, { source: 'operator', by: 'bench', reason: 'its power was cut' });
    const killed =
      options.killWorkerAt === undefined ? undefined : killWorker(ups, system, options.killWorkerAt);
    const result = (await client.workflow
      .getHandle(workflowIds.host(site.failing))
      .result()) as RecoverHostResult;
    const closedMs = Date.now();
    const after = cpuSeconds(groups);
    const machineAfter = machineSeconds();
    await killed;
    const upMs = await ups.all(options.timeoutMs);
    const spent = (name: keyof typeof groups): number => after[name] - cpuBefore[name];
    const own = spent('worker') + spent('temporal') + spent('postgres') + spent('site');
    const timeline = await inventory.timeline(incidentId({ kind: 'host', hostId: site.failing }, 1));
    return {
      ...{ cutMs, upMs, closedMs, result },
      ...instants(timeline),
      complaints: await site.complaints(),
      cpu: {
        worker: killed === undefined ? spent('worker') : undefined,
        temporal: spent('temporal'),
        postgres: spent('postgres'),
      },
      othersCpu: Math.max(0, machineAfter.busy - machineBefore.busy - own),
    };
  } finally {
    ups.stop();
  }
}

async function killWorker(
  ups: { count(): Promise<number> },
  system: EmbeddedSystem,
  at: number,
): Promise<void> {
  while ((await ups.count()) < at) await delay(20);
  const [worker] = system.runtime.workers;
  if (worker !== undefined) process.kill(worker.pid, 'SIGKILL');
}

/** From what VMedic wrote down: its own steps are nobody else's to see. */
function instants(timeline: readonly TimelineEntry[]) {
  const at = (what: string, wanted: (entry: TimelineEntry) => boolean): number => {
    const entry = timeline.find(wanted);
    if (entry === undefined) throw new Error(`the incident's timeline does not say when it was ${what}`);
    return Date.parse(entry.at);
  };
  return {
    confirmedMs: at('admitted', (e) => e.kind === 'decision' && e.sentence === 'admitted'),
    offProvenMs: at('proven off', (e) => e.kind === 'evidence'),
    plannedMs: at('planned', (e) => e.kind === 'decision' && 'plan' in e.facts),
  };
}
