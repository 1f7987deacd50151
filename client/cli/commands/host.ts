import { Option, type Command } from 'commander';
import type { HostId } from '../../../domain/ids';
import type { Host } from '../../../domain/fleet';
import type { HostRecord, IncidentRecord, VmRecord } from '../../../domain/records';
import type { Request, StartAnswer } from '../../answers';
import { audited } from '../audited';
import { knownCluster, knownHost } from '../../known';
import { releaseLocksOf } from '../../release-locks';
import { whyUnasked } from '../../../domain/unasked';
import { runsNow } from '../../troubles';
import { byHand } from '../by-hand';
import {
  addCommand,
  addGroup,
  argument,
  askingOptions,
  type Context,
  type Program,
  startOptions,
  text,
} from '../command';
import { saysIfDisarmed } from '../disarmed';
import { exitCodes, type ExitCode } from '../exit-codes';
import { facts, incidentStanding, since, table } from '../show';
import { conclude } from '../wait';

export function addHostCommands(program: Command, state: Program): void {
  const host = addGroup(program, 'host', 'hosts: how they stand, and what to do about one', [
    'vmedic host list',
    'vmedic host recover hv-a --reason "rack 4 has no power" --wait',
  ]);
  addCommand(host, state, {
    usage: 'list',
    summary: 'every host, how it stands and what runs there',
    examples: ['vmedic host list', 'vmedic host list --cluster lab --json'],
    options: [new Option('--cluster <id>', 'only this cluster')],
    run: saysIfDisarmed(list),
  });
  addCommand(host, state, {
    usage: 'show <host>',
    summary: 'one host: standing, fence levels, evidence, VMs, incidents',
    examples: ['vmedic host show hv-a'],
    run: saysIfDisarmed(show),
  });
  addCommand(host, state, {
    usage: 'recover <host>',
    summary: 'fence a failed host, prove it, and start its VMs elsewhere, each exactly once',
    examples: [
      'vmedic host recover hv-a --wait',
      'vmedic host recover hv-a --dry-run',
      'vmedic host recover hv-a --reason "rack 4 has no power" --json',
    ],
    options: startOptions(state.io, 'optional'),
    run: starts('recoverHost'),
  });
  addCommand(host, state, {
    usage: 'fence <host>',
    summary: 'switch a host off and prove it, whether it lives or not; its VMs stay where they are',
    examples: [
      'vmedic host fence hv-a --reason "smoke in rack 4" --wait',
      'vmedic host fence hv-a --reason "is the BMC right?" --dry-run',
    ],
    options: startOptions(state.io, 'required'),
    run: starts('fenceHost'),
  });
  addCommand(host, state, {
    usage: 'release-locks <host>',
    summary:
      'free what a host that is proven off still holds on storage: its locks, and those of nobody else',
    examples: [
      'vmedic host release-locks hv-a --reason "the NFS server is back"',
      'vmedic host release-locks hv-a --reason "what would it do?" --dry-run',
    ],
    options: startOptions(state.io, 'required'),
    run: releaseLocks,
  });
  addCommand(host, state, {
    usage: 'readmit <host>',
    summary:
      'let a host that came back after it was fenced take VMs again: stale definitions away, autostart off, then in service',
    examples: [
      'vmedic host readmit hv-a --reason "its power supply was replaced" --wait',
      'vmedic host readmit hv-a --dry-run --reason "what is left on it?"',
    ],
    options: startOptions(state.io, 'required'),
    run: starts('readmitHost'),
  });
  addCommand(host, state, {
    usage: 'maintenance <host>',
    summary: 'planned work: the host takes no VMs and is not missed; --end puts it into service again',
    examples: [
      'vmedic host maintenance hv-a --reason "new memory"',
      'vmedic host maintenance hv-a --end --reason "done"',
    ],
    options: [...askingOptions(state.io, 'required'), new Option('--end', 'the work is done')],
    run: maintenance,
  });
}

/** Asks for work on the host that is named, leaves a trace of the asking, and concludes by what was answered. */
const starts =
  (work: 'recoverHost' | 'fenceHost' | 'readmitHost') =>
  async (context: Context): Promise<ExitCode> => {
    const recoveries = await (await context.session()).recoveries();
    const target = argument(context, 0);
    const ask = () => recoveries[work](target, requestOf(context));
    return conclude(context, await askedFor(context, work, target, ask));
  };

async function maintenance(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const { id } = knownHost(session.fleet, argument(context, 0));
  const begin = context.flags['end'] !== true;
  const standing = await session.administration.setMaintenance(id, begin, byHand(context));
  const words = begin
    ? `${id} is in maintenance: it takes no VMs, and neither it nor its VMs are missed.\n  ${context.out.paint.dim('next:')} vmedic host maintenance ${id} --end --reason "..."`
    : `${id} is in service again.`;
  context.out.result({ host: id, standing }, words);
  return exitCodes.done;
}

/** A start, with its row in the audit trail. */
export const askedFor = (
  context: Context,
  action: string,
  target: string,
  start: () => Promise<StartAnswer>,
): Promise<StartAnswer> => audited(context, { action, target }, start, (answer) => answer.answer);

