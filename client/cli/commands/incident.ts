import { InvalidArgumentError, Option, type Command } from 'commander';
import { targetId } from '../../../domain/ids';
import type { IncidentRecord } from '../../../domain/records';
import { knownHost, knownIncident, knownVm } from '../../known';
import { giveOrder, type Order } from '../../orders';
import { audited } from '../audited';
import { addCommand, addGroup, argument, askingOptions, type Context, type Program, text } from '../command';
import { saysIfDisarmed } from '../disarmed';
import { exitCodes, type ExitCode } from '../exit-codes';
import { facts, incidentStanding, since, table, timelineLine } from '../show';
import { codeOf, followLive, linkTo } from '../wait';
import { addReportCommands } from './report';

export function addIncidentCommands(program: Command, state: Program): void {
  const incident = addGroup(
    program,
    'incident',
    'incidents: what happened, what is asked of you, and your answer',
    [
      'vmedic incident list --open',
      'vmedic incident show host-hv-a-1',
      'vmedic incident attest-fenced host-hv-a-1 --reason "pulled both power cords"',
    ],
  );
  addCommand(incident, state, {
    usage: 'list',
    summary: 'incidents, newest first',
    examples: ['vmedic incident list', 'vmedic incident list --open --json'],
    options: [
      new Option('--open', 'only those that are not over'),
      new Option('--host <id>', 'only this host'),
      new Option('--limit <n>', 'at most so many').default(20).argParser(wholeNumber),
    ],
    run: saysIfDisarmed(list),
  });
  addCommand(incident, state, {
    usage: 'show <incident>',
    summary: 'the timeline: what was seen, decided and done, with the evidence',
    examples: ['vmedic incident show host-hv-a-1', 'vmedic incident show host-hv-a-1 --json'],
    run: saysIfDisarmed(show),
  });
  addCommand(incident, state, {
    usage: 'watch <incident>',
    summary: 'the timeline as it grows, to its end',
    examples: ['vmedic incident watch host-hv-a-1'],
    run: saysIfDisarmed(watch),
  });
  addOrder(
    incident,
    state,
    'attest-fenced',
    'say that you have seen to it that the host is off: it counts as evidence',
    {
      reason: 'pulled both power cords of hv-a',
      order: { update: 'attestFenced' },
    },
  );
  addOrder(incident, state, 'approve', 'let an incident that is held go on to fencing', {
    reason: 'it is the rack, and only the rack',
    order: { update: 'approveFencing' },
  });
  addOrder(incident, state, 'hold', 'stop before the next act', {
    reason: 'wait until storage is looked at',
    order: { update: 'hold' },
  });
  addOrder(
    incident,
    state,
    'resume',
    'go on after a hold; fence devices that refused the login are asked again',
    {
      reason: 'the BMC password is right now',
      order: { update: 'resume' },
    },
  );
  addOrder(incident, state, 'abort', 'give it up while nothing has been done that cannot be taken back', {
    reason: 'false alarm',
    order: { update: 'abort' },
  });
  addResolve(incident, state);
  addReportCommands(incident, state);
}

function addOrder(
  parent: Command,
  state: Program,
  name: string,
  summary: string,
  of: { readonly reason: string; readonly order: Order },
): void {
  addCommand(parent, state, {
    usage: `${name} <incident>`,
    summary,
    examples: [`vmedic incident ${name} host-hv-a-1 --reason "${of.reason}"`],
    options: askingOptions(state.io, 'required'),
    run: (context) => obey(context, of.order),
  });
}

function addResolve(parent: Command, state: Program): void {
  addCommand(parent, state, {
    usage: 'resolve <incident>',
    summary: 'decide about a stuck VM: read everything anew, or give up on it',
    examples: [
      'vmedic incident resolve host-hv-a-1 --retry --reason "the lock holder is gone"',
      'vmedic incident resolve host-hv-a-1 --vm web-1 --give-up --reason "started by hand on hv-c"',
    ],
    options: [
      new Option('--retry', 'read everything anew and go on from what is found').conflicts('giveUp'),
      new Option('--give-up', 'end as stuck, touching nothing'),
      new Option('--vm <vm>', 'which VM, when several are stuck'),
      ...askingOptions(state.io, 'required'),
    ],
    run: async (context) => {
      const giveUp = context.flags['giveUp'] === true;
      if (giveUp === (context.flags['retry'] === true))
        throw new InvalidArgumentError('say --retry or --give-up');
      const { inventory } = await context.session();
      const vm =
        context.flags['vm'] === undefined ? undefined : (await knownVm(inventory, text(context, 'vm'))).vmId;
      return obey(context, { update: 'resolveStuck', resolution: giveUp ? 'give-up' : 'retry', vm });
    },
  });
}

