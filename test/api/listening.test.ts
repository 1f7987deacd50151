/** Where the API listens, and when it refuses to. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { makeToken } from '../../client/tokens';
import { startApi } from '../../workers/api-server';
import { checkConfig, fleetOf } from '../../workers/config';
import { stringify } from 'yaml';
import { freshInventory, type FreshInventory } from '../support/inventory';
import { testIf } from '../support/optional';

let folder: string;
let fresh: FreshInventory;
const openssl = ['/usr/bin/openssl', '/usr/local/bin/openssl'].find((path) => existsSync(path));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vml-'));
  fresh = await freshInventory();
});
afterAll(async () => {
  await fresh.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(listen: string, api: object) {
  const host = {
    ...{ id: 'hv-a', hypervisor: { driver: 'libvirt', uri: 'qemu:///system' } },
    ...{ commands: { driver: 'ssh', target: 'hv-a' }, capacity: { memoryMiB: 1, vcpus: 1 } },
  };
  const text = stringify({ version: 1, clusters: [{ id: 'one', hosts: [host] }], api });
  const configPath = join(folder, 'vmedic.yaml');
  const checked = await checkConfig(text, configPath);
  if (!checked.ok) throw new Error('the config was refused');
  const { config } = checked;
  return startApi({
    installation: { config, configPath, fleet: fleetOf(config), stateDir: folder, runtime: undefined },
    inventoryUrl: fresh.url,
    temporal: { address: '127.0.0.1:1', namespace: 'default' },
    log: pino({ level: 'silent' }),
    env: { VMEDIC_API_LISTEN: listen },
  });
}

function makeCertificate(): { certificate: string; key: string } {
  const [key, certificate] = [join(folder, 'api.key'), join(folder, 'api.crt')];
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '1',
  ];
  execFileSync(openssl ?? '', [...request, '-subj', '/CN=test', '-keyout', key, '-out', certificate], {
    stdio: 'ignore',
  });
  return { certificate: `file:${certificate}`, key: `file:${key}` };
}

it('refuses to be open to other machines without TLS, and leaves no server behind', async () => {
  for (const listen of ['0.0.0.0:0', '[::]:0', '192.0.2.1:7780'])
    await expect(start(listen, {})).rejects.toMatchObject({ code: 'TLS_NEEDED' });
});

testIf(
  openssl !== undefined,
  'openssl is not there',
  'beyond-ci',
)(
  'refuses to be open to other machines while nobody has a token, or only one that is worthless',
  async () => {
    const tls = makeCertificate();
    await expect(start('0.0.0.0:0', { tls })).rejects.toMatchObject({ code: 'TOKEN_NEEDED' });
    const { record } = makeToken({
      name: 'old',
      role: 'viewer',
      by: 'tester',
      expiresAt: '2020-01-01T00:00:00.000Z',
    });
    await fresh.inventory.createToken(record);
    await expect(start('0.0.0.0:0', { tls })).rejects.toMatchObject({ code: 'TOKEN_NEEDED' });
  },
);

it('answers on loopback without either, and each call still needs a token', async () => {
  const api = await start('127.0.0.1:0', {});
  try {
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    expect((await fetch(`${api.url}/v1/incidents`)).status).toBe(401);
    expect((await fetch(`${api.url}/readyz`)).status).toBe(503);
  } finally {
    await api.stop();
  }
  await expect(fetch(`${api.url}/healthz`)).rejects.toThrow();
});

testIf(
  openssl !== undefined,
  'openssl is not there',
  'beyond-ci',
)('speaks TLS when it has a certificate, and nothing else', async () => {
  const api = await start('127.0.0.1:0', { tls: makeCertificate() });
  try {
    expect(api.url).toMatch(/^https:/);
    const status = await new Promise((resolve, reject) => {
      get(`${api.url}/healthz`, { rejectUnauthorized: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).once('error', reject);
    });
    expect(status).toBe(200);
    await expect(fetch(api.url.replace('https:', 'http:'))).rejects.toThrow();
  } finally {
    await api.stop();
  }
});
