/**
 * Metrics, read from the records at each scrape: so they survive restarts, are the same from every server, and counters never fall. Only what
 * this process itself does (requests, its own health) is counted in it.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, type MetricObject, Registry } from 'prom-client';
import { effectiveMode } from '../../domain/armed';
import { defaultTaskQueue, powerQueue } from '../../workflows/inputs';
import type { OutcomeFigures } from '../../activities/ports';
import type { VmRecord } from '../../domain/records';
import type { HttpDoor } from './door';

export const metricsType = Registry.PROMETHEUS_CONTENT_TYPE;

/** A recovery is minutes at most; beyond an hour somebody was waited for. */
const outcomeBoundsSeconds = [2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600];
const requestBoundsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Of this process. */
const own = new Registry();
collectDefaultMetrics({ register: own, prefix: 'vmedic_api_' });
// Gauges under a counter's name, which Prometheus' own linter refuses; their sums say nothing that is needed.
for (const what of ['handles', 'requests', 'resources'])
  own.removeSingleMetric(`vmedic_api_nodejs_active_${what}_total`);
const requests = new Histogram({
  name: 'vmedic_http_request_duration_seconds',
  help: 'Answers of the API by route and status.',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: requestBoundsSeconds,
  registers: [own],
});
const scrapeErrors = new Counter({
  name: 'vmedic_scrape_errors_total',
  help: 'Scrapes in which a part could not be read; its metrics are absent then.',
  labelNames: ['part'] as const,
  registers: [own],
});

export function observeRequest(method: string, path: string, status: number, seconds: number): void {
  requests.observe({ method, route: path, status: String(status) }, seconds);
}