async function releaseLocks(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const { inventory, fleet } = session;
  const { client, settings } = await session.temporal();
  const door = { client, inventory, fleet, address: settings.address };
  const host = argument(context, 0);
  const answer = await audited(
    context,
    { action: 'releaseLocks', target: host },
    () => releaseLocksOf(door, host, requestOf(context)),
    (given) => given.answer,
  );
  const { out } = context;
  if (answer.answer === 'incident-resumed') {
    const follow = `vmedic incident watch ${answer.incidentId}`;
    out.result(
      answer,
      `Incident ${answer.incidentId} is told to list the locks anew: ${answer.sentence}\n  follow it:  ${follow}`,
    );
    return exitCodes.done;
  }
  // Without an end to its patience it hears what became of it.
  if (answer.answer === 'under-way') return exitCodes.waits;
  const { result } = answer;
  if (result.kind === 'free') {
    out.result(
      answer,
      result.sentences.join('\n') ||
        'Nothing to release: no VM is on it by the record, or none of them lies on a pool that keeps locks.',
    );
    return exitCodes.done;
  }
  const lines = result.faults.map((f) => `${f.sentence}\n  ${out.paint.dim('next:')} ${f.next}`);
  out.result(answer, [out.paint.red('Not released:'), ...lines].join('\n'));
  return exitCodes.waits;
}

export const requestOf = (context: Context): Request => ({
  source: 'operator',
  by: text(context, 'by'),
  reason: text(context, 'reason'),
  rehearse: context.flags['dryRun'] === true,
});

const runningOn = (vms: readonly VmRecord[], host: HostId, hosts: readonly HostRecord[]): VmRecord[] =>
  vms.filter((v) => v.hostId === host && runsNow(v, hosts));

async function list(context: Context): Promise<ExitCode> {
  const { fleet, inventory } = await context.session();
  const filter =
    context.flags['cluster'] === undefined
      ? {}
      : { clusterId: knownCluster(fleet, text(context, 'cluster')) };
  const [records, vms, open] = await Promise.all([
    inventory.hosts(filter),
    inventory.vms(filter),
    inventory.incidents({ ...filter, open: true }),
  ]);
  const hosts = fleet.clusters
    .filter((c) => filter.clusterId === undefined || c.id === filter.clusterId)
    .flatMap((c) => c.hosts)
    .map((declared) => hostLine(declared, records, vms, open));
  const rows = hosts.map((h) => [
    h.id,
    h.clusterId,
    h.standing,
    since(h.lastSeenAt),
    String(h.vmsRunning),
    h.fenceLevels.length === 0 ? 'none: unprotected' : h.fenceLevels.join(', '),
    h.incident ?? '',
  ]);
  const head = ['HOST', 'CLUSTER', 'STANDING', 'SEEN', 'VMS', 'FENCE LEVELS', 'INCIDENT'];
  context.out.result({ hosts }, table(context.out, head, rows));
  return exitCodes.done;
}

function hostLine(
  declared: Host,
  records: readonly HostRecord[],
  vms: readonly VmRecord[],
  open: readonly IncidentRecord[],
) {
  const record = records.find((r) => r.hostId === declared.id);
  return {
    id: declared.id,
    clusterId: declared.clusterId,
    standing: record?.standing ?? 'not seen yet',
    lastSeenAt: record?.lastSeenAt,
    vmsRunning: runningOn(vms, declared.id, records).length,
    capacity: declared.capacity,
    fenceLevels: declared.fenceLevels.map((l) => l.name),
    incident: open.find((i) => i.target.kind === 'host' && i.target.hostId === declared.id)?.incidentId,
  };
}

async function show(context: Context): Promise<ExitCode> {
  const { fleet, inventory } = await context.session();
  const { id, declared } = knownHost(fleet, argument(context, 0));
  const [record, vms, incidents, evidence, alerts] = await Promise.all([
    inventory.host(id),
    inventory.vms({ hostId: id }),
    inventory.incidents({ hostId: id, limit: 5 }),
    inventory.evidenceFor(id),
    inventory.alerts({ open: true }),
  ]);
  const unasked = whyUnasked(alerts, declared);
  const { out } = context;
  const levels = declared.fenceLevels.map(
    (l) => `${l.name} (${l.devices.map((d) => `${d.id}: ${d.agent}`).join(', ')})`,
  );
  const parts = [
    facts(out, [
      ['host', id],
      ['cluster', declared.clusterId],
      ['standing', record?.standing ?? 'not seen yet'],
      ['last seen', since(record?.lastSeenAt)],
      ...(unasked === undefined
        ? []
        : ([['not asked', `${unasked.sentence}\nnext: ${unasked.nextCommand ?? ''}`]] as const)),
      ['boot id', record?.bootId ?? 'not known'],
      ['capacity', `${declared.capacity.memoryMiB} MiB, ${declared.capacity.vcpus} vCPU`],
      ['fence levels', levels.join(', ') || 'none: its VMs are unprotected'],
      [
        'off by evidence',
        evidence === undefined ? 'no' : `${evidence.method}, ${since(evidence.observedAt)} (${evidence.id})`,
      ],
    ]),
    table(
      out,
      ['VM', 'STATE', 'WANTED', 'PROTECTED'],
      vms.map((v) => [v.name, v.observed.state, v.desired, v.protected ? 'yes' : 'no']),
    ),
    table(
      out,
      ['INCIDENT', 'STANDING', 'SUMMARY'],
      incidents.map((i) => [i.incidentId, incidentStanding(i), i.summary]),
    ),
  ];
  out.result(
    { host: { ...declared, ...record, unasked: unasked?.sentence }, evidence, vms, incidents },
    parts.join('\n\n'),
  );
  return exitCodes.done;
}
