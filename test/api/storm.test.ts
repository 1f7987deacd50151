/**
 * One host with 50 VMs dies, and within two seconds everybody says so: monitors through two API servers, a pager, an operator's command line, and
 * a report for each VM. Servers, worker, command line and datacenter are processes of their own.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import { signatureOf } from '../../client/http/webhooks/standard';
import { makeToken } from '../../client/tokens';
import { ensureWatches } from '../../client/watches';
import { hostId, incidentId } from '../../domain/ids';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import { sampleWorld } from '../../drivers/simulated';
import { simulatedConfig } from '../../workers/simulated-datacenter';
import { fleetOf } from '../../workers/config';
import { startApiProcess } from '../../workers/embedded/api-process';
import type { ServerProcess } from '../../workers/embedded/server-process';
import { waitFor } from '../../lab/wait-for';
import { startOwnSystem, type OwnSystem } from '../support/own-system';
import { simulatedElsewhere } from '../support/simulated-process';
import { secretsIn, writtenDown } from '../support/written-down';

const support = join(__dirname, '..', 'support');
const typescript = ['-r', join(support, 'typescript-child.cjs')];
const lost = 50;

let folder: string;
let system: OwnSystem;
let inventory: OpenInventory;
let world: Awaited<ReturnType<typeof simulatedElsewhere>>;
let apis: { url: string; process: ServerProcess }[];
let configPath: string;
const secret = `whsec_${Buffer.from('a storm').toString('base64')}`;

const spec = (() => {
  const whole = sampleWorld({
    hosts: 4,
    vmsPerHost: lost,
    mode: 'automatic',
    costs: { startMs: 20, fenceMs: 50 },
  });
  const dead = whole.hosts[0]!.id;
  const others = whole.vms.filter((v) => v.hostId !== dead).slice(0, 6);
  return { ...whole, vms: [...whole.vms.filter((v) => v.hostId === dead), ...others] };
})();
const dead = hostId(spec.hosts[0]!.id);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vms-'));
  world = await simulatedElsewhere(spec);
  configPath = join(folder, 'vmedic.yaml');
  const config = {
    ...simulatedConfig(spec, world.socket, folder),
    api: { webhooks: [{ name: 'pager', secret: 'env:STORM_SECRET' }] },
  };
  process.env['STORM_SECRET'] = secret;
  writeFileSync(configPath, stringify(config), { mode: 0o600 });
  system = await startOwnSystem(configPath, folder);
  inventory = openInventory({ url: system.inventoryUrl });
  const connection = await Connection.connect({ address: system.address });
  await ensureWatches(new Client({ connection }), fleetOf(config));
  await connection.close();
  apis = await Promise.all(
    [0, 1].map(async (n) => {
      const stateDir = join(folder, `api-${n}`);
      mkdirSync(stateDir);
      const port = 20_000 + (process.pid % 20_000) + n;
      const process_ = await startApiProcess({
        ...{
          stateDir,
          configPath,
          listen: `127.0.0.1:${port}`,
          progress: () => undefined,
          dieWithParent: true,
        },
        ...{ temporalAddress: system.address, inventoryUrl: system.inventoryUrl },
        program: [...typescript, join(support, 'api-main.ts')],
      });
      return { url: `http://127.0.0.1:${port}`, process: process_ };
    }),
  );
  await waitFor('all VMs to be known', 60_000, async () => {
    const known = (await inventory.vms()).filter((v) => v.observed.state === 'running');
    return known.length === spec.vms.length;
  });
});

afterAll(async () => {
  await Promise.all(apis.map((a) => a.process.stop()));
  await inventory.close();
  await system.stop();
  await world.end();
  rmSync(folder, { recursive: true, force: true });
  delete process.env['STORM_SECRET'];
});

async function tokenFor(name: string): Promise<string> {
  const made = makeToken({ name, role: 'operator', by: 'tester', expiresAt: undefined });
  await inventory.createToken(made.record);
  return made.text;
}

const post = (url: string, token: string, body: unknown) =>
  fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const alerts = (labels: Record<string, string>[]) => ({
  ...{ version: '4', groupKey: 'g', status: 'firing' },
  alerts: labels.map((own, n) => ({
    ...{
      status: 'firing',
      startsAt: '2026-01-01T00:00:00Z',
      fingerprint: `f${n}`,
      labels: { alertname: 'Down', ...own },
    },
  })),
});

/** What each source of the storm does, `n` telling its repeats apart. */
function sources(token: string) {
  const [one, two] = apis.map((a) => a.url) as [string, string];
  const names = spec.vms.filter((v) => v.hostId === dead).map((v) => v.name);
  const cli = promisify(execFile);
  return {
    'a click in the first server': (n: number) =>
      post(`${one}/v1/hosts/${dead}/recover`, token, { reason: `click ${n}` }),
    'a click in the second server': (n: number) =>
      post(`${two}/v1/hosts/${dead}/recover`, token, { reason: `click ${n}` }),
    'an alert about the host': () =>
      post(`${one}/v1/webhooks/alertmanager`, token, alerts([{ vmedic_action: 'recover-host', host: dead }])),
    'an alert about each VM': () =>
      post(
        `${two}/v1/webhooks/alertmanager`,
        token,
        alerts(names.map((vm) => ({ vmedic_action: 'restart-vm', vm }))),
      ),
    'a signed message': (n: number) => {
      const body = JSON.stringify({ type: 'host.failed', data: { host: dead } });
      const message = { id: `storm-${n}`, timestamp: String(Math.floor(Date.now() / 1000)), body };
      const headers = {
        'content-type': 'application/json',
        'webhook-id': message.id,
        'webhook-timestamp': message.timestamp,
        'webhook-signature': signatureOf(secret, message),
      };
      return fetch(`${two}/v1/webhooks/generic`, { method: 'POST', headers, body });
    },
    'the command line': () =>
      cli(
        process.execPath,
        [...typescript, join(support, 'command-line-main.ts'), 'host', 'recover', dead, '--json'],
        {
          env: {
            ...process.env,
            VMEDIC_CONFIG: configPath,
            TEMPORAL_ADDRESS: system.address,
            VMEDIC_INVENTORY_URL: system.inventoryUrl,
          },
        },
      ),
  };
}

