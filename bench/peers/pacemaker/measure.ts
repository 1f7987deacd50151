/** One measurement: build a cluster, cut a node's power, wait until its VMs are back, read what the agents wrote down. */
import { setTimeout as delay } from 'node:timers/promises';
import { PacemakerCluster } from './cluster';
import { effectiveTokenMs, type Profile } from './cluster-files';
import { claimsOf, fencedAlive, fencing, ranTwice, type Spread, spread, upAgain } from './figures';
import { type CpuReading, machineBusy } from './cpu-meter';
import { BenchError, until } from './processes';

export interface PacemakerOptions {
  readonly vms: number;
  readonly profile: Profile;
  readonly nodes: number;
  readonly tokenMs: number;
  readonly startDelaySeconds: number;
  readonly fenceSeconds: number;
  /** Quiet time between the cluster's last work and the power cut. */
  readonly settleMs: number;
  /** How long to wait, at most, for an otherwise idle machine before the power cut. */
  readonly quietWaitMs: number;
  readonly timeoutMs: number;
  readonly workFolder: string;
  /** Where to copy the nodes' logs, if anywhere. */
  readonly keepIn: string | undefined;
  readonly progress: (line: string) => void;
}

export interface PacemakerResult {
  readonly vms: number;
  readonly profile: Profile;
  readonly nodes: number;
  readonly tokenMs: number;
  readonly tokenEffectiveMs: number;
  readonly startDelaySeconds: number;
  readonly fenceSeconds: number;
  /** From the power cut to the power switch being asked, and to its answer. */
  readonly fenceAskedMs: number;
  readonly fencedMs: number;
  readonly sinceFailure: Spread | undefined;
  readonly sinceFenced: Spread | undefined;
  readonly back: number;
  readonly ranTwice: readonly string[];
  /** Share of the machine in use just before the power cut, while the cluster stood idle: 0 to 1. */
  readonly busyBefore: number;
  /** CPU seconds between the power cut and the last VM up: of the cluster, and of everything else on the machine. */
  readonly clusterCpuSeconds: number | undefined;
  readonly otherCpuSeconds: number | undefined;
  readonly ok: boolean;
}

const busySpanMs = 2_000;
const quietShareMax = 0.15;
/** After the last VM is up: time for a second copy of one, if there is any, to show itself. */
const lookAgainMs = 2_000;

function readBack(cluster: PacemakerCluster, vms: readonly string[]): { back: number; twice: string[] } {
  const places = cluster.alive().flatMap((name) => cluster.runningOn(name));
  const count = (vm: string): number => places.filter((place) => place === vm).length;
  return {
    back: vms.filter((vm) => count(vm) === 1).length,
    twice: vms.filter((vm) => count(vm) > 1),
  };
}

/** The machine's busy share at last: quiet, or the time to wait for it is over. */
async function waitForQuiet(limitMs: number): Promise<number> {
  const end = performance.now() + limitMs;
  for (;;) {
    const busy = await machineBusy(busySpanMs);
    if (busy <= quietShareMax || performance.now() > end) return busy;
  }
}

interface CpuSpent {
  readonly cluster: number | undefined;
  readonly other: number | undefined;
}

function cpuBetween(before: CpuReading, after: CpuReading): CpuSpent {
  if (before.cluster === undefined || after.cluster === undefined)
    return { cluster: undefined, other: undefined };
  const cluster = after.cluster - before.cluster;
  const other = Math.max(0, after.machineBusy - before.machineBusy - cluster);
  return { cluster: Number(cluster.toFixed(1)), other: Number(other.toFixed(1)) };
}

async function chooseVictim(cluster: PacemakerCluster): Promise<string> {
  const controller = await cluster.controller();
  const victim = cluster.names.findLast((name) => name !== controller);
  if (controller === undefined || victim === undefined) throw new BenchError('the cluster has no controller');
  return victim;
}

interface Run {
  readonly victim: string;
  readonly vms: readonly string[];
  readonly failedMs: number;
  readonly busyBefore: number;
  readonly cpu: CpuSpent;
}

