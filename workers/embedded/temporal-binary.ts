import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { cacheDir, cachesToRead } from './cache-dir';
import { packageRoot } from './package-root';
import { type Progress, silent, withProgress } from './progress';
import { downloadBySdk } from './sdk-download';
import { identify } from './server-process';

export type TemporalSource =
  { readonly kind: 'address'; readonly address: string } | { readonly kind: 'binary'; readonly path: string };

/** What the tools module builds; it would call itself 0.0.0-DEV. */
const CLI_VERSION = '1.8.2';
/** The oldest CLI whose server has what VMedic uses (server 1.29.1). */
const CLI_MIN = [1, 5, 1] as const;
const GO_MIN = [1, 26, 4] as const;
/** 341 s of CPU with an empty build cache were measured; this leaves room for slow and busy machines. */
const BUILD_MS_MAX = 45 * 60_000;

/**
 * Where Temporal is to come from: a server that is there already (`TEMPORAL_ADDRESS`), else a `temporal` binary: on PATH, in the
 * cache, downloaded by the SDK, or built with Go through its module proxy. What was obtained stays in the cache. Idempotent.
 *
 * @throws one sentence with every way out when none of them works.
 */
export async function provisionTemporal({
  progress = silent,
  download = downloadBySdk,
}: { progress?: Progress; download?: typeof downloadBySdk } = {}): Promise<TemporalSource> {
  const address = process.env['TEMPORAL_ADDRESS'];
  if (address) return { kind: 'address', address };
  const found = onPath(progress) ?? inCache();
  if (found !== undefined) return { kind: 'binary', path: found };
  const reasons: string[] = [];
  for (const obtain of [
    (): Promise<Obtained> => downloaded(download, progress),
    (): Promise<Obtained> => build(progress),
  ]) {
    const got = await obtain();
    if ('path' in got) return { kind: 'binary', path: got.path };
    progress(got.reason);
    reasons.push(got.reason);
  }
  throw new Error(unavailable(reasons));
}

/** Names the cache entry: the sources alone decide what is built; the Go version and the platform decide the bytes. */
export function sourceHash(): string {
  const folder = moduleFolder();
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

type Obtained = { readonly path: string } | { readonly reason: string };

function onPath(progress: Progress): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'temporal');
    if (folder === '' || !isExecutable(path)) continue;
    const version = cliVersion(path);
    if (version !== undefined && atLeast(version, CLI_MIN)) return path;
    progress(
      `${path} is ${version?.join('.') ?? 'no Temporal CLI'}, and ${CLI_MIN.join('.')} or newer is needed: passed over`,
    );
  }
  return undefined;
}

function inCache(): string | undefined {
  const wanted = `${sourceHash()}-${process.platform}-${process.arch}-`;
  for (const cache of cachesToRead()) {
    const folder = join(cache, 'temporal');
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder).sort().reverse()) {
      const path = join(folder, entry, 'temporal');
      if (entry.startsWith(wanted) && isExecutable(path) && cliVersion(path) !== undefined) return path;
    }
  }
  return undefined;
}

async function downloaded(download: typeof downloadBySdk, progress: Progress): Promise<Obtained> {
  const target = cacheEntry('sdk');
  const result = await download(target.scratch, progress);
  if ('reason' in result) {
    rmSync(target.scratch, { recursive: true, force: true });
    return result;
  }
  return { path: target.keep(result.path) };
}

