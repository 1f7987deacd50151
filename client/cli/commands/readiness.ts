import { type Command, Option } from 'commander';
import type { Fleet, Pool } from '../../../domain/fleet';
import { type ClusterId, clusterId } from '../../../domain/ids';
import type { Finding, ReadinessReport, VmReadiness } from '../../../domain/readiness';
import { Refusal } from '../../errors';
import { knownVm } from '../../known';
import { checkReadiness } from '../../readiness';
import { addCommand, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import type { Output } from '../io';
import type { Session } from '../session';
import { since, table } from '../show';

export function addReadinessCommand(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'readiness',
    summary: 'would each VM come back if its host failed now, and if not, why not and what to do; reads only',
    examples: [
      'vmedic readiness',
      'vmedic readiness --vm web-1',
      'vmedic readiness --cluster lab --json',
      'vmedic readiness --last',
    ],
    options: [
      new Option('--vm <vm>', 'only this VM, by name or UUID'),
      new Option('--cluster <id>', 'only this cluster'),
      new Option(
        '--retry-logins',
        'passwords were corrected: ask devices again that refused a login (BMCs lock accounts, so they are left alone otherwise)',
      ),
      new Option('--last', 'what the last check found, without checking anew'),
    ],
    run: readiness,
  });
}

async function readiness(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const asked = text(context, 'vm');
  const vm = asked === '' ? undefined : await knownVm(session.inventory, asked);
  const clusters = vm === undefined ? clustersAsked(session, text(context, 'cluster')) : [vm.clusterId];
  const reports = await Promise.all(clusters.map((id) => reportOf(context, session, id)));
  const shown = reports.map((r) => (vm === undefined ? r : onlyVm(r, vm.vmId)));
  const vms = shown.flatMap((r) => r.vms);
  const findings = shown.flatMap((r) => r.findings);
  const wouldNot = vms.filter((v) => v.verdict === 'would-not').length;
  const ready = wouldNot === 0 && findings.every((f) => f.severity !== 'blocks');
  const pools = poolsOf(session.fleet, clusters);
  const texts = [...shown.map((r) => reportText(context.out, r)), poolsText(pools)];
  context.out.result({ ready, reports: shown, pools }, texts.filter((t) => t !== '').join('\n\n'));
  return wouldNot === 0 ? exitCodes.done : exitCodes.partly;
}

function clustersAsked({ fleet }: Session, asked: string) {
  const known = fleet.clusters.map((c) => c.id);
  if (asked === '') return known;
  if (known.some((id) => id === asked)) return [clusterId(asked)];
  throw new Refusal(
    'usage',
    'UNKNOWN_CLUSTER',
    `There is no cluster ${asked} in the config; known: ${known.join(', ')}`,
    'vmedic host list',
  );
}

async function reportOf(context: Context, session: Session, id: ReadinessReport['clusterId']) {
  if (context.flags['last'] !== true) {
    const { client, settings } = await session.temporal();
    context.out.status(`checking cluster ${id}`);
    const retryLogins = context.flags['retryLogins'] === true;
    const door = { client, inventory: session.inventory, address: settings.address, retryLogins };
    return checkReadiness(door, id);
  }
  const last = await session.inventory.readiness(id);
  if (last !== undefined) return last;
  throw new Refusal('refused', 'NEVER_CHECKED', `Cluster ${id} was never checked`, 'vmedic readiness');
}

type Released = Pick<Pool, 'id' | 'type' | 'lockStrategy'>;

/** How the locks of a dead host would be released; that it cannot be is a finding. */
function poolsOf({ pools, clusters }: Fleet, asked: readonly ClusterId[]): Released[] {
  const used = clusters
    .filter((c) => asked.includes(c.id))
    .flatMap((c) => c.hosts.flatMap((h) => [...h.pools]));
  return pools
    .filter((p) => used.includes(p.id))
    .map(({ id, type, lockStrategy }) => ({ id, type, lockStrategy }));
}

const poolsText = (pools: readonly Released[]): string =>
  pools.length === 0
    ? ''
    : `A dead host's locks: ${pools.map((p) => `${p.id} (${p.type}) by ${p.lockStrategy}`).join(', ')}`;

/** One VM with all that stands in its way, or might. */
function onlyVm(report: ReadinessReport, id: string): ReadinessReport {
  const vms = report.vms.filter((v) => v.vmId === id);
  return { ...report, vms, findings: vms.flatMap((v) => [...v.because, ...v.risks]) };
}

function reportText(out: Output, report: ReadinessReport): string {
  const { clusterId: id, vms, findings, at } = report;
  const counted = vms.filter((v) => v.verdict === 'comes-back' || v.verdict === 'would-not');
  const back = counted.filter((v) => v.verdict === 'comes-back').length;
  const head = `Cluster ${id}: ${back} of ${counted.length} protected VMs would come back now (checked ${since(at)})`;
  const rows = [...vms]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((v) => [v.name, v.hostId, verdictText(out, v), v.target ?? '', becauseText(v)]);
  const parts = [head];
  if (rows.length > 0) parts.push(table(out, ['VM', 'HOST', 'WOULD COME BACK', 'ON', 'BECAUSE'], rows));
  for (const severity of ['blocks', 'risks'] as const) {
    const some = findings.filter((f) => f.severity === severity);
    if (some.length > 0) parts.push(some.map((f) => findingText(out, f)).join('\n'));
  }
  if (findings.length === 0) parts.push(out.paint.green('Nothing stands in the way.'));
  return parts.join('\n\n');
}

function verdictText({ paint }: Output, { verdict }: VmReadiness): string {
  if (verdict === 'comes-back') return paint.green('yes');
  return verdict === 'would-not' ? paint.red('no') : verdict;
}

/** The table says the kind of reason only; the sentence, and what to do, stand once below it. */
const becauseText = ({ because }: VmReadiness): string =>
  [...new Set(because.map((f) => f.check))].join(', ');

const findingText = ({ paint }: Output, f: Finding): string =>
  `${f.severity === 'blocks' ? paint.red('blocks:') : paint.yellow('risk:')} ${f.sentence} ${paint.dim(`[${f.check}]`)}\n  ${paint.dim('do:')} ${f.next}`;