export async function metricsText(door: HttpDoor): Promise<string> {
  const registry = new Registry();
  const parts: [string, () => Promise<void>][] = [
    ['inventory', () => inventoryMetrics(door, registry)],
    ['temporal', () => queueMetrics(door, registry)],
  ];
  await Promise.all(
    parts.map(async ([part, read]) => {
      try {
        await read();
      } catch (error) {
        // The rest is worth having; that this is missing is a metric itself.
        door.log.warn({ err: error, part }, 'a part of the metrics could not be read');
        scrapeErrors.inc({ part });
      }
    }),
  );
  new Gauge({
    name: 'vmedic_build_info',
    help: 'Which version runs.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: door.version }, 1);
  return Registry.merge([registry, own]).metrics();
}

async function inventoryMetrics(door: HttpDoor, registry: Registry): Promise<void> {
  const { inventory, fleet } = door;
  const [hosts, vms, open, alerts, figures, owed, claim, switches] = await Promise.all([
    inventory.hosts(),
    inventory.vms(),
    inventory.incidents({ open: true }),
    inventory.alerts({ open: true }),
    inventory.outcomeFigures(outcomeBoundsSeconds),
    inventory.owedDeliveries(),
    inventory.fleetClaim(),
    inventory.switches(),
  ]);
  const gauge = counting(registry);
  const declared = fleet.clusters.flatMap((c) => c.hosts);
  gauge('vmedic_hosts', 'Declared hosts by standing.', ['cluster', 'standing'], declared, (h) => [
    h.clusterId,
    hosts.find((r) => r.hostId === h.id)?.standing ?? 'not-seen-yet',
  ]);
  gauge(
    'vmedic_vms',
    'Known VMs by what is wanted and what was seen.',
    ['cluster', 'desired', 'observed', 'protected'],
    vms,
    (v) => [v.clusterId, v.desired, v.observed.state, String(v.protected)],
  );
  gauge('vmedic_incidents_open', 'Open incidents by phase.', ['cluster', 'target', 'phase'], open, (i) => [
    i.clusterId,
    i.target.kind,
    i.phase,
  ]);
  gauge(
    'vmedic_incidents_waiting',
    'Open incidents that wait for a person.',
    ['cluster'],
    open.filter((i) => i.nextCommand !== undefined),
    (i) => [i.clusterId],
  );
  gauge('vmedic_alerts_open', 'Open alerts by severity.', ['severity', 'acknowledged'], alerts, (a) => [
    a.severity,
    String(a.acknowledgedAt !== undefined),
  ]);
  const modes = new Gauge({
    name: 'vmedic_cluster_mode',
    help: '1 for the mode that each cluster is in at this moment: observe while it is disarmed, whatever the config says.',
    labelNames: ['cluster', 'mode'],
    registers: [registry],
  });
  for (const cluster of fleet.clusters) {
    const own = hosts.filter((h) => h.clusterId === cluster.id);
    modes.set({ cluster: cluster.id, mode: effectiveMode(cluster, own, claim, switches).mode }, 1);
  }
  const waiting = new Gauge({
    name: 'vmedic_deliveries_owed',
    help: 'Messages not delivered yet, by channel.',
    labelNames: ['channel'],
    registers: [registry],
  });
  const oldest = new Gauge({
    name: 'vmedic_deliveries_oldest_seconds',
    help: 'Age of the oldest of them.',
    labelNames: ['channel'],
    registers: [registry],
  });
  for (const { channel, count, oldestAt } of owed) {
    waiting.set({ channel }, count);
    oldest.set({ channel }, Math.max(0, (Date.now() - Date.parse(oldestAt)) / 1000));
  }
  await deviceMetrics(door, registry);
  await readinessMetrics(door, vms, registry);
  registry.registerMetric(durations(figures) as never);
}

/** A gauge that counts items by their labels. */
function counting(registry: Registry) {
  return <T>(
    name: string,
    help: string,
    labelNames: string[],
    items: readonly T[],
    labels: (item: T) => string[],
  ): void => {
    const gauge = new Gauge({ name, help, labelNames, registers: [registry] });
    for (const item of items)
      gauge.inc(Object.fromEntries(labels(item).map((value, i) => [labelNames[i] ?? '', value])));
  };
}

/** Would each VM come back: as the last check of its cluster found. */
async function readinessMetrics(
  { fleet, inventory }: HttpDoor,
  vms: readonly VmRecord[],
  registry: Registry,
): Promise<void> {
  const priorities = new Map(vms.map((v) => [v.vmId, v.priority]));
  const ready = new Gauge({
    name: 'vmedic_readiness_vms',
    help: 'VMs by what would become of them if their host failed now, as checked last.',
    labelNames: ['cluster', 'priority', 'verdict'],
    registers: [registry],
  });
  const checked = new Gauge({
    name: 'vmedic_readiness_checked_timestamp_seconds',
    help: 'When the cluster was checked last; absent when it never was.',
    labelNames: ['cluster'],
    registers: [registry],
  });
  for (const { id } of fleet.clusters) {
    const report = await inventory.readiness(id);
    if (report === undefined) continue;
    checked.set({ cluster: id }, Date.parse(report.at) / 1000);
    for (const { vmId, verdict } of report.vms)
      // One that is gone since the check has no priority any more, and would otherwise be left out of the sum.
      ready.inc({ cluster: id, priority: String(priorities.get(vmId) ?? 'unknown'), verdict });
  }
}

async function deviceMetrics({ fleet, inventory }: HttpDoor, registry: Registry): Promise<void> {
  const refusals = new Gauge({
    name: 'vmedic_fence_device_login_refusals',
    help: 'Refused logins that count against the budget.',
    labelNames: ['host', 'device'],
    registers: [registry],
  });
  const answered = new Gauge({
    name: 'vmedic_fence_device_last_answer_timestamp_seconds',
    help: 'When the device answered last; absent when it never did.',
    labelNames: ['host', 'device'],
    registers: [registry],
  });
  const devices = fleet.clusters
    .flatMap((c) => c.hosts)
    .flatMap((h) => h.fenceLevels.flatMap((l) => l.devices.map((d) => ({ host: h.id, device: d.id }))));
  for (const { host, device } of devices) {
    const health = await inventory.deviceHealth(device);
    refusals.set({ host, device }, health.loginRefusals);
    if (health.lastAnswerAt !== undefined)
      answered.set({ host, device }, Date.parse(health.lastAnswerAt) / 1000);
  }
}

/** A histogram from counts that the database keeps: prom-client's own can only be fed one by one. */
function durations(figures: readonly OutcomeFigures[]) {
  const name = 'vmedic_recovery_duration_seconds';
  const help = 'Closed incidents by outcome, and how long each was open.';
  const values = figures.flatMap(({ cluster, target, outcome, count, sumSeconds, atMost }) => {
    const labels = { cluster, target, outcome };
    const bucket = (le: number | string, value: number) => ({
      ...{ metricName: `${name}_bucket`, value, labels: { ...labels, le } },
    });
    return [
      ...outcomeBoundsSeconds.map((bound, i) => bucket(bound, atMost[i] ?? 0)),
      bucket('+Inf', count),
      { metricName: `${name}_sum`, value: sumSeconds, labels },
      { metricName: `${name}_count`, value: count, labels },
    ];
  });
  const metric = { name, help, type: 'histogram', values, aggregator: 'first' };
  return { name, get: (): Promise<MetricObject> => Promise.resolve(metric as unknown as MetricObject) };
}

const workflowTasks = 1 as never;
const activityTasks = 2 as never;

async function queueMetrics(door: HttpDoor, registry: Registry): Promise<void> {
  const { client, settings } = await door.temporal();
  const queue = door.taskQueue ?? defaultTaskQueue;
  const labelNames = ['queue', 'kind'];
  const backlog = new Gauge({
    name: 'vmedic_queue_backlog',
    help: 'Tasks that wait for a worker (Temporal estimates it).',
    labelNames,
    registers: [registry],
  });
  const age = new Gauge({
    name: 'vmedic_queue_backlog_age_seconds',
    help: 'How long the oldest of them waits.',
    labelNames,
    registers: [registry],
  });
  const pollers = new Gauge({
    name: 'vmedic_queue_pollers',
    help: 'Workers that polled the queue lately.',
    labelNames,
    registers: [registry],
  });
  for (const [name, kind, type] of [
    [queue, 'workflow', workflowTasks],
    [queue, 'activity', activityTasks],
    [powerQueue(queue), 'activity', activityTasks],
  ] as const) {
    const answer = await client.withDeadline(Date.now() + 3_000, () =>
      client.workflowService.describeTaskQueue({
        ...{ namespace: settings.namespace, taskQueue: { name }, taskQueueType: type, reportStats: true },
      }),
    );
    const labels = { queue: name, kind };
    backlog.set(labels, Number(answer.stats?.approximateBacklogCount ?? 0));
    const waits = answer.stats?.approximateBacklogAge;
    age.set(labels, Number(waits?.seconds ?? 0) + (waits?.nanos ?? 0) / 1e9);
    pollers.set(labels, answer.pollers.length);
  }
}
