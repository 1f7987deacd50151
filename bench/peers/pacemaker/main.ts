/** The command: `node dist/bench/peers/pacemaker/main.js --help`. */
import { accessSync, constants } from 'node:fs';
import { cpus, release } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { PacemakerCluster } from './cluster';
import type { Profile } from './cluster-files';
import type { Spread } from './figures';
import { measurePacemaker, type PacemakerOptions, type PacemakerResult } from './measure';
import { BenchError, run } from './processes';

const help = `Times how long Debian's Pacemaker and Corosync take to bring VMs back after their host's power is cut.

Needs root (namespaces, mounts) and these packages:
  apt-get install --no-install-recommends pacemaker corosync pacemaker-cli-utils resource-agents fence-agents iproute2

  --vms 10,100,300        VMs on the node that is lost; one measurement each
  --profile default,tuned tuned: starts as many at once as asked, whatever the load
  --start-delay 0         seconds the start of one VM takes
  --fence-seconds 0.4     seconds the power switch takes
  --token 1000            Corosync's token in milliseconds (3 nodes add 650)
  --nodes 3               cluster nodes
  --repeat 1              measurements of each kind, each on a new cluster
  --settle 5              quiet seconds before the power cut
  --quiet-wait 0          seconds to wait, at most, for an otherwise idle machine before the power cut
  --timeout 300           seconds until a measurement is given up
  --workdir /var/tmp      where the temporary folder goes: a disk, not /tmp or /run
  --keep FOLDER           copy the nodes' logs there
  --json                  one document on stdout, progress on stderr

Example: node dist/bench/peers/pacemaker/main.js --vms 100 --profile tuned --json
Exit codes: 0 every VM came back and none ran twice, 1 not so, 2 wrong usage, not root or a package missing.
`;

class UsageError extends Error {}

interface Wanted {
  readonly measurements: readonly PacemakerOptions[];
  readonly json: boolean;
}

function positive(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < least)
    throw new UsageError(`--${name} ${text}: a number of at least ${least} is needed`);
  return value;
}

function profileOf(text: string): Profile {
  if (text !== 'default' && text !== 'tuned') throw new UsageError(`--profile ${text}: default or tuned`);
  return text;
}

