import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { incidentId } from '../../domain/ids';
import { routes } from '../../client/http/app';
import { openApi } from '../../client/http/openapi';
import { judgeReport } from '../../client/report';
import { waitFor } from '../../lab/wait-for';
import { type ApiUnderTest, apiUnderTest } from '../support/api';
import { monitoringProgram } from '../support/monitoring';
import { testIf } from '../support/optional';
import { judgeDescription } from './describe-answers';

let api: ApiUnderTest;

beforeAll(async () => {
  api = await apiUnderTest({ hosts: 3, vmsPerHost: 3 });
  await fiveFalseAlarms();
});
afterAll(() => api.close());

const because = { reason: 'rack 4 has no power' };

/** Of the third host, two of them at a time. */
async function fiveFalseAlarms(): Promise<void> {
  const { inventory } = api.system;
  for (let epoch = 1; epoch <= 5; epoch++) {
    const id = incidentId({ kind: 'host', hostId: api.system.host('c') }, epoch);
    const openedAt = new Date(Date.UTC(2026, 0, 1, 0, 0, Math.ceil(epoch / 2))).toISOString();
    await inventory.openIncident(
      {
        ...{ incidentId: id, target: { kind: 'host', hostId: api.system.host('c') }, openedAt },
        ...{ clusterId: api.system.fleet.clusters[0]!.id, epoch, workflowId: 'none' },
      },
      { source: 'watch', by: 'w', reason: 'r', at: openedAt },
    );
    await inventory.updateIncident(id, { outcome: 'dismissed', closedAt: openedAt });
  }
}

interface Page {
  readonly items: readonly Record<string, unknown>[];
  readonly next?: string;
}

async function pages(url: string): Promise<Page[]> {
  const all: Page[] = [];
  for (let cursor = ''; ;) {
    const { status, body } = await api.get(`${url}${cursor === '' ? '' : `&cursor=${cursor}`}`, {
      as: 'viewer',
    });
    expect(status).toBe(200);
    const page = body as unknown as Page;
    all.push(page);
    if (page.next === undefined) return all;
    cursor = page.next;
  }
}

describe('lists', () => {
  it('come in pages that hold each item once', async () => {
    const vms = await pages('/v1/vms?limit=4');
    expect(vms.map((p) => p.items.length)).toEqual([4, 4, 1]);
    expect(new Set(vms.flatMap((p) => p.items.map((v) => v['vmId']))).size).toBe(9);
    const hosts = await pages('/v1/hosts?limit=2');
    expect(hosts.flatMap((p) => p.items.map((h) => h['hostId']))).toEqual(
      ['a', 'b', 'c'].map((l) => api.system.host(l)),
    );
    expect(hosts[0]?.items[0]).toMatchObject({ standing: 'in-service', vmsRunning: 3, fenceLevels: ['bmc'] });
  });

  it('of incidents and of the audit trail are newest first, page by page', async () => {
    const seen = await pages(`/v1/incidents?limit=2&open=false&host=${api.system.host('c')}`);
    expect(seen.map((p) => p.items.map((i) => i['epoch']))).toEqual([[5, 4], [3, 2], [1]]);
    for (let n = 0; n < 3; n++) await api.post('/v1/hosts/none/recover', { body: { reason: `r${n}` } });
    const audit = await api.get('/v1/audit?limit=2');
    expect(audit.body['items']).toMatchObject([{ reason: 'r2' }, { reason: 'r1' }]);
    const next = await api.get(`/v1/audit?limit=2&cursor=${String(audit.body['next'])}`);
    expect((next.body as unknown as Page).items[0]).toMatchObject({ reason: 'r0' });
  });

  it('a VM is found by name and by UUID', async () => {
    const spec = api.system.spec.vms[0]!;
    const byName = await api.get(`/v1/vms/${spec.name}`, { as: 'viewer' });
    expect(byName).toMatchObject({ status: 200, body: { vmId: spec.id, observed: { state: 'running' } } });
    expect((await api.get(`/v1/vms/${spec.id}`, { as: 'viewer' })).body).toEqual(byName.body);
  });
});

