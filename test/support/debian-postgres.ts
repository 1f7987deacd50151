/** Debian's PostgreSQL as the second server of the inventory's contract: a cluster of our own in a scratch folder. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { query } from './databases';

const run = promisify(execFile);
const root = '/usr/lib/postgresql';
const readyMs = 30_000;

/** The programs' folder of the newest version installed; undefined when the package is missing. */
export function debianPostgres(): string | undefined {
  if (!existsSync(root)) return undefined;
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return versions.map((v) => join(root, v, 'bin')).find((bin) => existsSync(join(bin, 'postgres')));
}

export interface OwnCluster {
  readonly url: string;
  /** SIGKILL of the server and of nothing else, then a start on the same folder. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts one that nobody else can reach. Refused as root by PostgreSQL itself. `fsync: false` where no power loss is in play: it makes the
 * many databases of a suite cheap.
 */
export async function startDebianCluster(bin: string, { fsync = true } = {}): Promise<OwnCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'vmd-'));
  const data = join(folder, 'd');
  await run(join(bin, 'initdb'), ['-D', data, '-U', 'vmedic', '--auth=trust', '-E', 'UTF8', '--no-locale']);
  const url = `postgresql://vmedic@localhost/postgres?host=${encodeURIComponent(folder)}`;
  let server = await start(bin, data, folder, url, fsync);
  return {
    url,
    async crash() {
      await ended(server, 'SIGKILL');
      server = await start(bin, data, folder, url, fsync);
    },
    async stop() {
      await ended(server, 'SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Tried again while processes of a killed server still hold the folder: PostgreSQL itself refuses to share it. */
async function start(
  bin: string,
  data: string,
  socketDir: string,
  url: string,
  fsync: boolean,
): Promise<ChildProcess> {
  const settings = [
    'listen_addresses=',
    `unix_socket_directories=${socketDir}`,
    `fsync=${fsync ? 'on' : 'off'}`,
  ];
  const args = ['-D', data, ...settings.flatMap((s) => ['-c', s])];
  const deadline = Date.now() + readyMs;
  let last: unknown;
  let server: ChildProcess | undefined;
  while (Date.now() < deadline) {
    if (server?.exitCode !== null) server = spawn(join(bin, 'postgres'), args, { stdio: 'ignore' });
    try {
      await query(url, 'select 1');
      return server;
    } catch (error) {
      last = error;
      await delay(50);
    }
  }
  throw new Error(`Debian's PostgreSQL did not take calls within ${readyMs} ms`, { cause: last });
}

async function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  server.kill(signal);
  await gone;
}
