/** Alerts reach each channel once per state, through refusals, outages and deaths of whoever sends them. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import type { Fleet } from '../../domain/fleet';
import { clusterId } from '../../domain/ids';
import { defaultPolicy } from '../../domain/limits';
import type { OpenInventory } from '../../drivers/postgres';
import { judgeSignature } from '../../client/http/webhooks/standard';
import { createWebhook } from '../../drivers/webhook';
import { createAlertmanager, heartbeatName } from '../../drivers/alertmanager';
import { startOutbox } from '../../workers/outbox';
import type { Channel } from '../../workers/channels';
import { waitFor } from '../../lab/wait-for';
import { freshInventory, type FreshInventory } from '../support/inventory';

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** A receiver that can be told to refuse, and remembers all that it was sent. */
async function receiver() {
  const received: Received[] = [];
  const state = { answer: 200 };
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (some: string) => (text += some));
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, text });
      response.writeHead(state.answer).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ received, state, url: `http://127.0.0.1:${port}/hook` },
    taken: () =>
      received.map((r) => JSON.parse(r.text) as { type: string; data: { key: string; page: number } }),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

const secret = `whsec_${Buffer.from('between us').toString('base64')}`;
const quiet = pino({ level: 'silent' });
let fresh: FreshInventory;
let inventory: OpenInventory;
let sink: Awaited<ReturnType<typeof receiver>>;

beforeEach(async () => {
  fresh = await freshInventory();
  inventory = fresh.inventory;
  sink = await receiver();
});
afterEach(async () => {
  await sink.close();
  await fresh.close();
});

const one = clusterId('one');
const fleet: Fleet = {
  pools: [],
  clusters: [{ id: one, mode: 'automatic', policy: defaultPolicy, vms: {}, hosts: [] }],
};

/** A server whose watches were begun long ago, and were heard of just now for as long as they are there. */
const watchesThere = (there: () => boolean) => ({
  getHandle: () => ({
    describe: () =>
      Promise.resolve({
        ...{ status: { name: there() ? 'RUNNING' : 'TERMINATED' }, startTime: new Date(0) },
        raw: { pendingActivities: [{ lastHeartbeatTime: { seconds: Date.now() / 1000 } }] },
      }),
  }),
});

const workersThere = (there: () => boolean, watched: () => boolean) => ({
  temporal: () =>
    Promise.resolve({
      client: {
        workflowService: {
          describeTaskQueue: () =>
            Promise.resolve({
              pollers: there()
                ? [{ lastAccessTime: { seconds: Math.floor(Date.now() / 1000), nanos: 0 } }]
                : [],
            }),
        },
        workflow: watchesThere(watched),
      },
      settings: { address: 'none', namespace: 'default' },
      close: () => Promise.resolve(),
    }) as never,
});

const hook = (): Channel => ({
  name: 'webhook:pager',
  notifier: createWebhook({ url: sink.url, secret: () => secret }),
  standing: undefined,
});

const yes = (): boolean => true;
const outbox = (channels: Channel[], alerts: object = {}, there = yes, watched = yes) =>
  startOutbox({
    ...{ inventory, log: quiet, channels, config: { alerts }, everyMs: 20 },
    door: { ...workersThere(there, watched), fleet },
  });

const raise = (key: string, severity: 'info' | 'warning' | 'critical' = 'critical') =>
  inventory.raiseAlert({
    ...{
      key,
      severity,
      sentence: `${key} needs somebody`,
      nextCommand: 'vmedic status',
      incidentId: undefined,
    },
    raisedAt: new Date().toISOString(),
  });

it('a raise and its end are each told once, signed, however many senders run', async () => {
  const senders = [outbox([hook()]), outbox([hook()]), outbox([hook()])];
  await raise('unfenced:hv-a');
  await waitFor('the raise', 10_000, () => sink.received.length === 1);
  await inventory.clearAlert('unfenced:hv-a', new Date().toISOString());
  await waitFor('the end', 10_000, () => sink.received.length === 2);
  for (const s of senders) await s.stop();
  expect(sink.taken().map((m) => m.type)).toEqual(['alert.raised', 'alert.cleared']);
  for (const { headers, text } of sink.received) {
    const [id, timestamp, signature] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((h) =>
      String(headers[h]),
    );
    expect(
      judgeSignature(
        secret,
        { id: id!, timestamp: timestamp!, signature: signature!, body: text },
        Date.now(),
      ),
    ).toBe('good');
  }
  expect(new Set(sink.received.map((r) => r.headers['webhook-id'])).size).toBe(2);
});

