/** What a fleet costs in which nothing happens: memory, CPU and history. */
import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds, machineSeconds } from './cpu';
import { memoryMiB } from './processes';
import { type RunningSystem, withSystem } from './running-system';
import type { BenchSite } from './site';

const parts = ['worker', 'Temporal', 'PostgreSQL', 'API'] as const;
type Part = (typeof parts)[number];

export interface QuietResult {
  readonly name: string;
  readonly hosts: number;
  readonly vms: number;
  readonly seconds: number;
  /** Per cent of one core, children included. */
  readonly cpu: Readonly<Record<Part, number>>;
  readonly memoryMiB: Readonly<Record<Part, number>>;
  readonly eventsPerHour: number;
  readonly othersCpu: number;
}

/** First looks, first readiness check, caches and connections are over by then. */
const settleMs = 20_000;
const aimPercent = 2;

export function measureQuiet(
  name: string,
  site: BenchSite,
  options: {
    readonly seconds: number;
    readonly timeoutMs: number;
    readonly progress: (line: string) => void;
  },
): Promise<QuietResult> {
  return withSystem(site, options, async (running) => {
    const { temporal, inventory, workers, api } = running.system.runtime;
    const pids: Record<Part, number[]> = {
      worker: workers.map((w) => w.pid),
      Temporal: [temporal.pid ?? 0],
      PostgreSQL: [inventory.pid ?? 0],
      API: api === undefined ? [] : [api.pid],
    };
    await delay(settleMs);
    const eventsBefore = await events(running);
    const before = cpuSeconds(pids);
    const machineBefore = machineSeconds();
    await delay(options.seconds * 1000);
    const after = cpuSeconds(pids);
    const machineAfter = machineSeconds();
    const eventsAfter = await events(running);
    const each = <T>(of: (part: Part) => T): Record<Part, T> =>
      Object.fromEntries(parts.map((part) => [part, of(part)])) as Record<Part, T>;
    const spent = each((part) => after[part] - before[part]);
    const own = Object.values(spent).reduce((sum, s) => sum + s, 0);
    return {
      ...{ name, hosts: site.survivors.length + 1, vms: site.vms.length, seconds: options.seconds },
      cpu: each((part) => (spent[part] / options.seconds) * 100),
      memoryMiB: each((part) => memoryMiB(pids[part])),
      eventsPerHour: ((eventsAfter - eventsBefore) / options.seconds) * 3_600,
      othersCpu: (Math.max(0, machineAfter.busy - machineBefore.busy - own) / options.seconds) * 100,
    };
  });
}

/** Of every run that the server knows: those that end meanwhile count as well. */
async function events({ session: { client } }: RunningSystem): Promise<number> {
  let sum = 0;
  for await (const run of client.workflow.list()) {
    const { historyLength } = await client.workflow.getHandle(run.workflowId, run.runId).describe();
    sum += historyLength;
  }
  return sum;
}

const sumOf = (of: Readonly<Record<Part, number>>): number => Object.values(of).reduce((a, b) => a + b, 0);

export function quietText(r: QuietResult): string {
  const per = (of: Readonly<Record<Part, number>>, digits: number): string =>
    parts.map((part) => `${part} ${of[part].toFixed(digits)}`).join(', ');
  const met = r.cpu.worker <= aimPercent ? 'met' : 'MISSED';
  return [
    `${r.name}: ${r.hosts} hosts, ${r.vms} VMs, nothing happens for ${r.seconds} s`,
    `  CPU, % of a core:  ${per(r.cpu, 2)}; together ${sumOf(r.cpu).toFixed(2)} (aim for the watch: ${aimPercent}, ${met}); others ${r.othersCpu.toFixed(1)}`,
    `  memory, MiB:       ${per(r.memoryMiB, 0)}; together ${sumOf(r.memoryMiB).toFixed(0)}`,
    `  history:           ${r.eventsPerHour.toFixed(0)} events per hour`,
  ].join('\n');
}