function wholeNumber(value: string): number {
  if (!/^[1-9]\d*$/.test(value)) throw new InvalidArgumentError('a whole number above 0');
  return Number(value);
}

async function obey(context: Context, order: Order): Promise<ExitCode> {
  const session = await context.session();
  const incident = argument(context, 0);
  const said = { by: text(context, 'by'), reason: text(context, 'reason') };
  // An unknown incident is found out before anything is connected.
  await knownIncident(session.inventory, incident);
  const { client, settings } = await session.temporal();
  const to = { client, inventory: session.inventory, address: settings.address };
  const answer = await audited(context, { action: order.update, target: incident }, () =>
    giveOrder(to, incident, order, said),
  );
  context.out.result(
    { incidentId: incident, order: order.update, answer },
    `Incident ${incident}: ${answer}\n  follow it:  vmedic incident watch ${incident}`,
  );
  return exitCodes.done;
}

async function list(context: Context): Promise<ExitCode> {
  const { fleet, inventory } = await context.session();
  const host = context.flags['host'] === undefined ? undefined : knownHost(fleet, text(context, 'host')).id;
  const incidents = await inventory.incidents({
    limit: Number(context.flags['limit']),
    ...(context.flags['open'] === true && { open: true }),
    ...(host !== undefined && { hostId: host }),
  });
  const vms = incidents.some((i) => i.target.kind === 'vm') ? await inventory.vms() : [];
  const about = ({ target }: IncidentRecord): string => {
    if (target.kind !== 'vm') return `${target.kind} ${targetId(target)}`;
    return `VM ${vms.find((vm) => vm.vmId === target.vmId)?.name ?? target.vmId}`;
  };
  const rows = incidents.map((i) => [
    ...[i.incidentId, about(i), incidentStanding(i), i.summary],
    i.nextCommand ?? '',
  ]);
  const none = context.flags['open'] === true ? 'No incident is open.' : 'There was no incident yet.';
  context.out.result(
    { incidents },
    rows.length === 0 ? none : table(context.out, ['INCIDENT', 'ABOUT', 'STANDING', 'SUMMARY', 'NEXT'], rows),
  );
  return exitCodes.done;
}

async function show(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const incident = await knownIncident(inventory, argument(context, 0));
  const timeline = await inventory.timeline(incident.incidentId);
  const begunAt = timeline[0]?.at ?? incident.openedAt;
  const { out } = context;
  const head = facts(out, [
    ['incident', incident.incidentId],
    ['standing', incidentStanding(incident)],
    ['summary', incident.summary],
    ['opened', `${incident.openedAt} (${since(incident.openedAt)})`],
    ['triggers', incident.triggers.map((t) => `${t.by} (${t.source}): ${t.reason}`).join('; ') || 'none'],
    ['run', incident.workflowId],
    ['next', incident.nextCommand ?? 'nothing is asked of you'],
  ]);
  const lines = timeline.map((entry) => timelineLine(out, entry, begunAt));
  out.result({ incident, timeline }, [head, '', ...lines].join('\n'));
  return exitCodes.done;
}

async function watch(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const incident = await knownIncident(session.inventory, argument(context, 0));
  if (incident.closedAt !== undefined) return show(context);
  const run = {
    incidentId: incident.incidentId,
    workflowId: incident.workflowId,
    runId: undefined,
    type: '',
  };
  const link = await linkTo(session, run);
  if (link !== undefined) context.out.note(`in Temporal: ${link}`);
  const ending = await followLive(context, session, run, true);
  const after: IncidentRecord = await knownIncident(session.inventory, incident.incidentId);
  const timeline = await session.inventory.timeline(incident.incidentId);
  context.out.result({ incident: after, timeline, ending }, `${incidentStanding(after)}: ${after.summary}`);
  return codeOf(ending);
}
