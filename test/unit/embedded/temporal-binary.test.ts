import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { provisionTemporal, sourceHash } from '../../../workers/embedded/temporal-binary';

const before = { ...process.env };
let folder: string;

/** Nothing on PATH, nothing in the cache, and no address. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vmp-'));
  mkdirSync(join(folder, 'bin'));
  delete process.env['TEMPORAL_ADDRESS'];
  Object.assign(process.env, {
    PATH: join(folder, 'bin'),
    VMEDIC_CACHE: join(folder, 'cache'),
  });
});

afterEach(() => {
  process.env = { ...before };
  rmSync(folder, { recursive: true, force: true });
});

/** No test here reaches the network. */
function provision(options: Parameters<typeof provisionTemporal>[0] = {}) {
  const download = (): Promise<{ reason: string }> => Promise.resolve({ reason: 'the network is away' });
  return provisionTemporal({ download, ...options });
}

function program(path: string, line: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${line}\n`);
  chmodSync(path, 0o755);
  return path;
}

function cli(path: string, version: string): string {
  return program(path, `echo 'temporal version ${version} (Server 1.31.2, UI 2.50.1)'`);
}

function inCache(platform = `${process.platform}-${process.arch}`, hash = sourceHash()): string {
  return join(folder, 'cache', 'temporal', `${hash}-${platform}-go1.26.4`, 'temporal');
}

describe('where a Temporal server comes from', () => {
  it('is the address that was given, before anything on this machine', async () => {
    process.env['TEMPORAL_ADDRESS'] = 'temporal.example:7233';
    cli(join(folder, 'bin', 'temporal'), '1.8.2');
    await expect(provision()).resolves.toEqual({ kind: 'address', address: 'temporal.example:7233' });
  });

  it('is the program on PATH, before the cache', async () => {
    const path = cli(join(folder, 'bin', 'temporal'), '1.6.0');
    cli(inCache(), '1.8.2');
    await expect(provision()).resolves.toEqual({ kind: 'binary', path });
  });

  it.each(['1.5.0', '1.4.9', '0.13.2'])(
    'passes over a program on PATH that is too old (%s), and says so',
    async (version) => {
      cli(join(folder, 'bin', 'temporal'), version);
      const path = cli(inCache(), '1.8.2');
      const said: string[] = [];
      const source = await provision({ progress: (line) => said.push(line) });
      expect(source).toEqual({ kind: 'binary', path });
      expect(said.join('\n')).toContain(`is ${version}, and 1.5.1 or newer is needed`);
    },
  );

  it('passes over a program called temporal that is something else', async () => {
    program(join(folder, 'bin', 'temporal'), 'echo "what do you want"');
    const path = cli(inCache(), '1.8.2');
    await expect(provision()).resolves.toEqual({ kind: 'binary', path });
  });

  it.each([
    ['another platform', inCache.bind(undefined, 'plan9-mips')],
    ['other sources', inCache.bind(undefined, undefined, '0123456789abcdef')],
  ])('never takes what the cache holds for %s', async (_what, where) => {
    cli(where(), '1.8.2');
    await expect(provision()).rejects.toThrow('none could be obtained');
  });

  it('never takes what the cache holds when it does not run', async () => {
    program(inCache(), 'exit 126');
    await expect(provision()).rejects.toThrow('none could be obtained');
  });

  it('is what the SDK downloads when the cache has none, and kept for the next run', async () => {
    const download = (into: string) => Promise.resolve({ path: cli(join(into, 'temporal-cli'), '1.8.2') });
    const got = await provision({ download });
    expect(got).toEqual({ kind: 'binary', path: inCache().replace('go1.26.4', 'sdk') });
    await expect(provision()).resolves.toEqual(got);
  });

  it('is built with Go when all else fails, and kept for the next run', async () => {
    // A compiler that "compiles" a CLI: the option after -o names its result.
    program(
      join(folder, 'bin', 'go'),
      `case "$1" in version) echo "go version go1.27.1 linux/amd64";; env) echo ${join(folder, 'modules')};;
       build) while [ "$1" != -o ]; do shift; done
         printf '#!/bin/sh\\necho temporal version 1.8.2\\n' > "$2"; /bin/chmod 755 "$2";; esac`,
    );
    const built = await provision();
    expect(built).toEqual({ kind: 'binary', path: inCache().replace('go1.26.4', 'go1.27.1') });
    rmSync(join(folder, 'bin', 'go'));
    await expect(provision()).resolves.toEqual(built);
  });

  it('names every way out when there is neither a download nor Go', async () => {
    const refused = provision();
    await expect(refused).rejects.toThrow('the network is away');
    await expect(refused).rejects.toThrow('Go is not installed');
    await expect(refused).rejects.toThrow(/install Go 1\.26\.4 or newer .*run this again/);
    await expect(refused).rejects.toThrow('set TEMPORAL_ADDRESS=host:port');
  });

  it('clears away what a build that was killed left behind, and nothing of one that runs', async () => {
    const [dead, alive] = [4_194_305, process.pid].map((pid) => `${dirname(inCache())}.${pid}.part`) as [
      string,
      string,
    ];
    for (const scratch of [dead, alive]) mkdirSync(join(scratch, 'modules'), { recursive: true });
    await provision({
      download: (into) => Promise.resolve({ path: cli(join(into, 'temporal-cli'), '1.8.2') }),
    });
    expect([existsSync(dead), existsSync(alive)]).toEqual([false, true]);
  });

  it('says that a Go is too old rather than letting its build fail', async () => {
    program(join(folder, 'bin', 'go'), 'echo "go version go1.19.8 linux/amd64"');
    await expect(provision()).rejects.toThrow(
      'Go 1.19.8 is too old to build Temporal: 1.26.4 or newer is needed',
    );
  });

  it('reports what Go wrote when the build fails, and leaves nothing half-made in the cache', async () => {
    program(
      join(folder, 'bin', 'go'),
      'case "$1" in version) echo "go version go1.27.1 linux/amd64";; env) echo /nowhere;; *) echo "dial tcp: lookup failed" >&2; exit 1;; esac',
    );
    await expect(provision()).rejects.toThrow(
      /Go 1\.27\.1 could not build Temporal: dial tcp: lookup failed/,
    );
    rmSync(join(folder, 'bin', 'go'));
    await expect(provision()).rejects.toThrow('none could be obtained');
  });
});
