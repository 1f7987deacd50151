/**
 * What several projects share for one whole run: a Temporal server, a PostgreSQL and the workflow bundle, each made at most once however
 * many projects ask, and known to the tests by environment variables (see `test/support/`). A setup runs in jest's own process; its
 * environment is inherited by the processes that run the tests.
 */
import { mkdtempSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EmbeddedPostgres } from '../../workers/embedded/postgres';
import type { TemporalServer } from '../../workers/embedded/temporal-server';

interface Shared {
  folder?: string;
  temporal?: Promise<void>;
  postgres?: Promise<void>;
  bundle?: Promise<void>;
  readonly stops: (() => Promise<void>)[];
}

// jest loads this module anew for every setup file, hence not a variable of the module.
const key = Symbol.for('vmedic.test.servers');
const shared = ((globalThis as Record<symbol, unknown>)[key] ??= { stops: [] }) as Shared;

const progress = (line: string): void => void process.stderr.write(`  ${line}\n`);

export function temporal(): Promise<void> {
  return (shared.temporal ??= startTemporal());
}

export function postgres(): Promise<void> {
  return (shared.postgres ??= startPostgres());
}

export function bundle(): Promise<void> {
  return (shared.bundle ??= bundleWorkflows());
}

/** Idempotent: each project's teardown calls it. */
export async function stopAll(): Promise<void> {
  await Promise.all(shared.stops.splice(0).map((stop) => stop()));
  delete shared.temporal;
  delete shared.postgres;
  delete shared.bundle;
  if (shared.folder !== undefined) rmSync(shared.folder, { recursive: true, force: true });
  delete shared.folder;
}

async function startTemporal(): Promise<void> {
  const { provisionTemporal, startTemporalDevServer } =
    await import('../../workers/embedded/temporal-server');
  const source = await provisionTemporal({ progress });
  if (source.kind === 'address') {
    process.env['VMEDIC_TEST_TEMPORAL'] = source.address;
    return;
  }
  const server: TemporalServer = await startTemporalDevServer({
    stateDir: join(folder(), 't'),
    binary: source.path,
    durability: 'normal',
    ui: false,
    dieWithParent: true,
    progress,
  });
  shared.stops.push(() => server.stop());
  process.env['VMEDIC_TEST_TEMPORAL'] = server.address;
}

async function startPostgres(): Promise<void> {
  const { startEmbeddedPostgres } = await import('../../workers/embedded/postgres');
  const server: EmbeddedPostgres = await startEmbeddedPostgres({
    dataDir: join(folder(), 'pg'),
    socketDir: join(folder(), 's'),
    durability: 'none',
    dieWithParent: true,
    progress,
  });
  shared.stops.push(() => server.stop());
  process.env['VMEDIC_TEST_POSTGRES'] = server.url;
}

async function bundleWorkflows(): Promise<void> {
  const workflowsPath = join(__dirname, '..', '..', 'workflows', 'index.ts');
  if (!existsSync(workflowsPath)) throw new Error(`there is nothing to bundle: ${workflowsPath} is missing`);
  const { bundleWorkflowCode, DefaultLogger } = await import('@temporalio/worker');
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    workflowInterceptorModules: [join(workflowsPath, '..', 'trace-context.ts')],
    logger: new DefaultLogger('WARN'),
  });
  const file = join(folder(), 'workflows.js');
  writeFileSync(file, code);
  process.env['VMEDIC_TEST_WORKFLOW_BUNDLE'] = file;
}

function folder(): string {
  return (shared.folder ??= mkdtempSync(join(tmpdir(), 'vmt-')));
}
