import type { Command } from 'commander';
import type { Fleet } from '../../../domain/fleet';
import { millisOf } from '../../../domain/observations';
import type { AlertRecord, HostRecord, IncidentRecord, VmRecord } from '../../../domain/records';
import { defaultTaskQueue, powerQueue } from '../../../workflows/inputs';
import type { TemporalSession } from '../../temporal';
import { addCommand, type Context, type Program } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { age, facts } from '../show';

export interface Trouble {
  readonly what: string;
  readonly since: string | undefined;
  readonly next: string;
}

export function addStatusCommand(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'status',
    summary: 'one screen: what is wrong, since when, and the next command for each',
    examples: ['vmedic status', 'vmedic status --json'],
    run: status,
  });
}

/** A host that the watch has not seen for this long is worth a look; it is looked at every few seconds. */
const unseenMs = 60_000;

async function status(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const { fleet, inventory } = session;
  const [hosts, vms, open, alerts, temporal] = await Promise.all([
    inventory.hosts(),
    inventory.vms(),
    inventory.incidents({ open: true }),
    inventory.alerts({ open: true }),
    session.temporal(),
  ]);
  const unpolled = await queuesWithoutWorker(temporal);
  const troubles = troublesOf({ fleet, hosts, vms, open, alerts, unpolled });
  const { out } = context;
  const watched = vms.filter((v) => v.protected && v.desired === 'running');
  const up = watched.filter((v) => v.observed.state === 'running').length;
  const hostsUsed = new Set(watched.filter((v) => v.observed.state === 'running').map((v) => v.hostId)).size;
  const hostsDeclared = fleet.clusters.flatMap((c) => c.hosts).length;
  const modes = fleet.clusters.map((c) => `${c.id}: ${c.mode}`).join(', ');
  const head = facts(out, [
    ['config', session.configPath],
    [
      'mode',
      `${modes}${fleet.clusters.some((c) => c.mode !== 'automatic') ? ' (only "automatic" acts by itself)' : ''}`,
    ],
    ['temporal', temporal.settings.uiUrl ?? temporal.settings.address],
    ['vms', `${up} of ${watched.length} protected VMs run, on ${hostsUsed} of ${hostsDeclared} hosts`],
  ]);
  const body =
    troubles.length === 0
      ? out.paint.green('Everything is well.')
      : troubles
          .map(
            (t) =>
              `${out.paint.red('wrong:')} ${t.what}${t.since === undefined ? '' : ` (for ${age(Date.now() - millisOf(t.since))})`}\n  ${out.paint.dim('next:')} ${t.next}`,
          )
          .join('\n');
  const clusters = fleet.clusters.map((c) => ({ id: c.id, mode: c.mode }));
  out.result(
    {
      well: troubles.length === 0,
      troubles,
      clusters,
      vms: { protected: watched.length, running: up },
      configPath: session.configPath,
    },
    `${head}\n\n${body}`,
  );
  return exitCodes.done;
}

/** Everything that is wrong, the gravest first. Pure. */
export function troublesOf(seen: {
  readonly fleet: Fleet;
  readonly hosts: readonly HostRecord[];
  readonly vms: readonly VmRecord[];
  readonly open: readonly IncidentRecord[];
  readonly alerts: readonly AlertRecord[];
  readonly unpolled: readonly string[];
}): Trouble[] {
  const { fleet, hosts, vms, open, alerts, unpolled } = seen;
  const troubledHosts = open.flatMap((i) => (i.target.kind === 'host' ? [i.target.hostId] : []));
  const troubledVms = open.flatMap((i) => (i.target.kind === 'vm' ? [i.target.vmId] : []));
  return [
    ...unpolled.map((queue) => ({
      what: `no worker takes work from the queue "${queue}": nothing goes on until one does`,
      since: undefined,
      next: 'vmedic up, or vmedic worker',
    })),
    ...open.map((i) => ({
      what: `incident ${i.incidentId} is ${i.phase}: ${i.summary}`,
      since: i.openedAt,
      next: i.nextCommand ?? `vmedic incident watch ${i.incidentId}`,
    })),
    ...alerts
      .filter((a) => a.severity !== 'info' && !open.some((i) => i.incidentId === a.incidentId))
      .map((a) => ({
        what: a.sentence,
        since: a.raisedAt,
        next:
          a.nextCommand ??
          (a.incidentId === undefined ? 'vmedic incident list' : `vmedic incident show ${a.incidentId}`),
      })),
    ...fleet.clusters
      .flatMap((c) => c.hosts)
      .flatMap((declared) => {
        if (troubledHosts.includes(declared.id)) return [];
        return hostTrouble(
          hosts.find((h) => h.hostId === declared.id),
          declared.id,
        );
      }),
    ...vms
      .filter((v) => v.protected && v.desired === 'running' && v.observed.state !== 'running')
      .filter((v) => !troubledVms.includes(v.vmId) && !troubledHosts.includes(v.hostId))
      .map((v) => ({
        what: `VM ${v.name} is to run and is ${v.observed.state} (${v.observed.reason}) on ${v.hostId}`,
        since: v.observed.at,
        next: `vmedic vm restart ${v.name}`,
      })),
  ];
}

function hostTrouble(record: HostRecord | undefined, id: string): Trouble[] {
  const next = `vmedic host show ${id}`;
  if (record?.lastSeenAt === undefined)
    return [{ what: `host ${id} was never seen`, since: undefined, next }];
  if (record.standing === 'in-service') {
    if (Date.now() - millisOf(record.lastSeenAt) < unseenMs) return [];
    return [{ what: `host ${id} does not answer`, since: record.lastSeenAt, next }];
  }
  if (record.standing === 'maintenance') return [];
  return [{ what: `host ${id} is ${record.standing} and takes no VMs`, since: record.lastSeenAt, next }];
}

/** TASK_QUEUE_TYPE_ACTIVITY, whose enum the client package keeps to itself. Activities are what both queues carry. */
const ofActivities = 2 as never;

/** How long after its last call a worker still counts as there: the server parks a call for a minute at most. */
const polledMs = 90_000;

async function queuesWithoutWorker({ client, settings }: TemporalSession): Promise<string[]> {
  const queues = [defaultTaskQueue, powerQueue(defaultTaskQueue)];
  const polled = await Promise.all(
    queues.map(async (queue) => {
      const answer = await client.workflowService.describeTaskQueue({
        namespace: settings.namespace,
        taskQueue: { name: queue },
        taskQueueType: ofActivities,
      });
      const fresh = answer.pollers.filter(
        (p) => Date.now() - Number(p.lastAccessTime?.seconds ?? 0) * 1000 < polledMs,
      );
      return fresh.length > 0;
    }),
  );
  return queues.filter((_, i) => polled[i] !== true);
}
