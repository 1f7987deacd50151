/** One trace from the request to the driver, over processes of their own: API, workers, and a collector that keeps what it is sent. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { stringify } from 'yaml';
import { RecoveryClient } from '../../client/recovery-client';
import { makeToken } from '../../client/tokens';
import { ensureWatches } from '../../client/watches';
import { hostId, workflowIds } from '../../domain/ids';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import { sampleWorld } from '../../drivers/simulated';
import { waitFor } from '../../lab/wait-for';
import { fleetOf } from '../../workers/config';
import { startApiProcess } from '../../workers/embedded/api-process';
import { simulatedConfig } from '../../workers/simulated-datacenter';
import { freePort } from '../support/native-servers';
import { type OwnSystem, startOwnSystem } from '../support/own-system';
import { simulatedElsewhere } from '../support/simulated-process';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly service: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface Collector {
  readonly url: string;
  readonly spans: Span[];
  /** All that was ever sent, as it came. */
  readonly sent: string[];
  stop(): Promise<void>;
}

type Values = readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Values };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<Span, 'attributes'> & { attributes: Values })[];
    }[];
  }[];
}

const valuesOf = (values: Values): Record<string, unknown> =>
  Object.fromEntries(values.map(({ key, value }) => [key, Object.values(value)[0]]));

async function startCollector(): Promise<Collector> {
  const spans: Span[] = [];
  const sent: string[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (some: string) => (body += some));
    request.once('end', () => {
      sent.push(body);
      for (const { resource, scopeSpans } of (JSON.parse(body) as Export).resourceSpans)
        for (const span of scopeSpans.flatMap((s) => s.spans))
          spans.push({
            ...{ ...span, attributes: valuesOf(span.attributes) },
            service: String(valuesOf(resource.attributes)['service.name']),
          });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    ...{ url: `http://127.0.0.1:${port}`, spans, sent },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

const support = join(__dirname, '..', 'support');
const spec = sampleWorld({ hosts: 4, vmsPerHost: 2, mode: 'observe', storage: 'nfs' });
const [traced, untraced] = [hostId(spec.hosts[0]!.id), hostId(spec.hosts[1]!.id)];

/** What was opened so far, the last one last. */
const open: (() => unknown)[] = [];
let collector: Collector;
let world: Awaited<ReturnType<typeof simulatedElsewhere>>;
let system: OwnSystem;
let inventory: OpenInventory;
let url: string;
let client: Client;
let configured: ReturnType<typeof simulatedConfig>;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vmo-'));
  open.push(() => rmSync(folder, { recursive: true, force: true }));
  world = await simulatedElsewhere(spec);
  open.push(() => world.end());
  collector = await startCollector();
  open.push(() => collector.stop());
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
  const configPath = join(folder, 'vmedic.yaml');
  const sample = simulatedConfig(spec, world.socket, folder);
  configured = {
    ...sample,
    clusters: sample.clusters.map((c) => ({ ...c, policy: { blastRadius: { percent: 100 } } })),
  };
  writeFileSync(configPath, stringify(configured), { mode: 0o600 });
  system = await startOwnSystem(configPath, folder);
  open.push(() => system.stop());
  inventory = openInventory({ url: system.inventoryUrl });
  open.push(() => inventory.close());
  client = new Client({ connection: await Connection.connect({ address: system.address }) });
  open.push(() => client.connection.close());
  await ensureWatches(client, fleetOf(configured));
  const stateDir = join(folder, 'api');
  mkdirSync(stateDir);
  const listen = `127.0.0.1:${await freePort()}`;
  url = `http://${listen}`;
  const api = await startApiProcess({
    ...{ stateDir, configPath, listen, progress: () => undefined, dieWithParent: true },
    ...{ temporalAddress: system.address, inventoryUrl: system.inventoryUrl },
    program: ['-r', join(support, 'typescript-child.cjs'), join(support, 'api-main.ts')],
  });
  open.push(() => api.stop());
  await waitFor('all VMs to be known', 60_000, async () => {
    const known = (await inventory.vms()).filter((v) => v.observed.state === 'running');
    return known.length === spec.vms.length;
  });
}, 120_000);

afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  for (const close of open.reverse()) await close();
}, 60_000);