/** Figures from what the agents wrote down and what runs now. Throws when the run is void. */
function judge(cluster: PacemakerCluster, o: PacemakerOptions, run: Run): PacemakerResult {
  const { victim, vms, failedMs, busyBefore, cpu } = run;
  const fenceNotes = cluster.fenceNotes();
  const mistaken = fencedAlive(fenceNotes, victim);
  if (mistaken.length > 0)
    throw new BenchError(`void: the cluster fenced ${mistaken.join(', ')}, which was alive`);
  const fenced = fencing(fenceNotes, victim, failedMs);
  if (fenced === undefined) throw new BenchError(`void: ${victim} was never fenced`);
  const claims = claimsOf(cluster.vmNotes(), cluster.diedMs());
  const ups = upAgain(claims, failedMs);
  const read = readBack(cluster, vms);
  const twice = [...new Set([...ranTwice(claims), ...read.twice])].sort();
  return {
    vms: o.vms,
    profile: o.profile,
    nodes: o.nodes,
    tokenMs: o.tokenMs,
    tokenEffectiveMs: effectiveTokenMs(o.tokenMs, o.nodes),
    startDelaySeconds: o.startDelaySeconds,
    fenceSeconds: o.fenceSeconds,
    fenceAskedMs: Math.round(fenced.beginMs - failedMs),
    fencedMs: Math.round(fenced.endMs - failedMs),
    sinceFailure: spread(ups, failedMs),
    sinceFenced: spread(ups, fenced.endMs),
    back: read.back,
    ranTwice: twice,
    busyBefore: Number(busyBefore.toFixed(2)),
    clusterCpuSeconds: cpu.cluster,
    otherCpuSeconds: cpu.other,
    ok: read.back === o.vms && ups.length === o.vms && twice.length === 0,
  };
}

async function measureOn(cluster: PacemakerCluster, o: PacemakerOptions): Promise<PacemakerResult> {
  o.progress(`building ${o.nodes} nodes`);
  await cluster.build();
  const victim = await chooseVictim(cluster);
  const vms = Array.from({ length: o.vms }, (_, index) => `vm${String(index + 1).padStart(4, '0')}`);
  o.progress(`starting ${o.vms} VMs on ${victim}`);
  const { profile, startDelaySeconds, fenceSeconds } = o;
  const shape = {
    nodes: cluster.names,
    tokenMs: o.tokenMs,
    profile,
    vms,
    victim,
    startDelaySeconds,
    fenceSeconds,
  };
  await cluster.configure(shape);
  const there = cluster.runningOn(victim).length;
  if (there !== o.vms)
    throw new BenchError(`only ${there} of ${o.vms} VMs came up on ${victim} to begin with`);
  await delay(o.settleMs);
  const busyBefore = await waitForQuiet(o.quietWaitMs);

  o.progress(`cutting the power of ${victim}`);
  const cpuBefore = cluster.cpu();
  const [failedMs] = await cluster.cutPower(victim);
  const upNow = (): number[] => upAgain(claimsOf(cluster.vmNotes(), cluster.diedMs()), failedMs);
  const allUp = await until('all VMs back', o.timeoutMs, 200, () =>
    upNow().length === o.vms ? true : undefined,
  ).catch((error: unknown) => {
    // Too late is a result, told as "so many came back"; anything else is a defect of the bench.
    if (error instanceof BenchError) return false;
    throw error;
  });
  const cpu = cpuBetween(cpuBefore, cluster.cpu());
  o.progress(allUp ? 'all VMs are back' : `gave up: ${upNow().length} of ${o.vms} VMs are back`);
  await delay(lookAgainMs);

  return judge(cluster, o, { victim, vms, failedMs, busyBefore, cpu });
}

/**
 * Needs root and Debian's packages (see README). Leaves nothing behind whether it succeeds or throws; killed without warning it
 * leaves its folder, but no process.
 */
export async function measurePacemaker(
  options: PacemakerOptions,
  onCluster: (cluster: PacemakerCluster | undefined) => void = () => undefined,
): Promise<PacemakerResult> {
  const names = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
  const cluster = new PacemakerCluster(names, options.tokenMs, options.workFolder);
  onCluster(cluster);
  try {
    return await measureOn(cluster, options);
  } finally {
    await cluster.destroy(options.keepIn);
    onCluster(undefined);
  }
}
