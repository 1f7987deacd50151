/** The command line of the bench. */
import { parseArgs } from 'node:util';

export const help = `Times how long VMedic takes to bring VMs back after their host's power is cut, beside the bare driver calls.

Each case makes a datacenter with all VMs on one of three hosts, recovers it by the bare driver calls (the same reading of the power, the
same definitions and starts, as many at once, nothing remembered), puts it back, and recovers it by VMedic as it runs in production:
Temporal, PostgreSQL and the worker in processes of their own.

  kvm-10 kvm-30 kvm-100         real libvirt, QEMU and BMCs; up is a guest's first record on its serial port
  simulated-10 -100 -300 -1000  a datacenter in which a start costs nothing: what remains is VMedic's own
  crash-100                     simulated, and the worker is killed when a quarter of the VMs is back

What else there is, each only when it is named:

  quiet-simulated-1000  nothing happens on 20 hosts with 1,000 VMs: memory, CPU and history of VMedic, for --seconds
  quiet-kvm-10          the same on three real hosts with 10 VMs, the gateway and its children included
  unattended-simulated-10, unattended-kvm-10
                        nobody asks: a VM is destroyed, then a host's power cut, and the watch sees to both
  api-start             a start through the API beside the bare Temporal start, --rounds each, turn by turn

  --only kvm,simulated-300  cases, or kinds of them; default: all but crash, and kvm-100 only with 6 GiB of memory free
  --repeat 1                every case so many times
  --window N --per-host N   instead of the policy's defaults
  --start-ms 0              milliseconds that a simulated start takes
  --no-bare                 leave the bare calls out
  --seconds 120             how long a quiet fleet is measured
  --rounds 300              starts of api-start
  --timeout 300             seconds until a case is given up
  --json                    one document on stdout, progress on stderr

Exit codes: 0 every VM came back and none ran twice, 1 not so, 2 wrong usage.
`;

export type SiteKind = 'kvm' | 'simulated' | 'crash';

/** Cases that time no recovery of a whole host beside its bare calls. */
export const otherCases = [
  { name: 'quiet-simulated-1000', kind: 'quiet', on: 'simulated', vms: 1000 },
  { name: 'quiet-kvm-10', kind: 'quiet', on: 'kvm', vms: 10 },
  { name: 'unattended-simulated-10', kind: 'unattended', on: 'simulated', vms: 10 },
  { name: 'unattended-kvm-10', kind: 'unattended', on: 'kvm', vms: 10 },
  { name: 'api-start', kind: 'api-start', on: 'simulated', vms: 10 },
] as const;
export type OtherCase = (typeof otherCases)[number];

export interface BenchCase {
  readonly name: string;
  readonly kind: SiteKind;
  readonly vms: number;
}

export interface BenchOptions {
  readonly only: readonly string[] | undefined;
  readonly repeat: number;
  readonly window: number | undefined;
  readonly perHost: number | undefined;
  readonly startMs: number;
  readonly bare: boolean;
  readonly timeoutMs: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
}

export class UsageError extends Error {}

const sizes: Readonly<Record<SiteKind, readonly number[]>> = {
  kvm: [10, 30, 100],
  simulated: [10, 100, 300, 1000],
  crash: [100],
};

export const allCases: readonly BenchCase[] = (Object.keys(sizes) as SiteKind[]).flatMap((kind) =>
  sizes[kind].map((vms) => ({ name: `${kind}-${vms}`, kind, vms })),
);

export function parseOptions(argv: readonly string[]): BenchOptions | 'help' {
  const { values } = parsed(argv);
  if (values.help) return 'help';
  return {
    only: values.only?.split(',').map((name) => name.trim()),
    repeat: whole('repeat', values.repeat, 1),
    window: values.window === undefined ? undefined : whole('window', values.window, 1),
    perHost: values['per-host'] === undefined ? undefined : whole('per-host', values['per-host'], 1),
    startMs: whole('start-ms', values['start-ms'], 0),
    bare: !values['no-bare'],
    timeoutMs: whole('timeout', values.timeout, 1) * 1000,
    seconds: whole('seconds', values.seconds, 1),
    rounds: whole('rounds', values.rounds, 10),
    json: values.json,
  };
}

function parsed(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: 'string' },
        repeat: { type: 'string', default: '1' },
        window: { type: 'string' },
        'per-host': { type: 'string' },
        'start-ms': { type: 'string', default: '0' },
        'no-bare': { type: 'boolean', default: false },
        timeout: { type: 'string', default: '300' },
        seconds: { type: 'string', default: '120' },
        rounds: { type: 'string', default: '300' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least)
    throw new UsageError(`--${name} ${text}: a whole number of at least ${least} is needed`);
  return value;
}

export interface Choice {
  readonly cases: readonly BenchCase[];
  readonly others: readonly OtherCase[];
  /** What is left out though it was not asked to be, each a sentence. */
  readonly leftOut: readonly string[];
}

const memoryForHundredMiB = 6 * 1024;

/** `kvm` is why real hosts cannot be had here; undefined when they can. */
export function chooseCases(
  { only }: Pick<BenchOptions, 'only'>,
  machine: { readonly kvm: string | undefined; readonly freeMiB: number },
): Choice {
  const known = [...allCases, ...otherCases];
  const unknown = only?.filter((name) => !known.some((c) => matches(c, name)));
  if (unknown !== undefined && unknown.length > 0)
    throw new UsageError(
      `--only ${unknown.join(',')}: there is no such case; there are ${known.map((c) => c.name).join(', ')}`,
    );
  const wanted = allCases.filter((c) =>
    only === undefined ? c.kind !== 'crash' : only.some((name) => matches(c, name)),
  );
  const leftOut: string[] = [];
  const cases = wanted.filter((c) => {
    if (c.kind !== 'kvm') return true;
    if (machine.kvm !== undefined) leftOut.push(`${c.name}: ${machine.kvm}`);
    else if (only === undefined && c.vms >= 100 && machine.freeMiB < memoryForHundredMiB)
      leftOut.push(`${c.name}: ${machine.freeMiB} MiB of memory are free, ${memoryForHundredMiB} wanted`);
    else return true;
    return false;
  });
  const others = otherCases.filter((c) => {
    if (only?.some((name) => matches(c, name)) !== true) return false;
    if (c.on !== 'kvm' || machine.kvm === undefined) return true;
    leftOut.push(`${c.name}: ${machine.kvm}`);
    return false;
  });
  return { cases, others, leftOut };
}

/** `simulated-10` is a name of its own, and not the beginning of two others. */
const matches = (one: { readonly name: string; readonly kind: string }, name: string): boolean =>
  one.name === name || one.kind === name;
