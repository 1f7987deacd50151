/** The servers of a scaled-out installation, run natively: Debian's PostgreSQL, and on it Temporal's own server. Each is kept running. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import { launchServer, logTail, type ServerProcess } from '../../workers/embedded/server-process';
import { query } from './databases';

const run = promisify(execFile);
const readyMs = 60_000;

let lastPort = 12_000 + (process.pid % 15_000);
/**
 * A port that nobody has now and the kernel gives to nobody by itself (those begin at 32,768), so that it is free again after a crash. Temporal keeps
 * the ports of its services in a smallint, so higher ones would not do anyway.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    lastPort = lastPort >= 32_000 ? 12_000 : lastPort + 1;
    if (await isFree(lastPort)) return lastPort;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** Stack traces of a server are of no use to whoever reads a test's message. */
export const lastWords = (log: string): string =>
  logTail(log)
    .split('\n')
    .map((line) => line.slice(0, 300))
    .join('\n');

const ready = async (server: ServerProcess, log: string, ask: () => Promise<unknown>): Promise<void> => {
  const life = { ended: false };
  void server.exited.then(() => (life.ended = true));
  for (const deadline = Date.now() + readyMs; ; await delay(50)) {
    try {
      await ask();
      return;
    } catch (cause) {
      if (life.ended) throw new Error(`it ended before it answered:\n${lastWords(log)}`, { cause });
      if (Date.now() < deadline) continue;
      await server.stop();
      throw new Error(`no answer within ${readyMs / 1000} s:\n${lastWords(log)}`, { cause });
    }
  }
};

export interface PostgresPlace {
  readonly bin: string;
  readonly folder: string;
  readonly port: number;
}

export const postgresUrl = ({ port }: PostgresPlace, database: string): string =>
  `postgresql://vmedic@127.0.0.1:${port}/${database}`;

/** On the same files and port each time, with fsync on as a real one has it. Takes calls when this returns. */
export async function startPostgres(place: PostgresPlace): Promise<ServerProcess> {
  const { bin, folder, port } = place;
  const data = join(folder, 'pg');
  if (!existsSync(join(data, 'PG_VERSION'))) {
    mkdirSync(folder, { recursive: true });
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'vmedic', '--auth=trust', '-E', 'UTF8', '--no-locale']);
  }
  const logFile = join(folder, 'postgresql.log');
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
  ];
  const server = await launchServer({
    ...{ name: 'PostgreSQL', command: join(bin, 'postgres'), logFile, stopMs: 20_000, dieWithParent: true },
    ...{ recordFile: join(folder, 'postgresql.process.json'), stopSignal: 'SIGINT' },
    args: ['-D', data, ...settings.flatMap((s) => ['-c', s])],
  });
  await ready(server, logFile, () => query(postgresUrl(place, 'postgres'), 'select 1'));
  return server;
}

export interface TemporalPlace {
  readonly program: string;
  readonly folder: string;
  readonly postgres: PostgresPlace;
  /** Frontend, history, matching, worker: one to be called by, one to find each other by. */
  readonly ports: readonly number[];
}

const databases = { main: 'temporal', visibility: 'temporal_visibility' } as const;

export const temporalAddressOf = ({ ports }: TemporalPlace): string => `127.0.0.1:${ports[0] ?? 0}`;

/** As `temporal-schema` of docker-compose.yml does it. */
export async function makeTemporalSchema({ program, postgres }: TemporalPlace): Promise<void> {
  for (const [kind, database] of Object.entries(databases)) {
    const server = [
      '--plugin',
      'postgres12',
      '--ep',
      '127.0.0.1',
      '-p',
      String(postgres.port),
      '-u',
      'vmedic',
    ];
    const tool = [...['schema', ...server, '--pw', 'unused'], '--db', database];
    const schema = `postgresql/v12/${kind === 'main' ? 'temporal' : kind}`;
    for (const step of [
      ['create-database'],
      ['setup-schema', '-v', '0.0'],
      ['update-schema', '--schema-name', schema],
    ])
      await run(program, [...tool, ...step]);
  }
}

/** All four services in one process, on the same ports each time. Takes calls when this returns. */
export async function startTemporalCluster(place: TemporalPlace): Promise<ServerProcess> {
  const { program, folder } = place;
  mkdirSync(folder, { recursive: true });
  const configFile = join(folder, 'temporal.yaml');
  const dynamicFile = join(folder, 'dynamic.yaml');
  writeFileSync(dynamicFile, stringify(unthrottled));
  writeFileSync(configFile, stringify(clusterConfig(place, dynamicFile)));
  const logFile = join(folder, 'temporal.log');
  const server = await launchServer({
    ...{ name: 'Temporal server', command: program, args: ['server', configFile], logFile, stopMs: 20_000 },
    ...{ recordFile: join(folder, 'temporal.process.json'), stopSignal: 'SIGTERM', dieWithParent: true },
  });
  const connection = Connection.lazy({ address: temporalAddressOf(place) });
  try {
    await ready(server, logFile, () =>
      connection.withDeadline(Date.now() + 2_000, () => connection.workflowService.getClusterInfo({})),
    );
  } finally {
    await connection.close();
  }
  return server;
}

/** As in docker-compose.yml: the defaults pace these queues for clusters shared by many. */
const unthrottled = Object.fromEntries(
  ['transfer', 'timer', 'visibility'].map((q) => [`history.${q}ProcessorMaxPollRPS`, [{ value: 2_000 }]]),
);

function clusterConfig({ postgres, ports }: TemporalPlace, dynamicFile: string): object {
  const sql = (databaseName: string) => ({
    sql: {
      ...{ pluginName: 'postgres12', databaseName, connectAddr: `127.0.0.1:${postgres.port}` },
      ...{ connectProtocol: 'tcp', user: 'vmedic', password: 'unused', maxConns: 20, maxIdleConns: 20 },
    },
  });
  const service = (n: number) => ({
    rpc: { grpcPort: ports[n * 2], membershipPort: ports[n * 2 + 1], bindOnLocalHost: true },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      ...{ defaultStore: 'main', visibilityStore: 'visibility', numHistoryShards: 16 },
      datastores: { main: sql(databases.main), visibility: sql(databases.visibility) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: { frontend: service(0), history: service(1), matching: service(2), worker: service(3) },
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10 },
      ...{ masterClusterName: 'active', currentClusterName: 'active' },
      clusterInformation: {
        active: {
          ...{ enabled: true, initialFailoverVersion: 1, rpcName: 'frontend' },
          rpcAddress: `127.0.0.1:${ports[0] ?? 0}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicFile, pollInterval: '60s' },
  };
}
