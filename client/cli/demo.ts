/** The demo's course: VMedic on a datacenter, a host without power, a recovery that is watched, and a world that is looked at. */
import type { DemoDatacenter, DemoVm, SeenVm } from '../../lab/demo/datacenter';
import { hostId } from '../../domain/ids';
import type { RunRef } from '../answers';
import type { Context } from './command';
import { exitCodes, type ExitCode } from './exit-codes';
import { openSession, type Session } from './session';
import { table } from './show';
import { followLive } from './wait';
import { untilDiscovered, watchFleet } from './watched';

/** One VM's line in the report: what was, what the world says now, and whether that is as promised. */
interface ReportLine extends SeenVm {
  readonly was: string;
  /** From the cut of the power to the guest's first sign of life; undefined when it went on running. */
  readonly secondsDown: number | undefined;
  readonly wrong: readonly string[];
}

export async function runDemo(
  context: Context,
  datacenter: DemoDatacenter,
  abort: AbortSignal,
): Promise<ExitCode> {
  const { out } = context;
  const system = await startVmedic(context, datacenter);
  try {
    const session = await openSession(datacenter.configPath, context.io);
    try {
      out.note('waiting until VMedic knows every VM and its definition: a dead host has none to give');
      await untilDiscovered(session.inventory, session.fleet, datacenter.vms.length, abort);
      return await recoverAndJudge(context, datacenter, session, abort);
    } finally {
      await session.close();
    }
  } finally {
    await system.stop();
  }
}

async function startVmedic(context: Context, { configPath, stateDir }: DemoDatacenter) {
  const access = await import('../../workers/access');
  const { startEmbeddedSystem } = await import('../../workers/embedded/system');
  const installation = await access.openInstallation(configPath, context.io.env);
  context.out.note('starting VMedic: Temporal, the inventory and a worker, each a process of its own');
  return startEmbeddedSystem({
    ...{ config: installation.config, configPath, stateDir, env: context.io.env },
    progress: (line) => context.out.note(`  ${line}`),
    onRunning: async (runtime) => {
      const settings = access.temporalSettings({ ...installation, runtime }, context.io.env);
      if (settings !== undefined) await watchFleet(settings, installation.fleet);
    },
  });
}

async function recoverAndJudge(
  context: Context,
  datacenter: DemoDatacenter,
  session: Session,
  abort: AbortSignal,
): Promise<ExitCode> {
  const { out } = context;
  const host = datacenter.hosts[0] as string;
  const lost = datacenter.vms.filter((vm) => vm.host === host).map((vm) => vm.name);
  out.note('');
  out.note(`${datacenter.vms.length} VMs run. Now ${host}, which runs ${lost.join(', ')}, loses its power:`);
  const downFor = new Map<string, number>();
  const stopWatching = new AbortController();
  const cutAt = Date.now();
  datacenter.onSignOfLife(lost, AbortSignal.any([abort, stopWatching.signal]), (vm) =>
    downFor.set(vm, (Date.now() - cutAt) / 1000),
  );
  out.note(`  ${await datacenter.cutPower(host)}`);
  out.note('From here on nobody types: VMedic has to notice by itself.');
  const run = await noticed(session, host, abort);
  out.note(`  its watch noticed after ${((Date.now() - cutAt) / 1000).toFixed(1)} s`);
  out.note('');
  const ending = await followLive(context, session, run);
  await lastSignsOfLife(lost, downFor, abort);
  stopWatching.abort();
  out.note('');
  out.note(`looking at the world ${datacenter.judge}`);
  const report = judge(datacenter.vms, host, await datacenter.look(), downFor);
  const good = ending.kind === 'finished' && report.every((line) => line.wrong.length === 0);
  out.result(
    {
      verdict: good ? 'recovered' : 'not recovered',
      host,
      incidentId: run.incidentId,
      ending,
      vms: report,
    },
    reportText(context, report, host, good),
  );
  return good ? exitCodes.done : exitCodes.partly;
}

/** A look every 2 s, two of them and a busy machine: far longer means that the watch does not work. */
const noticeMsMax = 120_000;

/** The incident that the watch has opened of this host. */
async function noticed(session: Session, host: string, abort: AbortSignal): Promise<RunRef> {
  for (const deadline = Date.now() + noticeMsMax; Date.now() < deadline;) {
    abort.throwIfAborted();
    const [incident] = await session.inventory.incidents({ hostId: hostId(host), limit: 1 });
    if (incident !== undefined) {
      const { incidentId, workflowId } = incident;
      return { incidentId, workflowId, runId: undefined, type: 'recoverHost' };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${host} has no power, and the watch has opened no incident in ${noticeMsMax / 1000} s`);
}

/** A VM counts as back when its health check passes, which is its first beat: the look at it may come a moment later. */
async function lastSignsOfLife(
  lost: readonly string[],
  downFor: ReadonlyMap<string, number>,
  abort: AbortSignal,
): Promise<void> {
  for (const deadline = Date.now() + 3_000; downFor.size < lost.length && Date.now() < deadline;) {
    abort.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Compares what the world says with what was promised. Pure. */
export function judge(
  before: readonly DemoVm[],
  failedHost: string,
  seen: readonly SeenVm[],
  downFor: ReadonlyMap<string, number>,
): ReportLine[] {
  return before.map((vm) => {
    const now = seen.find((s) => s.name === vm.name) ?? {
      name: vm.name,
      runsOn: [],
      boots: 0,
      oracle: 'UNKNOWN' as const,
      why: 'not looked at',
    };
    const lost = vm.host === failedHost;
    const wrong: string[] = [];
    if (now.runsOn.length === 0) wrong.push('runs nowhere');
    if (now.runsOn.length > 1) wrong.push(`runs on ${now.runsOn.length} hosts at once`);
    if (now.runsOn.includes(failedHost)) wrong.push(`runs on ${failedHost}, which has no power`);
    if (!lost && now.runsOn.length === 1 && now.runsOn[0] !== vm.host)
      wrong.push(`was moved from ${vm.host}, which is well`);
    if (now.boots !== (lost ? 2 : 1)) wrong.push(`was booted ${now.boots} times, not ${lost ? 2 : 1}`);
    if (now.oracle !== 'CLEAN') wrong.push(`its disk is ${now.oracle}: ${now.why ?? ''}`);
    return { ...now, was: vm.host, secondsDown: lost ? downFor.get(vm.name) : undefined, wrong };
  });
}

function reportText({ out }: Context, report: readonly ReportLine[], host: string, good: boolean): string {
  const rows = report.map((line) => [
    line.name,
    line.was,
    line.runsOn.join(' and ') || 'nowhere',
    String(line.boots),
    line.oracle,
    line.secondsDown === undefined
      ? line.was === host
        ? 'not seen again'
        : 'went on'
      : line.secondsDown.toFixed(1),
  ]);
  const lost = report.filter((line) => line.was === host);
  const slowest = Math.max(...lost.map((line) => line.secondsDown ?? Number.POSITIVE_INFINITY));
  const wrong = report.flatMap((line) => line.wrong.map((what) => `  ${line.name} ${what}`));
  const verdict = good
    ? out.paint.green(
        `Verdict: ${host} lost its power, and its ${lost.length} VMs run again, each exactly once, the last one ${slowest.toFixed(1)} s after the cut.`,
      )
    : out.paint.red('Verdict: not as promised.');
  return [
    '',
    table(out, ['VM', 'WAS ON', 'RUNS ON', 'BOOTS', 'DISK ORACLE', 'SECONDS DOWN'], rows),
    '',
    verdict,
    ...wrong,
  ].join('\n');
}
