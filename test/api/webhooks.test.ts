/** Messages from monitors: heeded once, as far as the mode allows, and never taken from a stranger or a second time. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { alertmanagerBody, reportsOf } from '../../client/http/webhooks/alertmanager';
import { judgeSignature, signatureOf, windowSeconds } from '../../client/http/webhooks/standard';
import { incidentId } from '../../domain/ids';
import { waitFor } from '../../lab/wait-for';
import { type Answered, type ApiUnderTest, apiUnderTest, senderSecret } from '../support/api';

interface Heeded {
  readonly about: string;
  readonly became: string;
  readonly incidentId?: string;
  readonly sentence: string;
}
const results = (answer: Answered): readonly Heeded[] => answer.body['results'] as readonly Heeded[];

/** A message as Alertmanager 0.25 sent it, with the names of this world in it. */
function alertmanagerMessage(labels: Record<string, string>[], status = 'firing'): Record<string, unknown> {
  const recorded = JSON.parse(readFileSync(join(__dirname, 'alertmanager-message.json'), 'utf8')) as {
    alerts: Record<string, unknown>[];
  };
  const [first] = recorded.alerts;
  return {
    ...recorded,
    status,
    alerts: labels.map((own, n) => ({
      ...first,
      status,
      labels: { alertname: 'HostDown', severity: 'critical', ...own },
      fingerprint: `f${n}${JSON.stringify(own).length}`,
    })),
  };
}

