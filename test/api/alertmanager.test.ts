/** A real Alertmanager, both ways: it fires into our webhook, and it receives what we raise, to the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { ensureWatches } from '../../client/watches';
import { createAlertmanager, heartbeatName } from '../../drivers/alertmanager';
import { incidentId, workflowIds } from '../../domain/ids';
import { startOutbox } from '../../workers/outbox';
import { waitFor } from '../../lab/wait-for';
import { type ApiUnderTest, apiUnderTest } from '../support/api';
import { monitoringProgram } from '../support/monitoring';
import { describeIf } from '../support/optional';

const program = monitoringProgram('prometheus-alertmanager');

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
}

interface Held {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: { readonly state: string };
}

describeIf(
  program !== undefined,
  "Debian's prometheus-alertmanager is not there",
  'beyond-ci',
)('a real Alertmanager', () => {
  let api: ApiUnderTest;
  let folder: string;
  let url: string;
  let server: ChildProcess;

  beforeAll(async () => {
    api = await apiUnderTest({ hosts: 3, vmsPerHost: 2, mode: 'automatic' });
    folder = mkdtempSync(join(tmpdir(), 'vma-'));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const config = {
      route: {
        receiver: 'vmedic',
        group_by: ['alertname'],
        group_wait: '100ms',
        group_interval: '200ms',
        repeat_interval: '1h',
      },
      receivers: [
        {
          name: 'vmedic',
          webhook_configs: [
            {
              url: `${api.base}/v1/webhooks/alertmanager`,
              send_resolved: true,
              http_config: { authorization: { credentials: api.tokens.operator } },
            },
          ],
        },
      ],
    };
    writeFileSync(join(folder, 'alertmanager.yml'), stringify(config));
    server = spawn(
      program ?? '',
      [
        `--config.file=${join(folder, 'alertmanager.yml')}`,
        `--storage.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--cluster.listen-address=',
      ],
      { stdio: 'ignore' },
    );
    await waitFor('Alertmanager to answer', 20_000, async () => {
      const answer = await fetch(`${url}/-/ready`).catch(() => undefined);
      return answer?.ok === true;
    });
  });

  afterAll(async () => {
    const gone = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    await gone;
    await api.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const held = async (): Promise<Held[]> => (await (await fetch(`${url}/api/v2/alerts`)).json()) as Held[];

  it('fires into the webhook, which starts one recovery, and takes its end without a word', async () => {
    const host = api.system.host('a');
    api.system.controls.cutPower(host);
    const alert = (endsAt?: string) => [
      {
        labels: { alertname: 'HostDown', instance: `${host}:9100`, vmedic_action: 'recover-host' },
        annotations: { summary: `${host} does not answer` },
        ...(endsAt !== undefined && { endsAt }),
      },
    ];
    const post = (body: unknown) =>
      fetch(`${url}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await post(alert())).status).toBe(200);
    const id = incidentId({ kind: 'host', hostId: host }, 1);
    const incident = await waitFor('the recovery to end', 30_000, async () => {
      const found = await api.system.inventory.incident(id);
      return found?.outcome === undefined ? undefined : found;
    });
    expect(incident.outcome).toBe('recovered');
    expect(incident.triggers).toMatchObject([
      { source: 'webhook', by: 'the-operator', reason: `HostDown: ${host} does not answer` },
    ]);
    const before = api.logged.filter((l) => l.includes('/v1/webhooks/alertmanager')).length;
    await post(alert(new Date().toISOString()));
    await waitFor(
      'the resolved message',
      20_000,
      () => api.logged.filter((l) => l.includes('/v1/webhooks/alertmanager')).length > before,
    );
    expect(await api.system.inventory.incidents()).toHaveLength(1);
  });

  it('receives what is raised with its cause and next command, its end, and the heartbeat', async () => {
    const { inventory, client, fleet, taskQueue } = api.system;
    const standing = createAlertmanager({ url });
    const channel = { name: 'alertmanager', notifier: standing, standing };
    const sender = startOutbox({
      ...{ inventory, log: pino({ level: 'silent' }), channels: [channel], door: api.door, everyMs: 50 },
      config: { alerts: { heartbeat: '1s' } },
    });
    const host = api.system.host('a');
    const key = `unfenced:${host}`;
    await inventory.raiseAlert({
      ...{ key, severity: 'critical', sentence: `no fence level proved ${host} off` },
      nextCommand: 'vmedic incident attest-fenced',
      incidentId: incidentId({ kind: 'host', hostId: host }, 1),
      raisedAt: new Date().toISOString(),
    });
    const found = (name: string) => async () => (await held()).find((a) => a.labels['alertname'] === name);
    const alert = await waitFor('the alert', 20_000, found('VMedicUnfenced'));
    expect(alert.labels).toMatchObject({ severity: 'critical', host, vmedic_key: key });
    expect(alert.annotations).toMatchObject({
      summary: `no fence level proved ${host} off`,
      next: 'vmedic incident attest-fenced',
      cause: expect.stringContaining('HostDown'),
      downtime: expect.stringMatching(/^\d+ s$/),
      // The incident is over: where its VMs are now.
      target: expect.stringMatching(/^\S+ \(\d\)/),
    });
    await ensureWatches(client, fleet, taskQueue);
    await waitFor('the heartbeat', 20_000, found(heartbeatName));
    await inventory.clearAlert(key, new Date().toISOString());
    await waitFor('its end', 20_000, async () => (await found('VMedicUnfenced')()) === undefined);
    // Nobody looks at the hosts any more: the heartbeat is missed without anybody's doing.
    for (const { id } of fleet.clusters) await client.workflow.getHandle(workflowIds.watch(id)).terminate();
    await waitFor(
      'the heartbeat to be missed',
      20_000,
      async () => (await found(heartbeatName)()) === undefined,
    );
    await sender.stop();
  });
});