function parse(argv: readonly string[]): Wanted | 'help' {
  const text = (value: string): { type: 'string'; default: string } => ({ type: 'string', default: value });
  const { values } = parseArgs({
    args: [...argv],
    options: {
      vms: text('10,100,300'),
      profile: text('default,tuned'),
      'start-delay': text('0'),
      'fence-seconds': text('0.4'),
      token: text('1000'),
      nodes: text('3'),
      repeat: text('1'),
      settle: text('5'),
      'quiet-wait': text('0'),
      timeout: text('300'),
      workdir: text('/var/tmp'),
      keep: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  if (/^\/(tmp|run)(\/|$)/.test(values.workdir))
    throw new UsageError(`--workdir ${values.workdir}: the nodes mount their own /tmp and /run over it`);
  const shared = {
    nodes: positive('nodes', values.nodes, 3),
    tokenMs: positive('token', values.token, 100),
    startDelaySeconds: positive('start-delay', values['start-delay'], 0),
    fenceSeconds: positive('fence-seconds', values['fence-seconds'], 0),
    settleMs: positive('settle', values.settle, 0) * 1000,
    quietWaitMs: positive('quiet-wait', values['quiet-wait'], 0) * 1000,
    timeoutMs: positive('timeout', values.timeout, 1) * 1000,
    workFolder: values.workdir,
    keepIn: values.keep,
    progress: (line: string) => process.stderr.write(`... ${line}\n`),
  };
  const measurements = values.vms
    .split(',')
    .flatMap((vms) =>
      values.profile
        .split(',')
        .map((profile) => ({ ...shared, vms: positive('vms', vms, 1), profile: profileOf(profile) })),
    );
  const times = positive('repeat', values.repeat, 1);
  return {
    json: values.json,
    measurements: measurements.flatMap((one) => Array<typeof one>(times).fill(one)),
  };
}

function checkMachine(): void {
  if (process.getuid?.() !== 0)
    throw new UsageError('This needs root: it makes namespaces and mounts. Run it as root.');
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  const missing = [
    'pacemakerd',
    'corosync',
    'crm_mon',
    'fence_dummy',
    'ip',
    'unshare',
    'nsenter',
    'setpriv',
  ].filter((program) => !folders.some((folder) => canRun(join(folder, program))));
  if (missing.length > 0)
    throw new UsageError(`Missing here: ${missing.join(', ')}. The packages are named in --help.`);
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run: the same to us
  }
}

async function machine(): Promise<Record<string, string | number>> {
  const { stdout } = await run([
    'dpkg-query',
    '-W',
    '-f',
    '${Package} ${Version}\n',
    'pacemaker',
    'corosync',
  ]);
  const packages = Object.fromEntries(
    stdout.split('\n').flatMap((line) => {
      const [name, version] = line.split(' ');
      return name !== undefined && version !== undefined ? [[name, version] as const] : [];
    }),
  );
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: cpus().length,
    kernel: release(),
    ...packages,
  };
}

const seconds = (ms: number | undefined): string => (ms === undefined ? '-' : (ms / 1000).toFixed(1));
const shown = (of: Spread | undefined): string =>
  [of?.firstMs, of?.medianMs, of?.lastMs].map((ms) => seconds(ms).padStart(6)).join(' ');

const heading = `
  VMs  profile  fenced  since the failure      since fenced           back  twice  CPU s    CPU s
                        first median   last    first median   last                 cluster  others`;

function row(r: PacemakerResult): string {
  const cpu = [r.clusterCpuSeconds, r.otherCpuSeconds].map((s) => String(s ?? '-').padStart(7)).join(' ');
  return (
    `  ${String(r.vms).padStart(3)}  ${r.profile.padEnd(7)} ${seconds(r.fencedMs).padStart(6)} ${shown(r.sinceFailure)}   ` +
    `${shown(r.sinceFenced)}   ${String(r.back).padStart(4)}  ${String(r.ranTwice.length).padStart(5)}  ${cpu}`
  );
}

async function measureAll(wanted: Wanted): Promise<number> {
  let current: PacemakerCluster | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      process.stderr.write(`${signal}: cleaning up\n`);
      void (current?.destroy() ?? Promise.resolve()).finally(() => process.exit(130));
    });
  }
  const about = await machine();
  if (!wanted.json) process.stdout.write(`${JSON.stringify(about)}\n${heading}\n`);
  const results: PacemakerResult[] = [];
  const failures: { readonly vms: number; readonly profile: Profile; readonly why: string }[] = [];
  for (const options of wanted.measurements) {
    options.progress(`${options.vms} VMs, profile ${options.profile}`);
    try {
      const result = await measurePacemaker(options, (cluster) => (current = cluster));
      results.push(result);
      (wanted.json ? process.stderr : process.stdout).write(`${row(result)}\n`);
    } catch (error) {
      // A measurement that did not come about is said, and does not cost the others.
      if (!(error instanceof BenchError)) throw error;
      failures.push({ vms: options.vms, profile: options.profile, why: error.message });
      options.progress(`not measured: ${error.message}`);
    }
  }
  if (wanted.json)
    process.stdout.write(`${JSON.stringify({ machine: about, results, failures }, undefined, 2)}\n`);
  return failures.length === 0 && results.every((result) => result.ok) ? 0 : 1;
}

/** Returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const wanted = parse(argv);
    if (wanted === 'help') {
      process.stdout.write(help);
      return 0;
    }
    checkMachine();
    return await measureAll(wanted);
  } catch (error) {
    const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    if (!usage && !(error instanceof BenchError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return usage ? 2 : 1;
  }
}

if (require.main === module) void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