describe('on a cluster that may act by itself', () => {
  let api: ApiUnderTest;
  beforeEach(async () => {
    api = await apiUnderTest({ hosts: 3, vmsPerHost: 2, mode: 'automatic' });
  });
  afterEach(() => api.close());

  const sendAlerts = (labels: Record<string, string>[], status?: string) =>
    api.post('/v1/webhooks/alertmanager', { body: alertmanagerMessage(labels, status) });

  it('a group of alerts about one host starts one recovery, and what is resolved or asks for nothing starts none', async () => {
    const { system } = api;
    const host = system.host('a');
    system.controls.cutPower(host);
    const answer = await sendAlerts([
      { vmedic_action: 'recover-host', instance: `${host}:9100` },
      { vmedic_action: 'recover-host', vmedic_host: host },
      { instance: `${host}:9100` },
      { vmedic_action: 'format-disk', host },
      { vmedic_action: 'recover-host' },
      { vmedic_action: 'recover-host', host: 'hv-x' },
    ]);
    expect(answer.status).toBe(200);
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    expect(results(answer).filter((r) => r.became === 'started')).toMatchObject([{ incidentId: id }]);
    expect(
      results(answer)
        .map((r) => r.became)
        .sort(),
    ).toEqual(['ignored', 'ignored', 'ignored', 'refused', 'started']);
    expect(results(answer).find((r) => r.became === 'refused')?.sentence).toContain('There is no host hv-x');
    const resolved = await sendAlerts([{ vmedic_action: 'recover-host', host }], 'resolved');
    expect(results(resolved)).toMatchObject([{ became: 'ignored' }]);
    await waitFor('the recovery to end', 30_000, async () => (await system.inventory.incident(id))?.outcome);
    expect(await system.inventory.incidents()).toHaveLength(1);
    const rows = (await api.get('/v1/audit')).body['items'] as { via: string; who: string }[];
    expect(rows.filter((r) => r.via === 'webhook')).toMatchObject([
      {
        who: 'the-operator',
        action: 'recoverHost',
        target: expect.stringContaining('hv-a'),
        answer: 'started',
      },
    ]);
  });

  it('reports of VMs whose host is being recovered are added to the incident of the host', async () => {
    const { system } = api;
    const host = system.host('a');
    const device = system.spec.hosts.find((h) => h.id === host)?.fenceLevels[0]?.devices[0];
    system.controls.setDevice(device!, { mode: 'silent' });
    system.controls.cutPower(host);
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    await sendAlerts([{ vmedic_action: 'recover-host', host }]);
    await waitFor('the incident to be stored', 10_000, async () => system.inventory.incident(id));
    const vms = system.spec.vms.filter((v) => v.hostId === host);
    const answer = await sendAlerts(vms.map((v) => ({ vmedic_action: 'restart-vm', domain: v.name })));
    expect(results(answer)).toMatchObject(vms.map(() => ({ became: 'same', incidentId: id })));
    system.controls.setDevice(device!, { mode: 'works' });
    const ended = await waitFor('the recovery to end', 30_000, async () => {
      const incident = await system.inventory.incident(id);
      return incident?.outcome === undefined ? undefined : incident;
    });
    expect(ended.outcome).toBe('recovered');
    expect(ended.triggers.filter((t) => t.source === 'webhook')).toHaveLength(1 + vms.length);
    expect(await system.inventory.incidents()).toHaveLength(1);
    const trail = await system.inventory.auditTrail({ limit: 100 });
    for (const { name } of vms)
      expect(trail).toContainEqual(expect.objectContaining({ target: name, via: 'webhook', answer: 'same' }));
  });

  describe('a signed message', () => {
    const send = (
      more: { id?: string; at?: number; secret?: string; body?: string; signed?: string } = {},
    ) => {
      const id = more.id ?? `m-${Math.random()}`;
      const timestamp = String(Math.floor((more.at ?? Date.now()) / 1000));
      const body = more.body ?? JSON.stringify({ type: 'host.failed', data: { host: api.system.host('a') } });
      const signature = signatureOf(more.secret ?? senderSecret, {
        id,
        timestamp,
        body: more.signed ?? body,
      });
      return api.post('/v1/webhooks/generic', {
        ...{ as: 'nobody', body },
        headers: {
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': `v1,AAAA ${signature}`,
        },
      });
    };

    it('is taken once: sent again it is refused, and starts nothing', async () => {
      api.system.controls.cutPower(api.system.host('a'));
      const first = await send({ id: 'once' });
      expect([first.status, results(first)[0]?.became]).toEqual([200, 'started']);
      expect(await send({ id: 'once' })).toMatchObject({ status: 409, body: { code: 'RECEIVED_BEFORE' } });
      const both = await Promise.all([send({ id: 'twice' }), send({ id: 'twice' })]);
      expect(both.map((a) => a.status).sort()).toEqual([200, 409]);
    });

    it.each<[what: string, message: () => ReturnType<typeof send>]>([
      ['of a stranger', () => send({ secret: 'whsec_c29tZXRoaW5nIGVsc2U=' })],
      ['changed on its way', () => send({ signed: '{"type":"host.failed","data":{"host":"hv-z"}}' })],
      ['that is too old', () => send({ at: Date.now() - (windowSeconds + 5) * 1000 })],
      ['from the future', () => send({ at: Date.now() + (windowSeconds + 5) * 1000 })],
      ['without an id', () => send({ id: '' })],
    ])('%s is refused with 401', async (_, message) => {
      expect(await message()).toMatchObject({ status: 401, body: { code: 'SIGNATURE_REFUSED' } });
      expect(await api.system.inventory.incidents()).toEqual([]);
    });

    it('that names nothing is refused with its place', async () => {
      const body = JSON.stringify({ type: 'vm.failed', data: { host: 'hv-a' } });
      expect(await send({ body })).toMatchObject({ status: 400, body: { errors: [{ at: 'data.vm' }] } });
    });
  });

  it('the form of a vCenter alarm is heeded when it turns red', async () => {
    const name = api.system.spec.vms[0]?.name ?? '';
    api.system.controls.destroyByHand(api.system.spec.vms[0]?.hostId as never, api.system.vm(name));
    const alarm = (status: string) => ({
      ...{
        VMWARE_ALARM_NAME: 'VM powered off',
        VMWARE_ALARM_TARGET_ID: 'vm-101',
        VMWARE_ALARM_TARGET_NAME: name,
      },
      ...{ VMWARE_ALARM_NEWSTATUS: status, VMWARE_ALARM_OLDSTATUS: 'Green', VMWARE_ALARM_ID: 'alarm-7' },
    });
    const send = (status: string) => api.post('/v1/webhooks/vcenter', { form: alarm(status) });
    expect(results(await send('Green'))).toMatchObject([{ became: 'ignored' }]);
    expect(results(await send('Red'))).toMatchObject([{ about: `vm ${name}`, became: 'started' }]);
    expect(
      await api.post('/v1/webhooks/vcenter', { form: { ...alarm('Red'), VMWARE_ALARM_TARGET_ID: 'x' } }),
    ).toMatchObject({
      status: 400,
      body: { errors: [{ at: 'VMWARE_ALARM_TARGET_ID' }] },
    });
  });

  it('a sender hears that it shall send again when Temporal is away, and is then heeded', async () => {
    const host = api.system.host('a');
    let away = true;
    const flaky = await apiUnderTest({
      ...{ hosts: 1, vmsPerHost: 1, mode: 'observe' },
      temporal: () => {
        if (away)
          return Promise.reject(
            Object.assign(new Error('no connection'), { code: 14, details: '', metadata: {} }),
          );
        return api.door.temporal();
      },
    });
    try {
      const own = flaky.system.host('a');
      const send = () =>
        flaky.post('/v1/webhooks/alertmanager', {
          body: alertmanagerMessage([{ vmedic_action: 'recover-host', host: own }]),
        });
      expect(await send()).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
      away = false;
      expect(results(await send())).toMatchObject([{ became: 'rehearsed' }]);
      expect(host).not.toBe(own);
    } finally {
      await flaky.close();
    }
  });
});

