import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { type Progress, silent } from './progress';
import {
  isCode,
  launchServer,
  logTail,
  type ServerLaunch,
  type ServerProcess,
  stopLeftBehind,
} from './server-process';
import { provisionTemporal } from './temporal-binary';

export { provisionTemporal, type TemporalSource } from './temporal-binary';

export interface TemporalServerOptions {
  /** Holds the database, the log and the ports, so that a restart is the same server. Made when missing. */
  readonly stateDir: string;
  /** The `temporal` binary; found by `provisionTemporal` when not given. */
  readonly binary?: string;
  /** Loopback ports. When not given: those of this folder's last run, else free ones. */
  readonly port?: number;
  readonly uiPort?: number;
  /** false: no web UI. */
  readonly ui?: boolean;
  /** `full`: what was acknowledged survives a power loss. `normal`: it survives SIGKILL, and costs a third less. */
  readonly durability?: 'full' | 'normal';
  /** Names of Keyword search attributes; SQL visibility takes seven of ours at most. */
  readonly searchAttributes?: readonly string[];
  readonly dieWithParent?: boolean;
  readonly progress?: Progress;
}

export interface TemporalServer extends ServerProcess {
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly logFile: string;
}

export const SEARCH_ATTRIBUTES = ['VmId', 'HostId', 'IncidentId', 'RecoveryPhase'] as const;

const NAMESPACE = 'default';
const READY_MS = 60_000;
const CALL_MS = 2_000;

/**
 * The development server paces its own queues for a cluster shared by many: a lone workflow of five activities takes 550 ms, and
 * 65 ms with these three (measured with server 1.31.2).
 */
const UNTHROTTLED = ['transfer', 'timer', 'visibility'].flatMap((queue) => [
  '--dynamic-config-value',
  `history.${queue}ProcessorMaxPollRPS=2000`,
]);

/**
 * A Temporal development server on a database file, as a process of its own, answering on loopback when this returns. After a SIGKILL
 * of it, or of its supervisor, calling this again with the same folder goes on where it stopped, on the same ports.
 *
 * @throws when it does not answer in time, with the last lines it wrote.
 */
export async function startTemporalDevServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const { stateDir, ui = true, progress = silent } = options;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const binary = options.binary ?? (await ownBinary(progress));
  const base = { name: 'Temporal server', recordFile: join(stateDir, 'temporal.process.json') };
  const stopping = { stopSignal: 'SIGTERM', stopMs: 15_000 } as const;
  const logFile = join(stateDir, 'temporal.log');
  const unlaunched = { ...base, ...stopping, command: binary, args: [], logFile };
  await stopLeftBehind(unlaunched, progress);
  const ports = await choosePorts(options);
  const launch: ServerLaunch = {
    ...unlaunched,
    args: serverArgs(options, ports),
    ...(options.dieWithParent && { dieWithParent: true }),
  };
  const server = await launchServer(launch);
  const address = `127.0.0.1:${ports.port}`;
  try {
    await untilReady(server, address, options.searchAttributes ?? SEARCH_ATTRIBUTES, logFile);
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return { ...server, address, uiUrl: ui ? `http://127.0.0.1:${ports.uiPort}` : undefined, logFile };
}

async function ownBinary(progress: Progress): Promise<string> {
  const source = await provisionTemporal({ progress });
  if (source.kind === 'binary') return source.path;
  throw new Error(
    `TEMPORAL_ADDRESS is set to ${source.address}: that server is to be used, and none of our own started`,
  );
}

function serverArgs(options: TemporalServerOptions, ports: Ports): string[] {
  const { stateDir, ui = true, durability = 'full', searchAttributes = SEARCH_ATTRIBUTES } = options;
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(ports.port)],
    ...(ui ? ['--ui-port', String(ports.uiPort)] : ['--headless']),
    ...['--db-filename', join(stateDir, 'temporal.db'), '--log-level', 'warn', '--namespace', NAMESPACE],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', `synchronous=${durability.toUpperCase()}`],
    ...UNTHROTTLED,
    ...searchAttributes.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
  ];
}

interface Ports {
  readonly port: number;
  readonly uiPort: number;
}

/**
 * A port that was asked for must be free, lest another server's answer be taken for ours; one that is merely remembered gives way.
 */
async function choosePorts({ stateDir, port, uiPort }: TemporalServerOptions): Promise<Ports> {
  const file = join(stateDir, 'temporal.ports.json');
  const last = lastPorts(file);
  const ports = { port: await choosePort(port, last?.port), uiPort: await choosePort(uiPort, last?.uiPort) };
  writeFileSync(file, JSON.stringify(ports));
  return ports;
}

async function choosePort(asked: number | undefined, remembered: number | undefined): Promise<number> {
  const wanted = asked ?? remembered ?? 0;
  const bound = (await bindable(wanted)) ?? (asked === undefined ? await bindable(0) : undefined);
  if (bound === undefined)
    throw new Error(
      `port ${wanted} of 127.0.0.1 is in use by another program; stop it or choose another port`,
    );
  return bound;
}

function lastPorts(file: string): Ports | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Ports;
  } catch (cause) {
    // A file cut short by a power loss is worth no more than none: the ports are free to change.
    if (isCode(cause, 'ENOENT') || cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** The port, when it could be bound just now (0: any); undefined when another program has it. */
function bindable(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (cause) => (isCode(cause, 'EADDRINUSE') ? resolve(undefined) : reject(cause)));
    probe.listen(port, '127.0.0.1', () => {
      const bound = probe.address();
      probe.close(() => resolve(bound !== null && typeof bound === 'object' ? bound.port : undefined));
    });
  });
}

/** Ready means: it takes calls, the namespace exists, and a start that carries our search attributes would not be refused. */
async function untilReady(
  server: ServerProcess,
  address: string,
  searchAttributes: readonly string[],
  logFile: string,
): Promise<void> {
  const ended = server.exited.then(({ code, signal }) => {
    const how = signal === null ? `code ${String(code)}` : signal;
    throw new Error(
      `the Temporal server ended with ${how} before it answered on ${address}:\n${logTail(logFile)}`,
    );
  });
  const deadline = Date.now() + READY_MS;
  const ready = async (): Promise<void> => {
    let last: unknown;
    while (Date.now() < deadline) {
      try {
        return await askForAttributes(address, searchAttributes);
      } catch (cause) {
        last = cause;
        await delay(50);
      }
    }
    throw new Error(
      `the Temporal server (process ${server.pid}) did not answer on ${address} within ${READY_MS / 1000} s:\n${logTail(logFile)}`,
      { cause: last },
    );
  };
  await Promise.race([ready(), ended]);
}

async function askForAttributes(address: string, searchAttributes: readonly string[]): Promise<void> {
  // Lazy, so that there is something to close when the first call fails.
  const connection = Connection.lazy({ address });
  try {
    const ask = (): Promise<{ customAttributes: object }> =>
      connection.operatorService.listSearchAttributes({ namespace: NAMESPACE });
    const { customAttributes } = await connection.withDeadline(Date.now() + CALL_MS, ask);
    const missing = searchAttributes.filter((name) => !(name in customAttributes));
    if (missing.length > 0) throw new Error(`search attributes not registered yet: ${missing.join(', ')}`);
  } finally {
    await connection.close();
  }
}
