/** What the API answers before any route is reached, and that its description names each of these answers. */
import { pino } from 'pino';
import { type AppOptions, createApp, routes } from '../../client/http/app';
import type { HttpDoor } from '../../client/http/door';
import { openApi } from '../../client/http/openapi';
import { reportOfAlarm } from '../../client/http/webhooks/vcenter';
import { fleet } from '../support/command-line';

const unreached = (what: string) => () => Promise.reject(new Error(`${what} was reached`));
const door = (inventory: object = {}): HttpDoor => ({
  ...{ fleet, log: pino({ level: 'silent' }), version: '0.0.0', sign: undefined },
  inventory: inventory as HttpDoor['inventory'],
  temporal: unreached('Temporal'),
  senders: [{ name: 'pager', secret: () => 'a secret' }],
});

/** In this process, on a port of its own. */
async function answering(inventory: object, more: AppOptions, ask: (base: string) => Promise<void>) {
  const app = await createApp(door(inventory), more);
  try {
    await ask(await app.listen({ host: '127.0.0.1', port: 0 }));
  } finally {
    await app.close();
  }
}

it('who asks too often is told so, and when to ask again', async () => {
  await answering({}, { requestsPerMinute: 2 }, async (base) => {
    const ask = () => fetch(`${base}/healthz`);
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
    const third = await ask();
    expect(await third.json()).toMatchObject({ status: 429, code: 'TOO_MANY_REQUESTS' });
    expect(third.status).toBe(429);
    expect(third.headers.get('content-type')).toContain('application/problem+json');
    expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

it('a message that nobody known has signed takes no Idempotency-Key and leaves no row', async () => {
  const claimAnswer = jest.fn();
  await answering({ claimAnswer }, {}, async (base) => {
    const signed = { 'webhook-id': 'a', 'webhook-timestamp': '1', 'webhook-signature': 'v1,a' };
    const answer = await fetch(`${base}/v1/webhooks/generic`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'taken', ...signed },
      body: JSON.stringify({ type: 'host.failed', data: { host: 'hv-a' } }),
    });
    expect([answer.status, claimAnswer.mock.calls]).toEqual([401, []]);
  });
});

it('each answer that is no success and needs no route is described for every route', () => {
  const { paths } = openApi(routes, '0.0.0') as {
    paths: Record<string, Record<string, { responses: Record<string, { content?: object }> }>>;
  };
  for (const { method, path, needs } of routes) {
    const of = paths[path]?.[method]?.responses ?? {};
    const owed = [
      ...['429', '500'],
      ...(method === 'post' ? ['400', '413', '415'] : []),
      ...(method === 'post' && needs !== 'sender' ? ['422'] : []),
      ...(needs === 'nobody' ? [] : ['401', '503']),
      ...(needs === 'nobody' || needs === 'sender' ? [] : ['403']),
    ];
    const missing = owed.filter(
      (s) => !Object.keys(of[s]?.content ?? {}).includes('application/problem+json'),
    );
    expect(`${method} ${path}: ${missing.join()}`).toBe(`${method} ${path}: `);
  }
});

it("an alarm of vCenter names a host by vCenter's own name of it, and by its id", () => {
  const [cluster] = fleet.clusters;
  const [host] = cluster?.hosts ?? [];
  const there = { ...fleet, clusters: [{ ...cluster!, hosts: [{ ...host!, managedAs: 'esx-7.example' }] }] };
  const named = (name: string) =>
    reportOfAlarm(
      {
        ...{ VMWARE_ALARM_NAME: 'Host connection', VMWARE_ALARM_TARGET_ID: 'host-12' },
        ...{ VMWARE_ALARM_TARGET_NAME: name, VMWARE_ALARM_NEWSTATUS: 'Red' },
      },
      new Date(),
      there,
    )?.about.name;
  expect(['esx-7.example', 'hv-a', 'other'].map(named)).toEqual(['hv-a', 'hv-a', 'other']);
});
