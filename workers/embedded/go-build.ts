/** Builds a Go program once and keeps it outside the checkout, under a name made of its sources. */
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
import { dirname, join } from 'node:path';
import { cacheDir, cachesToRead } from './cache-dir';
import { type Progress, withProgress } from './progress';
import { identify } from './server-process';

export interface GoProgram {
  /** Names the folder of the cache and the file in it. */
  readonly name: string;
  /** What people call it, for sentences. */
  readonly title: string;
  readonly moduleFolder: string;
  /** The package to build, as `go build` takes it. */
  readonly target: string;
  /** The files, in the module's folder, that alone decide what is built. */
  readonly sources: readonly string[];
  readonly linkFlags: string;
  readonly goMin: readonly [number, number, number];
  /** What is said while it is built, with how long that takes. */
  readonly announcement: string;
}

export type Obtained = { readonly path: string } | { readonly reason: string };

/** Room for slow and busy machines: the longest build took 341 s of CPU with an empty build cache. */
const BUILD_MS_MAX = 45 * 60_000;

/** Names the cache entry: the sources alone decide what is built; the Go version and the platform decide the bytes. */
export function programHash({ moduleFolder, sources }: GoProgram): string {
  const hash = createHash('sha256');
  for (const file of sources) hash.update(readFileSync(join(moduleFolder, file)));
  return hash.digest('hex').slice(0, 16);
}

/** The newest entry of any cache that holds this program for this machine and passes `works`. */
export function cachedProgram(
  program: GoProgram,
  works: (path: string) => boolean = () => true,
): string | undefined {
  const wanted = `${programHash(program)}-${process.platform}-${process.arch}-`;
  for (const cache of cachesToRead()) {
    const folder = join(cache, program.name);
    if (!existsSync(folder)) continue;
    for (const entry of readdirSync(folder).sort().reverse()) {
      const path = join(folder, entry, program.name);
      if (entry.startsWith(wanted) && isExecutable(path) && works(path)) return path;
    }
  }
  return undefined;
}

/** Builds it with the Go that is on PATH. Repeatable; a build that was killed leaves nothing that would be taken for whole. */
export async function buildProgram(program: GoProgram, progress: Progress): Promise<Obtained> {
  const { moduleFolder, goMin, title } = program;
  const asked = spawnSync('go', ['version'], { encoding: 'utf8', cwd: moduleFolder, env: process.env });
  if (asked.error) return { reason: 'Go is not installed (no "go" on PATH)' };
  // A Go that is older than the module fetches the one it needs, where it can.
  if (asked.status !== 0) return { reason: `Go cannot be used: ${asked.stderr.trim()}` };
  const version = /go(\d+(?:\.\d+)*)/.exec(asked.stdout)?.[1] ?? '';
  if (!atLeast(versionNumbers(version), goMin))
    return { reason: `Go ${version} is too old to build ${title}: ${goMin.join('.')} or newer is needed` };
  const entry = cacheEntry(program, `go${version}`);
  const output = join(entry.scratch, program.name);
  const flags = ['-trimpath', '-buildvcs=false', '-modcacherw', '-ldflags', program.linkFlags];
  const failure = await withProgress(progress, program.announcement, () =>
    runGo(
      ['build', ...flags, '-o', output, program.target],
      moduleFolder,
      ownGoCaches(moduleFolder, entry.scratch),
    ),
  );
  if (failure === undefined) return { path: entry.keep(output) };
  entry.drop();
  return { reason: `Go ${version} could not build ${title}: ${failure}` };
}

/** Undefined when it worked, else the last lines Go wrote. */
function runGo(args: readonly string[], cwd: string, caches: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn('go', args, {
      cwd,
      env: { ...process.env, ...caches, CGO_ENABLED: '0', GOWORK: 'off' },
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

/**
 * A user who has Go's caches keeps them warm; for anyone else the 2 GB of modules and objects go when the binary is there, or, where several
 * programs are built in one go (`VMEDIC_GO_CACHE`), when whoever named that folder removes it.
 */
function ownGoCaches(cwd: string, scratch: string): NodeJS.ProcessEnv {
  const modules = spawnSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8', cwd, env: process.env }).stdout;
  if (modules.trim() !== '' && existsSync(join(modules.trim(), 'cache'))) return {};
  const folder = process.env['VMEDIC_GO_CACHE'] || scratch;
  return { GOMODCACHE: join(folder, 'modules'), GOCACHE: join(folder, 'objects') };
}

export interface CacheEntry {
  readonly scratch: string;
  /** Moves the file into the cache, which shows a program only when it is whole. @returns where it is now. */
  keep(path: string): string;
  drop(): void;
}

/** A folder to work in, of this process alone. */
export function cacheEntry(program: GoProgram, origin: string): CacheEntry {
  const name = `${programHash(program)}-${process.platform}-${process.arch}-${origin}`;
  const folder = join(cacheDir(), program.name, name);
  const scratch = `${folder}.${process.pid}.part`;
  removeAbandoned(dirname(folder));
  mkdirSync(scratch, { recursive: true });
  const drop = (): void => rmSync(scratch, { recursive: true, force: true });
  return {
    scratch,
    drop,
    keep(path) {
      mkdirSync(folder, { recursive: true });
      renameSync(path, join(folder, program.name));
      drop();
      return join(folder, program.name);
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

export const versionNumbers = (version: string): number[] => version.split('.').map(Number);

export function atLeast(version: readonly number[], floor: readonly number[]): boolean {
  for (const [index, least] of floor.entries()) {
    const have = version[index] ?? 0;
    if (have !== least) return have > least;
  }
  return true;
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent, or not for us to run: either way it is not the one.
    return false;
  }
}
