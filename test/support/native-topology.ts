/**
 * A scaled-out installation without containers: PostgreSQL, Temporal on it, two workers and an API on a simulated datacenter, each a process of
 * its own that is started again when it ends, as a service manager would.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { waitFor } from '../../lab/wait-for';
import type { VmedicConfig } from '../../workers/config';
import { startApiProcess } from '../../workers/embedded/api-process';
import { identify, isAlive, type ServerProcess } from '../../workers/embedded/server-process';
import { type Kept, keepRunning } from '../../workers/embedded/supervisor';
import { startWorkerProcess } from '../../workers/embedded/worker-process';
import { setUp } from '../../workers/set-up';
import { query } from './databases';
import {
  freePort,
  lastWords,
  makeTemporalSchema,
  type PostgresPlace,
  postgresUrl,
  startPostgres,
  startTemporalCluster,
  temporalAddressOf,
  type TemporalPlace,
} from './native-servers';

export const parts = ['worker 1', 'worker 2', 'API', 'Temporal server', 'PostgreSQL'] as const;
export type Part = (typeof parts)[number];

export interface NativeTopology {
  readonly temporalAddress: string;
  readonly inventoryUrl: string;
  readonly apiUrl: string;
  /** Every restart of a part, as its supervisor saw it. */
  /** And the last lines that it wrote. */
  told(): string;
  /** SIGKILL to this one process. Done when its successor is at work. */
  kill(part: Part): Promise<void>;
  stop(): Promise<void>;
}

const backAgainMs = 60_000;
const typescript = (file: string): string[] => [
  ...['-r', join(__dirname, 'typescript-child.cjs')],
  join(__dirname, file),
];

export interface TopologySetup {
  /** Short: sockets and logs lie in it. */
  readonly folder: string;
  readonly postgresBin: string;
  readonly temporalProgram: string;
  readonly config: VmedicConfig;
}

export async function startNativeTopology(setup: TopologySetup): Promise<NativeTopology> {
  const { folder, postgresBin: bin, temporalProgram: program } = setup;
  const heard: string[] = [];
  const progress = (line: string): void => void heard.push(line);
  const keep = <T extends ServerProcess>(name: Part, start: () => Promise<T>): Promise<Kept<T>> =>
    keepRunning({ name, start, progress, onRestart: () => undefined });

  const place: PostgresPlace = { bin, folder: join(folder, 'p'), port: await freePort() };
  const postgres = await keep('PostgreSQL', () => startPostgres(place));
  const ports: number[] = [];
  while (ports.length < 8) ports.push(await freePort());
  const cluster: TemporalPlace = { program, folder: join(folder, 't'), postgres: place, ports };
  await makeTemporalSchema(cluster);
  const temporal = await keep('Temporal server', () => startTemporalCluster(cluster));
  await query(postgresUrl(place, 'postgres'), 'create database vmedic');
  const inventoryUrl = postgresUrl(place, 'vmedic');
  const temporalAddress = temporalAddressOf(cluster);
  await setUp({ address: temporalAddress, namespace: 'default' }, inventoryUrl, progress);

  const configPath = join(folder, 'vmedic.yaml');
  writeFileSync(configPath, stringify(setup.config), { mode: 0o600 });
  const part = (name: string) => {
    const stateDir = join(folder, name);
    mkdirSync(stateDir, { recursive: true });
    return { stateDir, configPath, temporalAddress, inventoryUrl, progress, dieWithParent: true };
  };
  const listen = `127.0.0.1:${await freePort()}`;
  const worker = (number: 1 | 2): Promise<Kept<ServerProcess>> =>
    keep(`worker ${number}`, () =>
      startWorkerProcess({ ...part('w'), number, program: typescript('worker-main.ts') }),
    );
  const [worker1, worker2, api] = await Promise.all([
    worker(1),
    worker(2),
    keep('API', () => startApiProcess({ ...part('a'), listen, program: typescript('api-main.ts') })),
  ]);
  const kept: Readonly<Record<Part, Kept<ServerProcess>>> = {
    ...{ 'worker 1': worker1, 'worker 2': worker2, API: api },
    ...{ 'Temporal server': temporal, PostgreSQL: postgres },
  };
  return {
    ...{ temporalAddress, inventoryUrl, apiUrl: `http://${listen}` },
    told() {
      const logs = ['w/worker-1', 'w/worker-2', 'a/api', 't/temporal', 'p/postgresql'];
      return [...heard, ...logs.map((log) => `${log}:\n${lastWords(join(folder, `${log}.log`))}`)].join('\n');
    },
    async kill(name) {
      const victim = identify(kept[name].current.pid);
      if (victim === undefined) throw new Error(`${name} does not run: ${heard.join('; ')}`);
      process.kill(victim.pid, 'SIGKILL');
      await waitFor(`${name} to be gone`, 10_000, () => !isAlive(victim));
      await waitFor(
        `${name} to run again`,
        backAgainMs,
        () => kept[name].current.pid !== victim.pid,
        () => heard.join('; '),
      );
    },
    async stop() {
      await Promise.all([worker1.stop(), worker2.stop(), api.stop()]);
      await temporal.stop();
      await postgres.stop();
    },
  };
}

/** Somebody who is told of alerts by signed messages, and remembers each. */
export interface Pager {
  readonly url: string;
  readonly messages: readonly { readonly id: string; readonly body: string }[];
  stop(): Promise<void>;
}

export async function startPager(): Promise<Pager> {
  const messages: { id: string; body: string }[] = [];
  const server: Server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (some: string) => (body += some));
    request.once('end', () => {
      messages.push({ id: String(request.headers['webhook-id']), body });
      response.writeHead(204).end();
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}/hook`,
    messages,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
