import type { Command } from 'commander';
import { millisOf } from '../../../domain/observations';
import { effectiveMode } from '../../../domain/armed';
import { queuesWithoutWorker, runsNow, troublesOf } from '../../troubles';
import { addCommand, type Context, type Program } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { age, facts } from '../show';

export function addStatusCommand(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'status',
    summary: 'one screen: what is wrong, since when, and the next command for each',
    examples: ['vmedic status', 'vmedic status --json'],
    run: status,
  });
}

async function status(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const { fleet, inventory } = session;
  const [hosts, vms, open, alerts, switches, claim, owed, temporal] = await Promise.all([
    inventory.hosts(),
    inventory.vms(),
    inventory.incidents({ open: true }),
    inventory.alerts({ open: true }),
    inventory.switches(),
    inventory.fleetClaim(),
    inventory.owedDeliveries(),
    session.temporal(),
  ]);
  const unpolled = await queuesWithoutWorker(temporal);
  const checks = await Promise.all(fleet.clusters.map((c) => inventory.readiness(c.id)));
  const troubles = troublesOf({ fleet, hosts, vms, open, alerts, unpolled, switches, owed, checks });
  const { out } = context;
  const watched = vms.filter((v) => v.protected && v.desired === 'running');
  const running = watched.filter((v) => runsNow(v, hosts));
  const up = running.length;
  const hostsUsed = new Set(running.map((v) => v.hostId)).size;
  const hostsDeclared = fleet.clusters.flatMap((c) => c.hosts).length;
  const clusters = fleet.clusters.map((c) => {
    const own = hosts.filter((h) => h.clusterId === c.id);
    const { mode, why } = effectiveMode(c, own, claim, switches);
    const maintenance = own.filter((h) => h.standing === 'maintenance').map((h) => h.hostId);
    return { id: c.id, mode: c.mode, now: mode, why, maintenance };
  });
  const modes = clusters
    .map((c) => `${c.id}: ${c.mode}${c.why === undefined ? '' : `, now ${c.now} (${c.why})`}`)
    .join('; ');
  const unprotected = vms.filter((v) => !v.protected).map((v) => v.name);
  const planned = [
    ...clusters.flatMap((c) => c.maintenance.map((h) => `${h} in maintenance`)),
    ...(unprotected.length === 0
      ? []
      : [
          `not protected: ${unprotected.slice(0, 10).join(', ')}${unprotected.length > 10 ? ` and ${unprotected.length - 10} more` : ''}`,
        ]),
  ];
  const head = facts(out, [
    ['config', session.configPath],
    [
      'mode',
      `${modes}${fleet.clusters.some((c) => c.mode !== 'automatic') ? ' (only "automatic" acts by itself)' : ''}`,
    ],
    ['temporal', temporal.settings.uiUrl ?? temporal.settings.address],
    ['vms', `${up} of ${watched.length} protected VMs run, on ${hostsUsed} of ${hostsDeclared} hosts`],
    ...(planned.length === 0 ? [] : ([['planned', planned.join('; ')]] as const)),
  ]);
  const body =
    troubles.length === 0
      ? out.paint.green('Everything is well.')
      : troubles
          .map(
            (t) =>
              `${out.paint.red('wrong:')} ${t.what}${t.since === undefined ? '' : ` (for ${age(Date.now() - millisOf(t.since))})`}\n  ${out.paint.dim('next:')} ${t.next}`,
          )
          .join('\n');
  out.result(
    {
      well: troubles.length === 0,
      troubles,
      clusters,
      vms: { protected: watched.length, running: up },
      configPath: session.configPath,
    },
    `${head}\n\n${body}`,
  );
  return exitCodes.done;
}
