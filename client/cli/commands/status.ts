import type { Command } from 'commander';
import { millisOf } from '../../../domain/observations';
import { readOverview } from '../../overview';
import type { Trouble } from '../../troubles';
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
  const temporal = await session.temporal();
  const seen = await readOverview({ fleet, inventory, temporal: () => Promise.resolve(temporal) });
  const { troubles, underWay, clusters, vms, watched, running } = seen;
  const { out } = context;
  const up = running.length;
  const hostsUsed = new Set(running.map((v) => v.hostId)).size;
  const hostsDeclared = fleet.clusters.flatMap((c) => c.hosts).length;
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
  const line = (mark: string, t: Trouble): string =>
    `${mark} ${t.what}${t.since === undefined ? '' : ` (for ${age(Date.now() - millisOf(t.since))})`}\n  ${out.paint.dim('next:')} ${t.next}`;
  const body = [
    ...(troubles.length === 0 ? [out.paint.green('Everything is well.')] : []),
    ...troubles.map((t) => line(out.paint.red('wrong:'), t)),
    ...underWay.map((t) => line(out.paint.dim('under way:'), t)),
  ].join('\n');
  out.result(
    {
      well: troubles.length === 0,
      troubles,
      underWay,
      clusters,
      vms: { protected: watched.length, running: up },
      configPath: session.configPath,
    },
    `${head}\n\n${body}`,
  );
  return exitCodes.done;
}