it('gives one incident, one restart per VM, one host alert, and a trail of who asked', async () => {
  const token = await tokenFor('storm');
  await world.connection.control.cutPower(dead);
  const storm = sources(token);
  const cliOnce = storm['the command line']();
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) => n).flatMap((n) => [
      storm['a click in the first server'](n),
      storm['a click in the second server'](n),
      storm['an alert about the host'](),
      storm['an alert about each VM'](),
      storm['a signed message'](n),
    ]),
  );
  await cliOnce;
  expect(answers.map((a) => a.status).filter((s) => s !== 200 && s !== 202)).toEqual([]);
  expect(answers.filter((a) => a.status === 202).length).toBeLessThanOrEqual(1);
  const id = incidentId({ kind: 'host', hostId: dead }, 1);
  const ended = await waitFor('the recovery to end', 60_000, async () => {
    const incident = await inventory.incident(id);
    return incident?.outcome === undefined ? undefined : incident;
  });
  expect(ended).toMatchObject({ outcome: 'recovered' });
  expect((await inventory.incidents({ hostId: dead })).map((i) => i.incidentId)).toEqual([id]);
  await judgeRuns();
  await judgeWorld();
  const results = (await inventory.alerts()).filter((a) => a.incidentId === id);
  expect(results.map((a) => a.key)).toEqual([`host:${dead}:${id}`]);
  // The incident keeps the first fifty triggers; the trail keeps who asked, and by which way in.
  const trail = await inventory.auditTrail({ limit: 500 });
  expect(new Set(trail.map((row) => row.via))).toEqual(new Set(['api', 'webhook', 'command-line']));
  await judgeSecrets([token, secret]);
});

/** Each lost VM was started once more, elsewhere; no other VM was touched. */
async function judgeWorld(): Promise<void> {
  const { processes } = await world.connection.control.snapshot();
  for (const { id, name, hostId: was } of spec.vms) {
    const runs = processes.filter((p) => p.vmId === id);
    const up = runs.filter((p) => p.endedSeq === undefined);
    expect([name, runs.length, up.length]).toEqual([name, was === dead ? 2 : 1, 1]);
    expect(up[0]?.hostId === dead).toBe(false);
  }
}

/**
 * One run for the host. A VM that was reported before its host was, or after it was back, had a run of its own besides: it started nothing, and
 * nothing of it is left.
 */
async function judgeRuns(): Promise<void> {
  const connection = await Connection.connect({ address: system.address });
  const client = new Client({ connection });
  const runs = new Map<string, number>();
  for await (const run of client.workflow.list())
    runs.set(run.workflowId, (runs.get(run.workflowId) ?? 0) + 1);
  await connection.close();
  expect(runs.get(`host:${dead}`)).toBe(1);
  const vms = spec.vms.filter((v) => v.hostId === dead).map((v) => runs.get(`vm:${v.id}`) ?? 0);
  expect(vms.filter((n) => n < 1 || n > 2)).toEqual([]);
  await waitFor(
    'every VM report to be settled',
    60_000,
    async () => (await inventory.incidents({ open: true })).length === 0,
  );
  const alone = (await inventory.incidents()).filter((i) => i.target.kind === 'vm');
  expect(alone.map((i) => i.outcome).filter((o) => o === 'stuck' || o === 'partially-recovered')).toEqual([]);
}

/** What opens doors stands in no log of any process, in no history, and in no row. */
async function judgeSecrets(secrets: readonly string[]): Promise<void> {
  const connection = await Connection.connect({ address: system.address });
  const client = new Client({ connection });
  const written = await writtenDown({ folder, client, inventoryUrl: system.inventoryUrl });
  await connection.close();
  expect(written.logs.length).toBeGreaterThanOrEqual(3);
  expect(written.histories.length).toBeGreaterThan(lost);
  const bare = secrets.map((each) => each.replace(/^(vmedic_[0-9a-f]+|whsec)_/, ''));
  expect(secretsIn(written, bare)).toEqual([]);
  // What is said all day is found in each of these places, so a secret would be as well.
  for (const place of ['histories', 'rows'])
    expect(secretsIn(written, [dead])).toContain(`secret 0 stands in ${place}`);
}
