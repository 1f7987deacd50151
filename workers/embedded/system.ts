/**
 * All of VMedic on one machine: Temporal, the inventory and workers, each a process of its own that is started again when it ends.
 *
 * INVARIANTS:
 * - one supervisor per state folder: a second is refused and told of the first;
 * - a process comes back on the same files and ports, so that nobody who knew it has to look for it;
 * - what a dead supervisor left behind is stopped before its files are opened again.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { settingsOfEnvironment } from '../../client/temporal';
import { migrateInventory } from '../../drivers/postgres';
import type { VmedicConfig } from '../config';
import { chooseListen, startApiProcess } from './api-process';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './postgres';
import type { Progress } from './progress';
import { isSupervised, readRuntime, type RuntimeFile, writeRuntime } from './runtime-file';
import { endProcess, identify, isAlive, type ProcessIdentity, type ServerProcess } from './server-process';
import { type Kept, keepRunning } from './supervisor';
import { provisionTemporal, startTemporalDevServer, type TemporalServer } from './temporal-server';
import { startWorkerProcess } from './worker-process';

export interface SystemOptions {
  readonly config: VmedicConfig;
  readonly configPath: string;
  readonly stateDir: string;
  readonly workers?: number;
  readonly progress: Progress;
  readonly env?: NodeJS.ProcessEnv;
  /** Done before the system says that it runs, for instance starting the watches. */
  readonly onRunning?: (runtime: RuntimeFile) => Promise<void>;
}

export interface EmbeddedSystem {
  /** As it stands now; the same that `runtime.json` says. */
  readonly runtime: RuntimeFile;
  /** Ends every process of it in order. Nothing is lost: it goes on where it stopped. Idempotent. */
  stop(): Promise<void>;
}

export class AlreadyRuns extends Error {
  override readonly name = 'AlreadyRuns';
  constructor(
    readonly stateDir: string,
    readonly runtime: RuntimeFile,
  ) {
    super(
      `VMedic runs already in ${stateDir} (process ${runtime.supervisor.pid}, config ${runtime.configPath})`,
    );
  }
}

/**
 * Starts everything and returns when work is taken.
 *
 * @throws AlreadyRuns when another process supervises this folder; whatever kept the first start of a part from coming up.
 */
export async function startEmbeddedSystem(options: SystemOptions): Promise<EmbeddedSystem> {
  const { stateDir } = options;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const before = readRuntime(stateDir);
  if (before !== undefined && isSupervised(before)) throw new AlreadyRuns(stateDir, before);
  const system = new System(options);
  try {
    await system.start();
  } catch (error) {
    await system.stop();
    throw error;
  }
  return system;
}

/** Ends the system of this folder, whoever supervises it, and what a dead supervisor left. False when nothing ran. */
export async function stopEmbeddedSystem(stateDir: string): Promise<boolean> {
  const runtime = readRuntime(stateDir);
  let found = false;
  if (runtime !== undefined && isSupervised(runtime)) {
    found = true;
    await endProcess(runtime.supervisor, 'SIGTERM', supervisorStopMs);
  }
  for (const left of leftBehind(stateDir)) {
    found = true;
    await endProcess(left.server, left.signal, 20_000);
  }
  rmSync(join(stateDir, 'runtime.json'), { force: true });
  return found;
}

/** Workers finish what they do (20 s at most), then the servers write out what they hold. */
const supervisorStopMs = 60_000;

class System implements EmbeddedSystem {
  private temporal: Kept<TemporalServer> | undefined;
  private postgres: Kept<EmbeddedPostgres> | undefined;
  private readonly workers: Kept<ServerProcess>[] = [];
  private api: { readonly kept: Kept<ServerProcess>; readonly listen: string } | undefined;
  private stage: RuntimeFile['stage'] = 'starting';
  private readonly startedAt = new Date().toISOString();
  private stopped: Promise<void> | undefined;
  /** So that who knew the API's port finds it there again. */
  private readonly listenBefore: string | undefined;

  constructor(private readonly options: SystemOptions) {
    this.listenBefore = readRuntime(options.stateDir)?.api?.listen;
  }

  get runtime(): RuntimeFile {
    const { config, configPath, env = process.env } = this.options;
    const own = this.temporal?.current;
    const outside = settingsOfEnvironment(env);
    const address = own?.address ?? outside?.address ?? config.temporal?.address ?? '';
    const namespace =
      own === undefined ? (outside?.namespace ?? config.temporal?.namespace ?? 'default') : 'default';
    const database = this.postgres?.current;
    return {
      version: 1,
      stage: this.stage,
      supervisor: identify(process.pid) as ProcessIdentity,
      configPath,
      startedAt: this.startedAt,
      temporal: {
        address,
        namespace,
        ...(own !== undefined && { pid: own.pid }),
        ...(own?.uiUrl !== undefined && { uiUrl: own.uiUrl }),
      },
      inventory: {
        url: database?.url ?? config.inventory?.url ?? '',
        ...(database !== undefined && { pid: database.pid }),
      },
      workers: this.workers.map((worker) => ({ pid: worker.current.pid })),
      ...(this.api !== undefined && {
        api: {
          url: `${config.api?.tls === undefined ? 'http' : 'https'}://${this.api.listen}`,
          listen: this.api.listen,
          pid: this.api.kept.current.pid,
        },
      }),
    };
  }

