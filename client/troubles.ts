/** What is wrong now, since when, and the next command for each: what `vmedic status` and the API tell. */
import type { Fleet } from '../domain/fleet';
import { millisOf } from '../domain/observations';
import { armCommand, disarmedSentence } from '../domain/armed';
import { countOf, isRiskAlert, type ReadinessReport } from '../domain/readiness';
import type { AlertRecord, ArmSwitch, HostRecord, IncidentRecord, VmRecord } from '../domain/records';
import { whyUnasked } from '../domain/unasked';
import { phasesUnderWay } from '../domain/volume-move';
import { defaultTaskQueue, powerQueue } from '../workflows/inputs';
import type { TemporalSession } from './temporal';

export interface Trouble {
  readonly what: string;
  readonly since: string | undefined;
  readonly next: string;
}

/** A host that the watch has not seen for this long is worth a look: its "seen" is written every 10 s. */
const unseenMs = 30_000;

/** A delivery takes a second; later than this it is not on its way, it is stuck. */
const undeliveredMs = 60_000;

/** Of VMs in one line. */
const namedMax = 10;

/**
 * Somebody's order that goes as it should: nothing is wrong, although an incident is open. The phases are those of moves alone; whatever asks
 * something of a person is no such work.
 */
const isUnderWay = ({ target, phase, nextCommand }: IncidentRecord): boolean =>
  target.kind !== 'host' && nextCommand === undefined && phasesUnderWay.some((p) => p === phase);

const standingOf = (i: IncidentRecord): Trouble => ({
  what: `incident ${i.incidentId} is ${i.phase}: ${i.summary}`,
  since: i.openedAt,
  next: i.nextCommand ?? `vmedic incident watch ${i.incidentId}`,
});

/** What goes on by order and is well, shown beside what is wrong. Pure. */
export const workUnderWay = (open: readonly IncidentRecord[]): Trouble[] =>
  open.filter(isUnderWay).map(standingOf);

/** Everything that is wrong, the gravest first. Pure. */
export function troublesOf(seen: {
  readonly fleet: Fleet;
  readonly hosts: readonly HostRecord[];
  readonly vms: readonly VmRecord[];
  readonly open: readonly IncidentRecord[];
  readonly alerts: readonly AlertRecord[];
  readonly unpolled: readonly string[];
  readonly unwatched?: readonly string[];
  readonly switches?: readonly ArmSwitch[];
  /** The newest check of each cluster that was ever checked. */
  readonly checks?: readonly (ReadinessReport | undefined)[];
  /** What alerts owe to channels that did not take them yet. */
  readonly owed?: readonly { readonly channel: string; readonly count: number; readonly oldestAt: string }[];
}): Trouble[] {
  const {
    fleet,
    hosts,
    vms,
    open,
    alerts,
    unpolled,
    unwatched = [],
    switches = [],
    checks = [],
    owed = [],
  } = seen;
  const troubledHosts = open.flatMap((i) => (i.target.kind === 'host' ? [i.target.hostId] : []));
  const troubledVms = open.flatMap((i) => (i.target.kind === 'vm' ? [i.target.vmId] : []));
  return [
    ...switches
      .filter((s) => !s.armed)
      .map((s) => ({ what: `disarmed: ${disarmedSentence(s)}`, since: s.at, next: armCommand(s) })),
    ...unpolled.map((queue) => ({
      what: `no worker takes work from the queue "${queue}": nothing goes on until one does`,
      since: undefined,
      next: 'vmedic up, or vmedic worker',
    })),
    ...unwatched.map((cluster) => ({
      what: `nobody watches the cluster ${cluster}: a failure there would not be noticed`,
      since: undefined,
      next: 'vmedic up and vmedic worker begin its watch anew within a minute; their log says what keeps them from it',
    })),
    ...owed
      .filter((o) => Date.now() - millisOf(o.oldestAt) > undeliveredMs)
      .map((o) => ({
        what: `${o.channel} has not taken ${o.count} ${o.count === 1 ? 'message' : 'messages'} about alerts`,
        since: o.oldestAt,
        next: "see the API's log; no API runs? vmedic server",
      })),
    ...open.filter((i) => !isUnderWay(i)).map(standingOf),
    ...alerts
      // What only lowers the chances is in `vmedic readiness`: this is the screen of what is wrong.
      .filter((a) => !isRiskAlert(a.key))
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
        if (troubledHosts.includes(declared.id) || whyUnasked(alerts, declared) !== undefined) return [];
        const record = hosts.find((h) => h.hostId === declared.id);
        // Told of by its alert, with the same command. Fenced again since, it is off: the alert does not say that.
        if (record?.standing === 'quarantined' && alerts.some((a) => a.key === `returned:${declared.id}`))
          return [];
        return hostTrouble(record, declared.id);
      }),
    ...hosts.filter((h) => !troubledHosts.includes(h.hostId)).flatMap((h) => downWith(h, vms, troubledVms)),
    ...vms
      .filter((v) => v.protected && v.desired === 'running' && v.observed.state !== 'running')
      .filter((v) => !troubledVms.includes(v.vmId) && !troubledHosts.includes(v.hostId))
      .map((v) => ({
        what: `VM ${v.name} is to run and is ${v.observed.state} (${v.observed.reason}) on ${v.hostId}`,
        since: v.observed.at,
        next: `vmedic vm restart ${v.name}`,
      })),
    ...checks.flatMap(unreadiness),
  ];
}

