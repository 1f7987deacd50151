import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { postgresBinaries } from './postgres-binaries';
import { type Progress, silent, withProgress } from './progress';
import {
  identify,
  isCode,
  launchServer,
  logTail,
  endProcess,
  type ServerLaunch,
  type ServerProcess,
  stopLeftBehind,
} from './server-process';

export interface EmbeddedPostgresOptions {
  /** Made and initialised when missing; an existing one is opened. */
  readonly dataDir: string;
  /** Holds the Unix socket, which is the only way in. Keep it short: a socket's whole path has 107 bytes. */
  readonly socketDir: string;
  /** `none`: for throw-away databases of tests; a power loss would cost them. */
  readonly durability?: 'full' | 'none';
  readonly dieWithParent?: boolean;
  readonly progress?: Progress;
}

export interface EmbeddedPostgres extends ServerProcess {
  /** Understood by `pg`; database and user are both `vmedic`. */
  readonly url: string;
  readonly logFile: string;
}

const USER = 'vmedic';
const SOCKET = '.s.PGSQL.5432';
const SOCKET_BYTES_MAX = 107;
/** Replaying the log after a SIGKILL takes 0.2 s here; slow disks and long logs get room. */
const READY_MS = 120_000;
const LEFT_BEHIND_MS = 20_000;
const run = promisify(execFile);

/**
 * The inventory's own PostgreSQL: a process of its own that only its owner can reach, over a Unix socket. It takes calls when this
 * returns. After a SIGKILL of any of its processes, calling this again with the same folder loses no acknowledged transaction.
 *
 * @throws as root, when the socket's path is too long, when the folder is in use, and when it does not come up, with its last lines.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, socketDir, progress = silent } = options;
  refuseRoot();
  refuseLongSocket(socketDir);
  const { initdb, postgres } = await postgresBinaries(progress);
  mkdirSync(dirname(dataDir), { recursive: true, mode: 0o700 });
  mkdirSync(socketDir, { recursive: true, mode: 0o700 });
  const launch: ServerLaunch = {
    name: 'PostgreSQL',
    command: postgres,
    args: serverArgs(options),
    recordFile: `${dataDir}.process.json`,
    logFile: `${dataDir}.log`,
    stopSignal: 'SIGINT',
    stopMs: 20_000,
    ...(options.dieWithParent && { dieWithParent: true }),
  };
  await stopLeftBehind(launch, progress);
  await untilUnused(dataDir, progress);
  if (!existsSync(join(dataDir, 'PG_VERSION'))) await initialise(initdb, dataDir, progress);
  const server = await launchServer(launch);
  try {
    await untilReady(server, socketDir, launch.logFile);
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return { ...server, url: connectionUrl(socketDir, USER), logFile: launch.logFile };
}

function refuseRoot(): void {
  if (process.getuid?.() === 0)
    throw new Error(
      'the embedded PostgreSQL refuses to run as root; run VMedic as an ordinary user (bin/vmedic does so by itself, as the user ' +
        '"vmedic"), or give the URL of a PostgreSQL of your own as the inventory',
    );
}

function refuseLongSocket(socketDir: string): void {
  const bytes = Buffer.byteLength(join(socketDir, SOCKET));
  if (bytes > SOCKET_BYTES_MAX)
    throw new Error(
      `the path of PostgreSQL's socket has ${bytes} bytes and at most ${SOCKET_BYTES_MAX} are possible: ` +
        `choose a state folder shorter than ${socketDir} (VMEDIC_HOME)`,
    );
}

function serverArgs({ dataDir, socketDir, durability = 'full' }: EmbeddedPostgresOptions): string[] {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0700',
    shared_buffers: '32MB',
    ...(durability === 'none' && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  return ['-D', dataDir, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

function connectionUrl(socketDir: string, database: string): string {
  return `postgresql://${USER}@localhost/${database}?host=${encodeURIComponent(socketDir)}`;
}

/** Into a folder beside it, moved when complete: a half-made one is never opened. */
async function initialise(initdb: string, dataDir: string, progress: Progress): Promise<void> {
  const part = `${dataDir}.part`;
  rmSync(part, { recursive: true, force: true });
  const args = ['-D', part, '-U', USER, '--auth=trust', '-E', 'UTF8', '--no-locale', '--no-instructions'];
  try {
    await withProgress(progress, 'creating the inventory database', () =>
      run(initdb, args, { timeout: READY_MS }),
    );
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    throw new Error(`PostgreSQL could not make its folder ${dataDir}: ${stderr.trim() || String(cause)}`, {
      cause,
    });
  }
  renameSync(part, dataDir);
}

/**
 * Waits until no process works in the folder. After a SIGKILL of its parent each backend ends by itself, but not at once, and a new
 * server would refuse to start; and a parent whose record was lost is found here by its pid file.
 */
async function untilUnused(dataDir: string, progress: Progress): Promise<void> {
  if (!existsSync(dataDir)) return;
  const postmaster = postmasterOf(dataDir);
  if (postmaster !== undefined && processesIn(dataDir).includes(postmaster)) {
    progress(`stopping the PostgreSQL that an earlier run left behind (process ${postmaster})`);
    const identity = identify(postmaster);
    if (identity !== undefined) await endProcess(identity, 'SIGINT', LEFT_BEHIND_MS);
  }
  const deadline = Date.now() + LEFT_BEHIND_MS;
  let left = processesIn(dataDir);
  while ((left.length > 0 || isUnreaped(postmaster)) && Date.now() < deadline) {
    await delay(20);
    left = processesIn(dataDir);
  }
  if (left.length > 0)
    throw new Error(
      `PostgreSQL processes of an earlier run still work in ${dataDir}: ${left.join(', ')}; end them first`,
    );
}

/** Killed, and its parent has not heard of it yet: its number is still taken, which the next server would take for a rival that runs. */
const isUnreaped = (pid: number | undefined): boolean =>
  pid !== undefined && existsSync(`/proc/${pid}`) && identify(pid) === undefined;

function postmasterOf(dataDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}

/** Every PostgreSQL process has its data folder as its working directory. */
function processesIn(dataDir: string): number[] {
  const folder = realpathSync(dataDir);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => workingDirectory(name) === folder)
    .map(Number);
}

function workingDirectory(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // Gone meanwhile, or another user's, which PostgreSQL's are not: it refuses a folder that belongs to somebody else.
    return undefined;
  }
}

async function untilReady(server: ServerProcess, socketDir: string, logFile: string): Promise<void> {
  const ended = server.exited.then(({ code, signal }) => {
    throw new Error(
      `PostgreSQL ended (${signal ?? `code ${String(code)}`}) before it took calls:\n${logTail(logFile)}`,
    );
  });
  const ready = async (): Promise<void> => {
    const deadline = Date.now() + READY_MS;
    let last: unknown;
    while (Date.now() < deadline) {
      try {
        return await makeDatabase(socketDir);
      } catch (cause) {
        last = cause;
        await delay(20);
      }
    }
    throw new Error(`PostgreSQL did not take calls within ${READY_MS / 1000} s:\n${logTail(logFile)}`, {
      cause: last,
    });
  };
  await Promise.race([ready(), ended]);
}

async function makeDatabase(socketDir: string): Promise<void> {
  const client = new Client({
    connectionString: connectionUrl(socketDir, 'postgres'),
    connectionTimeoutMillis: 5_000,
  });
  // A connection that breaks while no query waits would otherwise end this process; the query that follows fails anyway.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [USER]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${USER}`);
  } finally {
    await client.end();
  }
}