const recovered = (host: typeof traced) =>
  waitFor('the recovery to end', 60_000, async () => {
    const [incident] = await inventory.incidents({ hostId: host });
    return incident?.outcome;
  });

const historyOf = async (workflowId: string): Promise<string> =>
  historyToJSON(await client.workflow.getHandle(workflowId).fetchHistory());

const isOf =
  (workflowId: string, name?: string) =>
  (span: Span): boolean =>
    span.attributes['temporal.workflow.id'] === workflowId && (name === undefined || span.name === name);

/** From a span up to the root of its trace. */
function wayUp(from: Span): Span[] {
  const above = collector.spans.find((s) => s.spanId === from.parentSpanId && s.traceId === from.traceId);
  return above === undefined ? [from] : [from, ...wayUp(above)];
}

it('a request is one trace: its start, its workflows, their activities, and what drivers did', async () => {
  const made = makeToken({ name: 'monitor', role: 'operator', by: 'tester', expiresAt: undefined });
  await inventory.createToken(made.record);
  await world.connection.control.cutPower(traced);
  const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' };
  const answer = await fetch(`${url}/v1/hosts/${traced}/recover`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${made.text}`,
      'content-type': 'application/json',
      traceparent: `00-${caller.traceId}-${caller.spanId}-01`,
    },
    body: JSON.stringify({ reason: 'a reason that only people should read' }),
  });
  expect(answer.status).toBe(202);
  expect(await recovered(traced)).toBe('recovered');
  const run = await waitFor('the span of the run, which is sent when it ends', 20_000, () =>
    collector.spans.find(isOf(workflowIds.host(traced), 'recoverHost')),
  );
  expect(run.traceId).toBe(caller.traceId);

  const inTrace = collector.spans.filter((s) => s.traceId === caller.traceId);
  const starts = inTrace.filter((s) => s.name === 'hypervisor.start');
  expect(starts).toHaveLength(2);
  for (const start of starts) {
    const way = wayUp(start);
    // A VM's own workflow stands below its host's.
    expect(way.map((s) => s.name)).toEqual([
      ...['hypervisor.start', expect.any(String), 'restartVm', 'recoverHost', 'start recoverHost'],
      'POST /v1/hosts/{host}/recover',
    ]);
    expect(way.at(-1)).toMatchObject({ parentSpanId: caller.spanId, service: 'vmedic-api' });
    expect(way[0]).toMatchObject({
      service: 'vmedic-worker',
      attributes: { 'vmedic.port': 'hypervisor', 'vmedic.call': 'start' },
    });
  }
  const fence = inTrace.find((s) => s.name.startsWith('fencing.'));
  expect(wayUp(fence!).map((s) => s.name)).toContain('recoverHost');
  // What the watch begins (here a rehearsal) has a trace of its own; what it looks at all day is in none.
  const roots = collector.spans.filter((s) => s.traceId !== caller.traceId && s.parentSpanId === undefined);
  expect([...new Set(roots.map((s) => s.name))].filter((name) => name !== 'start recoverHost')).toEqual([]);

  const everything = collector.sent.join('\n');
  for (const secret of [made.text, made.text.split('_').at(-1)!, 'a reason that only people should read'])
    expect(everything.includes(secret)).toBe(false);
});

it('what nobody traces leaves no span, and nothing in its history', async () => {
  await world.connection.control.cutPower(untraced);
  const door = new RecoveryClient({
    ...{ client, inventory, fleet: fleetOf(configured), address: system.address },
  });
  await door.recoverHost(untraced, { by: 'tester', reason: 'dark', source: 'operator' });
  expect(await recovered(untraced)).toBe('recovered');
  expect(await historyOf(workflowIds.host(untraced))).not.toContain('traceparent');
  expect(await historyOf(workflowIds.host(traced))).toContain('traceparent');
  expect(collector.spans.filter(isOf(workflowIds.host(untraced)))).toEqual([]);
});