  async start(): Promise<void> {
    this.record();
    await this.endLeftWorkers();
    await Promise.all([this.startTemporal(), this.startPostgres()]);
    if (this.postgres !== undefined) await migrateInventory(this.postgres.current.url);
    this.record();
    for (let number = 0; number < (this.options.workers ?? 1); number++) {
      this.options.progress(`starting worker ${number}`);
      this.workers.push(await this.keep(`worker ${number}`, () => this.startWorker(number)));
    }
    await this.startApi();
    await this.options.onRunning?.(this.runtime);
    this.stage = 'running';
    this.record();
  }

  stop(): Promise<void> {
    this.stopped ??= this.end();
    return this.stopped;
  }

  private async end(): Promise<void> {
    await Promise.all([this.api?.kept.stop(), ...this.workers.map((worker) => worker.stop())]);
    await this.temporal?.stop();
    await this.postgres?.stop();
    rmSync(join(this.options.stateDir, 'runtime.json'), { force: true });
  }

  /** Before the servers, which they could then no longer tell that they end. */
  private async endLeftWorkers(): Promise<void> {
    const { stateDir, progress } = this.options;
    const workers = leftBehind(stateDir).filter((left) => isOurs(left.name));
    if (workers.length > 0)
      progress(`ending ${workers.length} workers or APIs that an earlier run left behind`);
    await Promise.all(workers.map((left) => endProcess(left.server, left.signal, leftWorkerStopMs)));
  }

  private async startTemporal(): Promise<void> {
    const { config, stateDir, progress, env = process.env } = this.options;
    if (settingsOfEnvironment(env) !== undefined || config.temporal?.address !== undefined) return;
    const source = await provisionTemporal({ progress });
    if (source.kind === 'address') return;
    progress('starting the Temporal server');
    this.temporal = await this.keep('the Temporal server', () =>
      startTemporalDevServer({ stateDir, binary: source.path, durability: 'full', progress }),
    );
  }

  private async startPostgres(): Promise<void> {
    const { config, stateDir, progress } = this.options;
    if (config.inventory !== undefined) return;
    progress('starting the inventory (PostgreSQL)');
    this.postgres = await this.keep('the inventory', () =>
      startEmbeddedPostgres({ dataDir: join(stateDir, 'pg'), socketDir: socketDirFor(stateDir), progress }),
    );
  }

  private async startApi(): Promise<void> {
    const { config, stateDir, configPath, progress } = this.options;
    const listen = await chooseListen(config, this.listenBefore);
    progress(`starting the API on ${listen}`);
    const kept = await this.keep('the API', () =>
      startApiProcess({
        ...{ stateDir, configPath, progress, listen },
        temporalAddress: this.temporal?.current.address,
        inventoryUrl: this.postgres?.current.url,
      }),
    );
    this.api = { kept, listen };
    this.record();
  }

  private startWorker(number: number): Promise<ServerProcess> {
    const { stateDir, configPath, progress } = this.options;
    return startWorkerProcess({
      stateDir,
      number,
      configPath,
      progress,
      temporalAddress: this.temporal?.current.address,
      inventoryUrl: this.postgres?.current.url,
    });
  }

  private keep<T extends ServerProcess>(name: string, start: () => Promise<T>): Promise<Kept<T>> {
    const { progress } = this.options;
    return keepRunning({ name, start, progress, onRestart: () => this.record() });
  }

  private record(): void {
    writeRuntime(this.options.stateDir, this.runtime);
  }
}

/** What a worker does not finish in this time the next one takes up again. */
const leftWorkerStopMs = 5_000;

/** A socket's whole path has 107 bytes, and PostgreSQL adds 17. */
const socketDirBytesMax = 85;

function socketDirFor(stateDir: string): string {
  const beside = join(stateDir, 's');
  if (Buffer.byteLength(beside) <= socketDirBytesMax) return beside;
  const name = createHash('sha256').update(stateDir).digest('hex').slice(0, 8);
  return join(tmpdir(), `vmedic-${process.getuid?.() ?? 0}-${name}`);
}

interface LeftBehind {
  readonly name: string;
  readonly server: ProcessIdentity;
  readonly signal: NodeJS.Signals;
}

const recordEnding = '.process.json';

/** Servers recorded in the folder that still run, workers first. PostgreSQL ends at once but cleanly on SIGINT. */
function leftBehind(stateDir: string): LeftBehind[] {
  return namesIn(stateDir)
    .filter((file) => file.endsWith(recordEnding))
    .map((file): LeftBehind => {
      const { server } = JSON.parse(readFileSync(join(stateDir, file), 'utf8')) as {
        server: ProcessIdentity;
      };
      const name = file.slice(0, -recordEnding.length);
      return { name, server, signal: name === 'pg' ? 'SIGINT' : 'SIGTERM' };
    })
    .filter((left) => isAlive(left.server))
    .sort((a, b) => Number(isOurs(b.name)) - Number(isOurs(a.name)));
}

/** What uses the servers ends before them. */
const isOurs = (name: string): boolean => name.startsWith('worker') || name === 'api';

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}