describe('on a cluster that may not act by itself', () => {
  const open = async (mode: 'observe' | 'approve' | 'automatic') => {
    const api = await apiUnderTest({ hosts: 3, vmsPerHost: 1, mode });
    const host = api.system.host('a');
    api.system.controls.cutPower(host);
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    const send = () =>
      api.post('/v1/webhooks/alertmanager', {
        body: alertmanagerMessage([{ vmedic_action: 'recover-host', host }]),
      });
    const recovered = () =>
      waitFor('the recovery to end', 30_000, async () => (await api.system.inventory.incident(id))?.outcome);
    return { api, host, id, send, recovered };
  };

  it('in mode observe a report is rehearsed once, and a person may still order it', async () => {
    const { api, host, send, recovered } = await open('observe');
    try {
      expect(results(await send())).toMatchObject([{ became: 'rehearsed' }]);
      expect(results(await send())).toMatchObject([{ became: 'repeated' }]);
      expect(await api.system.inventory.incidents()).toEqual([]);
      const order = await api.post(`/v1/hosts/${host}/recover`, { body: { reason: 'it is dark' } });
      expect(order.status).toBe(202);
      expect(await recovered()).toBe('recovered');
    } finally {
      await api.close();
    }
  });

  it("in mode approve a report opens the incident, and nothing is done before an approver's yes", async () => {
    const { api, id, send, recovered } = await open('approve');
    try {
      expect(results(await send())).toMatchObject([
        { became: 'started', incidentId: id, sentence: expect.stringContaining('approve') },
      ]);
      await waitFor('it to be held', 30_000, async () => {
        const incident = await api.system.inventory.incident(id);
        return incident?.phase === 'held' && incident.nextCommand !== undefined;
      });
      expect(results(await send())).toMatchObject([{ became: 'same', incidentId: id }]);
      const yes = await api.post(`/v1/incidents/${id}/approve`, {
        as: 'approver',
        body: { reason: 'it is the rack' },
      });
      expect(yes.status).toBe(200);
      expect(await recovered()).toBe('recovered');
    } finally {
      await api.close();
    }
  });

  it('while it is disarmed a report is rehearsed, whatever the mode', async () => {
    const { api, send } = await open('automatic');
    try {
      await api.system.inventory.setSwitch({
        ...{ scope: 'fleet', armed: false, by: 'ada', reason: 'storage is being moved' },
        at: new Date().toISOString(),
      });
      expect(results(await send())).toMatchObject([{ became: 'rehearsed' }]);
      expect(await api.system.inventory.incidents()).toEqual([]);
    } finally {
      await api.close();
    }
  });
});

