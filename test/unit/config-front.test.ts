/** What the config says of the API and of who is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { channelName, checkConfig, isLoopback, problemText } from '../../workers/config';
import { listenAt } from '../../workers/listen';

const config = (more: object): string =>
  stringify({
    version: 1,
    clusters: [
      {
        id: 'one',
        hosts: [
          {
            ...{ id: 'hv-a', hypervisor: { driver: 'libvirt', uri: 'qemu:///system' } },
            ...{ commands: { driver: 'ssh', target: 'hv-a' }, capacity: { memoryMiB: 1, vcpus: 1 } },
            fencing: [{ name: 'bmc', devices: [{ id: 'b', agent: 'fence_ipmilan' }] }],
          },
        ],
      },
    ],
    ...more,
  });

async function problems(more: object, depth: 'file' | 'machine' = 'file'): Promise<string> {
  const checked = await checkConfig(config(more), '/etc/vmedic/vmedic.yaml', { depth, env: {} });
  return (checked.ok ? checked.warnings : checked.problems).map(problemText).join('\n');
}

const tls = { certificate: 'file:api.crt', key: 'file:api.key' };

it('a sound one keeps its words, and its files are found from its own folder', async () => {
  const checked = await checkConfig(
    config({
      api: { listen: '0.0.0.0:7780', tls, webhooks: [{ name: 'pager', secret: 'file:pager' }] },
      notify: [
        { driver: 'log' },
        { driver: 'alertmanager', url: 'http://am:9093', token: 'env:AM' },
        { driver: 'webhook', name: 'pager', url: 'https://pager/x', secret: 'file:out' },
      ],
      ...{ alerts: { pageAgain: '5m', heartbeat: '30s' }, keepDays: 30, signingKey: 'file:report.key' },
    }),
    '/etc/vmedic/vmedic.yaml',
  );
  expect(checked).toMatchObject({
    ok: true,
    warnings: [],
    config: {
      api: {
        tls: { certificate: 'file:/etc/vmedic/api.crt', key: 'file:/etc/vmedic/api.key' },
        webhooks: [{ secret: 'file:/etc/vmedic/pager' }],
      },
      notify: [{}, { token: 'env:AM' }, { secret: 'file:/etc/vmedic/out' }],
      signingKey: 'file:/etc/vmedic/report.key',
    },
  });
  if (checked.ok)
    expect((checked.config.notify ?? []).map(channelName)).toEqual([
      'log',
      'alertmanager:http://am:9093',
      'webhook:pager',
    ]);
});

it.each<[what: string, more: object, sentence: string]>([
  ['open to others without TLS', { api: { listen: '0.0.0.0:7780' } }, 'tokens would travel in the clear'],
  ['no address', { api: { listen: '7780' } }, 'is address:port'],
  ['no such port', { api: { listen: '127.0.0.1:77800' } }, 'has no such port'],
  [
    'a secret written down',
    { notify: [{ driver: 'webhook', name: 'x', url: 'https://x', secret: 'whsec_abc' }] },
    'never the secret itself',
  ],
  [
    'a password in a URL',
    { notify: [{ driver: 'alertmanager', url: 'http://a:b@am' }] },
    'holds a name or a password',
  ],
  ['no URL', { notify: [{ driver: 'alertmanager', url: 'am:9093' }] }, 'is an http:// or https:// URL'],
  ['one receiver twice', { notify: [{ driver: 'log' }, { driver: 'log' }] }, 'log is named twice'],
  ['a heartbeat that hammers', { alerts: { heartbeat: '10ms' } }, 'is below 1s'],
  ['nothing kept', { keepDays: 0 }, 'keepDays'],
  ['a key nobody knows', { api: { port: 1 } }, 'api.port: there is no such key here'],
])('%s is refused with its place', async (_, more, sentence) => {
  expect(await problems(more)).toContain(sentence);
});

it('references that lead nowhere are all named on the machine that needs them', async () => {
  const said = await problems(
    {
      api: { tls, webhooks: [{ name: 'pager', secret: 'env:NONE' }] },
      notify: [{ driver: 'webhook', name: 'x', url: 'https://x', secret: 'env:NONE2' }],
      signingKey: 'file:none.key',
    },
    'machine',
  );
  for (const place of [
    'api.tls.certificate',
    'api.tls.key',
    'api.webhooks[0].secret',
    'notify[0].secret',
    'signingKey',
  ])
    expect(said).toContain(place);
});

it.each([
  ['127.0.0.1:1', true],
  ['127.9.9.9:1', true],
  ['localhost:1', true],
  ['[::1]:1', true],
  ['0.0.0.0:1', false],
  ['[::]:1', false],
  ['127.0.0.1.evil.example:1', false],
  ['10.0.0.1:1', false],
])('%s is loopback: %s', (listen, loopback) => {
  expect(isLoopback(listen)).toBe(loopback);
});

it('the environment says where to listen before the config does', async () => {
  const checked = await checkConfig(config({ api: { listen: '127.0.0.1:9999' } }), 'x.yaml');
  if (!checked.ok) throw new Error('it was refused');
  expect(listenAt(checked.config, {})).toEqual({ host: '127.0.0.1', port: 9999, loopback: true });
  expect(listenAt(checked.config, { VMEDIC_API_LISTEN: '[::]:1234' })).toEqual({
    host: '::',
    port: 1234,
    loopback: false,
  });
  expect(() => listenAt(checked.config, { VMEDIC_API_LISTEN: 'nowhere' })).toThrow(/no address:port/);
});

it('a key that everybody may read is warned of, and a certificate is not: it is shown to whoever connects', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vmedic-front-'));
  try {
    for (const name of ['api.crt', 'api.key']) writeFileSync(join(folder, name), 'x\n', { mode: 0o644 });
    const file = join(folder, 'vmedic.yaml');
    const checked = await checkConfig(config({ api: { tls } }), file, { depth: 'machine', env: {} });
    const found = (checked.ok ? checked.warnings : checked.problems).map((p) => `${p.where}: ${p.sentence}`);
    expect(found.filter((f) => f.includes('api.tls'))).toEqual([expect.stringContaining('api.tls.key')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