it('a receiver that refuses is tried again with the same id, and the others do not wait for it', async () => {
  sink.state.answer = 500;
  const other = await receiver();
  const second: Channel = {
    ...hook(),
    name: 'webhook:other',
    notifier: createWebhook({ url: other.url, secret: () => secret }),
  };
  const sender = outbox([hook(), second]);
  await raise('unfenced:hv-a');
  await raise('unfenced:hv-b');
  await waitFor('the other channel', 10_000, () => other.received.length === 2);
  await waitFor('a second try', 10_000, () => sink.received.length >= 2);
  expect(await inventory.owedDeliveries()).toMatchObject([{ channel: 'webhook:pager', count: 2 }]);
  sink.state.answer = 200;
  await waitFor('all to be delivered', 15_000, async () => (await inventory.owedDeliveries()).length === 0);
  await sender.stop();
  await other.close();
  const idsByKey = new Map<string, Set<unknown>>();
  sink.received.forEach((r, i) => {
    const { key } = sink.taken()[i]!.data;
    idsByKey.set(key, (idsByKey.get(key) ?? new Set()).add(r.headers['webhook-id']));
  });
  expect([...idsByKey.values()].map((ids) => ids.size)).toEqual([1, 1]);
  expect(other.received).toHaveLength(2);
});

it('a critical alert is paged again until it is acknowledged', async () => {
  const sender = outbox([hook()], { pageAgain: '100ms' });
  await raise('unfenced:hv-a');
  await raise('guest-slow', 'warning');
  await waitFor(
    'three pages',
    10_000,
    () => sink.taken().filter((m) => m.data.key === 'unfenced:hv-a').length >= 3,
  );
  await inventory.acknowledgeAlerts({ key: 'unfenced:hv-a' }, 'ada', new Date().toISOString());
  await waitFor('what was under way', 5_000, async () => (await inventory.owedDeliveries()).length === 0);
  const before = sink.received.length;
  await new Promise((resolve) => setTimeout(resolve, 400));
  await sender.stop();
  expect(sink.received.length).toBe(before);
  const pages = sink.taken().filter((m) => m.data.key === 'unfenced:hv-a');
  expect(pages.map((m) => m.data.page)).toEqual(pages.map((_, i) => i + 1));
  expect(sink.taken().filter((m) => m.data.key === 'guest-slow')).toHaveLength(1);
});

it('Alertmanager hears what is open again and again, and a heartbeat only while workers poll and every cluster is watched', async () => {
  const standing = createAlertmanager({ url: sink.url, token: () => 'a token' });
  const state = { workers: true, watched: true };
  const channel: Channel = { name: 'alertmanager', notifier: standing, standing };
  const sender = outbox(
    [channel],
    { heartbeat: '50ms' },
    () => state.workers,
    () => state.watched,
  );
  await raise('unfenced:hv-a');
  await raise('result', 'info');
  const labels = (r: Received) =>
    (JSON.parse(r.text) as { labels: Record<string, string> }[]).map((a) => a.labels['alertname']).sort();
  const both = (r: Received): boolean => labels(r).join() === [heartbeatName, 'VMedicUnfenced'].sort().join();
  await waitFor('two restatements', 10_000, () => sink.received.filter(both).length >= 2);
  for (const part of ['workers', 'watched'] as const) {
    state[part] = false;
    const silentFrom = sink.received.length + 1;
    await waitFor('more of them', 10_000, () => sink.received.length >= silentFrom + 3);
    expect(sink.received.slice(silentFrom).flatMap(labels)).not.toContain(heartbeatName);
    state[part] = true;
    const from = sink.received.length + 1;
    await waitFor('the heartbeat again', 10_000, () => sink.received.slice(from).some(both));
  }
  await sender.stop();
  // News is told once: it has no end that could be restated.
  expect(sink.received.flatMap(labels).filter((l) => l === 'VMedicResult')).toHaveLength(1);
  expect(sink.received[0]?.path).toBe('/hook/api/v2/alerts');
  expect(sink.received[0]?.headers.authorization).toBe('Bearer a token');
});