async function build(progress: Progress): Promise<Obtained> {
  const asked = spawnSync('go', ['version'], { encoding: 'utf8', cwd: moduleFolder(), env: process.env });
  if (asked.error) return { reason: 'Go is not installed (no "go" on PATH)' };
  // A Go that is older than the module fetches the one it needs, where it can.
  if (asked.status !== 0) return { reason: `Go cannot be used: ${asked.stderr.trim()}` };
  const version = /go(\d+(?:\.\d+)*)/.exec(asked.stdout)?.[1] ?? '';
  if (!atLeast(numbers(version), GO_MIN))
    return { reason: `Go ${version} is too old to build Temporal: ${GO_MIN.join('.')} or newer is needed` };
  const target = cacheEntry(`go${version}`);
  const caches = ownGoCaches(target.scratch);
  const output = join(target.scratch, 'temporal');
  const args = [
    'build',
    '-trimpath',
    '-buildvcs=false',
    '-modcacherw',
    '-ldflags',
    `-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${CLI_VERSION}`,
  ];
  const failure = await withProgress(
    progress,
    'building the Temporal server with Go, once: about 4 minutes on 2 idle cores; later runs find it in the cache',
    () => runGo([...args, '-o', output, 'github.com/temporalio/cli/cmd/temporal'], caches),
  );
  if (failure !== undefined) {
    rmSync(target.scratch, { recursive: true, force: true });
    return { reason: `Go ${version} could not build Temporal: ${failure}` };
  }
  return { path: target.keep(output) };
}

/** Undefined when it worked, else the last lines Go wrote. */
function runGo(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn('go', args, {
      cwd: moduleFolder(),
      env: { ...process.env, ...env, CGO_ENABLED: '0', GOWORK: 'off' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: BUILD_MS_MAX,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
    child.once('error', (cause) => resolve(cause.message));
    child.once('close', (code) =>
      resolve(code === 0 ? undefined : said.trim().split('\n').slice(-6).join('\n')),
    );
  });
}

/** A user who has Go's caches keeps them warm; for anyone else the 2 GB of modules and objects go when the binary is there. */
function ownGoCaches(scratch: string): NodeJS.ProcessEnv {
  const modules = spawnSync('go', ['env', 'GOMODCACHE'], {
    encoding: 'utf8',
    env: process.env,
  }).stdout.trim();
  if (modules !== '' && existsSync(join(modules, 'cache'))) return {};
  return { GOMODCACHE: join(scratch, 'modules'), GOCACHE: join(scratch, 'objects') };
}

/** A folder to work in and the move of its result into the cache, which shows a binary only when it is whole. */
function cacheEntry(origin: string): { scratch: string; keep(path: string): string } {
  const name = `${sourceHash()}-${process.platform}-${process.arch}-${origin}`;
  const folder = join(cacheDir(), 'temporal', name);
  const scratch = `${folder}.${process.pid}.part`;
  removeAbandoned(dirname(folder));
  mkdirSync(scratch, { recursive: true });
  return {
    scratch,
    keep(path) {
      mkdirSync(folder, { recursive: true });
      renameSync(path, join(folder, 'temporal'));
      rmSync(scratch, { recursive: true, force: true });
      return join(folder, 'temporal');
    },
  };
}

/** A build that was killed leaves 2 GB behind. */
function removeAbandoned(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const pid = /\.(\d+)\.part$/.exec(name)?.[1];
    if (pid !== undefined && identify(Number(pid)) === undefined)
      rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function unavailable(reasons: readonly string[]): string {
  return [
    'There is no Temporal server, and none could be obtained:',
    ...reasons.map((reason) => `  - ${reason}`),
    'Any one of these cures it:',
    `  - install Go ${GO_MIN.join('.')} or newer (https://go.dev/dl) so that "go" is on PATH, and run this again: it is built from source, once`,
    `  - install the Temporal CLI ${CLI_MIN.join('.')} or newer (https://docs.temporal.io/cli/setup-cli) so that "temporal" is on PATH`,
    '  - set TEMPORAL_ADDRESS=host:port to a Temporal server that runs already',
  ].join('\n');
}

function cliVersion(path: string): number[] | undefined {
  const asked = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  const version = /version (\d+\.\d+\.\d+)/.exec(asked.error ? '' : asked.stdout)?.[1];
  return version === undefined ? undefined : numbers(version);
}

function numbers(version: string): number[] {
  return version.split('.').map(Number);
}

function atLeast(version: readonly number[], floor: readonly number[]): boolean {
  for (const [index, least] of floor.entries()) {
    const have = version[index] ?? 0;
    if (have !== least) return have > least;
  }
  return true;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent, or not for us to run: either way it is not the one.
    return false;
  }
}

function moduleFolder(): string {
  return join(packageRoot(), 'workers', 'embedded', 'temporal-server');
}