/** Nothing is down for it yet, so it comes last. */
function unreadiness(report: ReadinessReport | undefined): Trouble[] {
  if (report === undefined) return [];
  const wouldNot = countOf(report, 'would-not');
  if (wouldNot === 0) return [];
  const all = wouldNot + countOf(report, 'comes-back');
  const names = report.vms.filter((v) => v.verdict === 'would-not').map((v) => v.name);
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : '';
  const which = `${names.slice(0, namedMax).join(', ')}${more}`;
  const what = `${wouldNot} of ${all} protected VMs of ${report.clusterId} would not come back if their host failed, as last checked: ${which}`;
  return [{ what, since: report.at, next: 'vmedic readiness' }];
}

/** A host that was proven off runs nothing, whatever was seen on it last. */
export const runsNow = (vm: VmRecord, hosts: readonly HostRecord[]): boolean =>
  vm.observed.state === 'running' && hosts.find((h) => h.hostId === vm.hostId)?.standing !== 'fenced';

/** VMs that went down with a host and that nobody has brought back. */
function downWith(host: HostRecord, vms: readonly VmRecord[], atWork: readonly string[]): Trouble[] {
  const down = vms
    .filter((v) => v.hostId === host.hostId && v.protected && v.desired === 'running')
    .filter((v) => v.observed.state === 'running' && !runsNow(v, [host]) && !atWork.includes(v.vmId));
  if (down.length === 0) return [];
  const named = down.slice(0, namedMax).map((v) => v.name);
  const more = down.length > named.length ? ` and ${down.length - named.length} more` : '';
  const what = `went down with ${host.hostId} and not brought back: ${named.join(', ')}${more}`;
  return [{ what, since: host.lastSeenAt, next: `vmedic host recover ${host.hostId} --wait` }];
}

function hostTrouble(record: HostRecord | undefined, id: string): Trouble[] {
  const next = `vmedic host show ${id}`;
  if (record?.lastSeenAt === undefined)
    return [{ what: `host ${id} was never seen`, since: undefined, next }];
  if (record.standing === 'in-service') {
    if (Date.now() - millisOf(record.lastSeenAt) < unseenMs) return [];
    const dryRun = `vmedic host recover ${id} --dry-run`;
    return [{ what: `host ${id} does not answer`, since: record.lastSeenAt, next: dryRun }];
  }
  if (record.standing === 'maintenance') return [];
  const readmit = `vmedic host readmit ${id} --reason "..."`;
  const powerOn = `switch it on, then ${readmit}`;
  return [
    {
      what: `host ${id} is ${record.standing} and takes no VMs`,
      since: record.lastSeenAt,
      next: record.standing === 'quarantined' ? readmit : record.standing === 'fenced' ? powerOn : next,
    },
  ];
}

/** TASK_QUEUE_TYPE_ACTIVITY, whose enum the client package keeps to itself. Activities are what both queues carry. */
const ofActivities = 2 as never;

/** How long after its last call a worker still counts as there: the server parks a call for a minute at most. */
const polledMs = 90_000;

/** The queues that no worker polled lately: what waits in them goes on when one does. */
export async function queuesWithoutWorker(
  { client, settings }: Pick<TemporalSession, 'client' | 'settings'>,
  taskQueue: string = defaultTaskQueue,
): Promise<string[]> {
  const queues = [taskQueue, powerQueue(taskQueue)];
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