describe('whatever is sent', () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    api = await apiUnderTest({ hosts: 1, vmsPerHost: 1, mode: 'observe' });
  });
  afterAll(() => api.close());

  const runs = process.env['VMEDIC_SOAK'] === 'true' ? 5_000 : 150;
  const json = fc.jsonValue({ maxDepth: 4 });
  const almost = fc.record(
    {
      version: fc.constantFrom('4', '5', 4),
      groupKey: fc.oneof(fc.string(), json),
      status: fc.constantFrom('firing', 'resolved', 'other'),
      alerts: fc.array(
        fc.record({
          status: fc.constantFrom('firing', 'resolved'),
          labels: fc.dictionary(
            fc.constantFrom('vmedic_action', 'host', 'vm', 'instance', 'alertname', '__proto__'),
            fc.oneof(
              fc.constantFrom('recover-host', 'restart-vm', '', '\u0000', '\ud800', 'a:b:c'),
              fc.string(),
            ),
          ),
          startsAt: fc.string(),
          fingerprint: fc.string(),
        }),
        { maxLength: 5 },
      ),
    },
    { requiredKeys: ['version', 'groupKey', 'status', 'alerts'] },
  );
  const message = fc.record({
    type: fc.constantFrom('host.failed', 'vm.failed', 'x'),
    data: fc.record({ host: fc.string(), vm: fc.string() }, { requiredKeys: [] }),
  });
  const alarm = fc.record(
    {
      VMWARE_ALARM_NAME: fc.string(),
      VMWARE_ALARM_TARGET_ID: fc.oneof(fc.constantFrom('vm-1', 'host-2'), fc.string()),
      VMWARE_ALARM_TARGET_NAME: fc.string(),
      VMWARE_ALARM_NEWSTATUS: fc.constantFrom('Red', 'Green', 'Blue'),
    },
    { requiredKeys: ['VMWARE_ALARM_NAME'] },
  );
  const asText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const asForm = (value: Record<string, string>): string => new URLSearchParams(value).toString();
  const anything = fc.oneof(json, fc.string()).map(asText);
  const sent = fc.oneof(
    fc.record({ path: fc.constant('alertmanager'), form: fc.constant(false), text: almost.map(asText) }),
    fc.record({ path: fc.constant('generic'), form: fc.constant(false), text: message.map(asText) }),
    fc.record({ path: fc.constant('vcenter'), form: fc.constant(true), text: alarm.map(asForm) }),
    fc.record({
      path: fc.constantFrom('alertmanager', 'generic', 'vcenter'),
      form: fc.boolean(),
      text: anything,
    }),
  );

  it('is answered with a result or a problem, never with a defect', async () => {
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(sent, async ({ path, form, text }) => {
        const answer = await api.post(`/v1/webhooks/${path}`, {
          body: text,
          headers: { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json' },
        });
        statuses.add(answer.status);
        expect([200, 400, 401]).toContain(answer.status);
        const shape = answer.status === 200 ? { results: expect.any(Array) } : { code: expect.any(String) };
        expect(answer.body).toMatchObject(shape);
      }),
      { numRuns: runs },
    );
    // All three were met, so that no part of the claim is empty.
    expect([...statuses].sort()).toEqual([200, 400, 401]);
  });

  it('an alert starts something only with its label, and never twice for one target', () => {
    fc.assert(
      fc.property(almost, (body) => {
        const message = alertmanagerBody.safeParse(JSON.parse(JSON.stringify(body)));
        if (!message.success) return;
        const { reports, ignored } = reportsOf(message.data);
        const asking = message.data.alerts.filter(
          (a) => a.status === 'firing' && 'vmedic_action' in a.labels,
        );
        expect(reports.length).toBeLessThanOrEqual(asking.length);
        expect(reports.length + ignored.length).toBe(message.data.alerts.length);
      }),
    );
  });

  it('a signature holds for its own message and secret alone', () => {
    const part = fc.string({ minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(part, part, part, fc.nat(2_000_000_000), part, (secret, id, body, seconds, other) => {
        const message = { id, timestamp: String(seconds), body };
        const signature = signatureOf(secret, message);
        expect(judgeSignature(secret, { ...message, signature }, seconds * 1000)).toBe('good');
        expect(judgeSignature(secret, { ...message, signature }, (seconds + windowSeconds + 1) * 1000)).toBe(
          'too-old-or-new',
        );
        fc.pre(other !== body && other !== secret);
        const wrong = 'not-signed-by-this-secret';
        expect(judgeSignature(secret, { ...message, body: other, signature }, seconds * 1000)).toBe(wrong);
        expect(judgeSignature(other, { ...message, signature }, seconds * 1000)).toBe(wrong);
      }),
    );
  });

  it('the signature is the one of the specification', () => {
    // The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    const message = {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestamp: '1614265330',
      body: '{"test": 2432232314}',
    };
    expect(signatureOf('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', message)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });
});
