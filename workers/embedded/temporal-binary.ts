import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import {
  atLeast,
  buildProgram,
  cachedProgram,
  cacheEntry,
  type GoProgram,
  isExecutable,
  type Obtained,
  programHash,
  versionNumbers,
} from './go-build';
import { packageRoot } from './package-root';
import { type Progress, silent } from './progress';
import { downloadBySdk } from './sdk-download';

export type TemporalSource =
  { readonly kind: 'address'; readonly address: string } | { readonly kind: 'binary'; readonly path: string };

/** What the tools module builds; it would call itself 0.0.0-DEV. */
const CLI_VERSION = '1.8.2';
/** The oldest CLI whose server has what VMedic uses (server 1.29.1). */
const CLI_MIN = [1, 5, 1] as const;
const GO_MIN = [1, 26, 4] as const;

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
  const found = onPath(progress) ?? cachedProgram(temporalProgram(), works);
  if (found !== undefined) return { kind: 'binary', path: found };
  const reasons: string[] = [];
  for (const obtain of [
    (): Promise<Obtained> => downloaded(download, progress),
    (): Promise<Obtained> => buildProgram(temporalProgram(), progress),
  ]) {
    const got = await obtain();
    if ('path' in got) return { kind: 'binary', path: got.path };
    progress(got.reason);
    reasons.push(got.reason);
  }
  throw new Error(unavailable(reasons));
}

export const sourceHash = (): string => programHash(temporalProgram());

const temporalProgram = (): GoProgram => ({
  name: 'temporal',
  title: 'Temporal',
  moduleFolder: join(packageRoot(), 'workers', 'embedded', 'temporal-server'),
  target: 'github.com/temporalio/cli/cmd/temporal',
  sources: ['go.mod', 'go.sum'],
  linkFlags: `-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${CLI_VERSION}`,
  goMin: GO_MIN,
  announcement:
    'building the Temporal server with Go, once: about 4 minutes on 2 idle cores; later runs find it in the cache',
});

const works = (path: string): boolean => cliVersion(path) !== undefined;

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

async function downloaded(download: typeof downloadBySdk, progress: Progress): Promise<Obtained> {
  const entry = cacheEntry(temporalProgram(), 'sdk');
  const result = await download(entry.scratch, progress);
  if (!('reason' in result)) return { path: entry.keep(result.path) };
  entry.drop();
  return result;
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
  return version === undefined ? undefined : versionNumbers(version);
}