/** Reads an event stream until it ends, or until `enough` of it has come. */
function events(
  url: string,
  headers: Record<string, string>,
  enough: (text: string) => boolean,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const asked = request(new URL(url, api.base), {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${api.tokens.viewer}`, ...headers },
    });
    asked.once('error', reject);
    asked.once('response', (answer) => {
      expect(answer.headers['content-type']).toBe('text/event-stream');
      answer.setEncoding('utf8');
      answer.on('data', (some: string) => {
        text += some;
        if (enough(text)) {
          asked.destroy();
          resolve(text);
        }
      });
      answer.once('end', () => resolve(text));
    });
    asked.end();
  });
}

describe('the timeline of an incident', () => {
  it('is followed as it grows, goes on after a break, and ends with the incident; its report can be checked', async () => {
    const { system } = api;
    system.controls.cutPower(system.host('a'));
    const start = await api.post(`/v1/hosts/${system.host('a')}/recover`, { body: because });
    const id = String(start.body['incidentId']);
    await waitFor(
      'the incident to be stored',
      10_000,
      async () => (await api.get(`/v1/incidents/${id}`)).status === 200,
    );
    const url = `/v1/incidents/${id}/timeline`;
    const first = await events(url, {}, (text) => text.includes('event: entry'));
    const seen = [...first.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq));
    const rest = await events(url, { 'last-event-id': String(seen.at(-1)) }, () => false);
    const more = [...rest.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq));
    const whole = (await api.get(url, { as: 'viewer' })).body['items'] as { seq: number }[];
    expect([...seen, ...more]).toEqual(whole.map((e) => e.seq));
    expect(rest).toMatch(/event: end\ndata: \{"seq":\d+\}\n\n$/);
    expect(rest).toContain('"outcome":"recovered"');
    const report = await api.get(`/v1/incidents/${id}/report`, { as: 'viewer' });
    expect(judgeReport(report.text)).toMatchObject({ ok: true, entries: whole.length, incidentId: id });
  });

  it('is not followed from a place that is none, and not without an incident', async () => {
    const id = incidentId({ kind: 'host', hostId: api.system.host('c') }, 1);
    const ask = { as: 'viewer', headers: { accept: 'text/event-stream', 'last-event-id': 'x' } } as const;
    expect((await api.get(`/v1/incidents/${id}/timeline`, ask)).status).toBe(400);
    expect((await api.get('/v1/incidents/none/timeline', ask)).status).toBe(404);
  });
});

it('the status is the one that the command line tells', async () => {
  const { body } = await api.get('/v1/status', { as: 'viewer' });
  expect(body).toMatchObject({ clusters: [{ mode: 'automatic' }], vms: { protected: 9 } });
  expect(body).toMatchObject({ troubles: expect.any(Array), underWay: expect.any(Array) });
});

describe('the description', () => {
  it('is whole: every route, each with its role, its answers and its problems, and no reference to nowhere', async () => {
    const { body, status } = await api.get('/openapi.json', { as: 'nobody' });
    expect(status).toBe(200);
    expect(body['openapi']).toBe('3.1.0');
    expect(judgeDescription(body, routes)).toEqual([]);
    expect(openApi(routes, '0.0.0')).toEqual(body);
  });

  it('would be found broken', () => {
    const broken = JSON.parse(
      JSON.stringify(openApi(routes, '1')).replace('schemas/Problem"', 'schemas/Gone"'),
    ) as object;
    expect(judgeDescription(broken, routes)).toEqual(['#/components/schemas/Gone leads nowhere']);
  });
});

describe('metrics', () => {
  const promtool = monitoringProgram('promtool');

  it('count what the records hold', async () => {
    await api.get('/v1/vms', { as: 'viewer' });
    const { text, headers } = await api.get('/metrics', { as: 'viewer' });
    expect(headers['content-type']).toContain('text/plain');
    for (const line of [
      /^vmedic_hosts\{cluster="sim",standing="in-service"\} [23]$/m,
      /^vmedic_recovery_duration_seconds_count\{cluster="sim",target="host",outcome="dismissed"\} 5$/m,
      /^vmedic_recovery_duration_seconds_bucket\{.*outcome="dismissed".*le="\+Inf"\} 5$/m,
      /^vmedic_queue_pollers\{queue="test-.*",kind="workflow"\} [1-9]/m,
      /^vmedic_fence_device_login_refusals\{.*\} 0$/m,
      /^vmedic_build_info\{version="0.0.0"\} 1$/m,
      /^vmedic_http_request_duration_seconds_bucket\{.*route="\/v1\/vms".*\} \d/m,
    ])
      expect(text).toMatch(line);
  });

  it('have every name that the rules and the dashboard ask for', async () => {
    const { text } = await api.get('/metrics', { as: 'viewer' });
    const there = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const deploy = join(__dirname, '..', '..', 'deploy');
    const asked = ['prometheus/vmedic.rules.yml', 'grafana/dashboards/vmedic.json']
      .map((file) => readFileSync(join(deploy, file), 'utf8'))
      .flatMap((file) => [...file.matchAll(/"?expr"?: [^\n]*(\n {10,}[^\n]*)?/g)].map(([expr]) => expr))
      .flatMap((expr) => [...expr.matchAll(/\bvmedic_[a-z_]+/g)].map(([name]) => name))
      .map((name) => name.replace(/_(bucket|count|sum)$/, ''));
    expect(asked.length).toBeGreaterThan(15);
    expect(asked.filter((name) => !there.has(name))).toEqual([]);
  });

  testIf(
    promtool !== undefined,
    "Debian's prometheus package is not there",
    'beyond-ci',
  )('are read by Prometheus itself without a complaint', async () => {
    const { text } = await api.get('/metrics', { as: 'viewer' });
    const read = spawnSync(promtool ?? '', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect(read.stderr + read.stdout).toBe('');
    expect(read.status).toBe(0);
  });
});
