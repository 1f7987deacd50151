import { Option, type Command } from 'commander';
import { guestDegradedAlert, repairSteps } from '../../../domain/guest-repair';
import type { HostRecord, VmRecord } from '../../../domain/records';
import { knownHost, knownVm } from '../../known';
import { runsNow } from '../../troubles';
import { stopVm } from '../../stop-vm';
import { audited } from '../audited';
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
import { askedFor, requestOf } from './host';

export function addVmCommands(program: Command, state: Program): void {
  const vm = addGroup(program, 'vm', 'VMs: where each runs, and starting one again', [
    'vmedic vm list',
    'vmedic vm restart web-1 --wait',
  ]);
  addCommand(vm, state, {
    usage: 'list',
    summary: 'every VM, where it runs and what is wanted of it',
    examples: ['vmedic vm list', 'vmedic vm list --host hv-a --json'],
    options: [new Option('--host <id>', 'only VMs recorded on this host')],
    run: saysIfDisarmed(list),
  });
  addCommand(vm, state, {
    usage: 'show <vm>',
    summary: 'one VM, by name or UUID: state, disks, definition, incidents',
    examples: ['vmedic vm show web-1'],
    run: saysIfDisarmed(show),
  });
  addCommand(vm, state, {
    usage: 'restart <vm>',
    summary: 'start a VM that does not run, on a host where it may; one that runs is left as it is',
    examples: [
      'vmedic vm restart web-1 --wait',
      'vmedic vm restart web-1 --target hv-b --reason "hv-a is being repaired"',
      'vmedic vm restart web-1 --dry-run',
    ],
    options: [...startOptions(state.io, 'optional'), new Option('--target <host>', 'only on this host')],
    run: async (context) => {
      const recoveries = await (await context.session()).recoveries();
      const target = context.flags['target'] === undefined ? undefined : text(context, 'target');
      const vm = argument(context, 0);
      return conclude(
        context,
        await askedFor(context, 'restartVm', vm, () => recoveries.restartVm(vm, requestOf(context), target)),
      );
    },
  });
  addCommand(vm, state, {
    usage: 'start <vm>',
    summary: 'the same as restart: start a VM that does not run; from then on it is to run',
    examples: ['vmedic vm start web-1 --reason "the work is done" --wait'],
    options: startOptions(state.io, 'optional'),
    run: async (context) => {
      const recoveries = await (await context.session()).recoveries();
      const vm = argument(context, 0);
      return conclude(
        context,
        await askedFor(context, 'restartVm', vm, () => recoveries.restartVm(vm, requestOf(context))),
      );
    },
  });
  addCommand(vm, state, {
    usage: 'stop <vm>',
    summary: "ask a VM's guest to shut down; it stays down, and is nobody's failure, until it is started",
    examples: ['vmedic vm stop web-1 --reason "its disk is being replaced"'],
    options: askingOptions(state.io, 'required'),
    run: stop,
  });
  for (const [name, to, summary] of [
    ['protect', true, 'bring this VM back when it or its host fails'],
    ['unprotect', false, "leave this VM alone: planned work on it is nobody's failure"],
  ] as const)
    addCommand(vm, state, {
      usage: `${name} <vm>`,
      summary,
      examples: [`vmedic vm ${name} web-1 --reason "..."`],
      options: askingOptions(state.io, 'required'),
      run: (context) => protect(context, to),
    });
  addCommand(vm, state, {
    usage: 'repair <vm>',
    summary:
      'mend the file systems of a guest that does not get well: stopped, its disks kept, back if it did not help',
    examples: [
      'vmedic vm repair web-1 --dry-run --reason "what would be done"',
      'vmedic vm repair web-1 --reason "its console shows emergency mode" --wait',
    ],
    options: startOptions(state.io, 'required'),
    run: async (context) => {
      const recoveries = await (await context.session()).recoveries();
      const vm = argument(context, 0);
      const ask = () => recoveries.repairGuest(vm, requestOf(context));
      return conclude(context, await askedFor(context, 'repairGuest', vm, ask));
    },
  });
  addCommand(vm, state, {
    usage: 'migrate-volume <vm>',
    summary: 'move disks of a VM to another pool: verified, or taken back; the VM may run meanwhile',
    examples: [
      'vmedic vm migrate-volume web-1 --disk vda --to fast --wait',
      'vmedic vm migrate-volume web-1 --disk vda --disk vdb --to fast --wait',
      'vmedic vm migrate-volume web-1 --disk vda --to fast --dry-run',
      'vmedic incident abort INCIDENT --reason "the pool is needed"',
    ],
    options: [
      ...startOptions(state.io, 'optional'),
      new Option('--disk <disk>', 'which disk: its device name or UUID, as in vm show; may be repeated')
        .argParser((disk: string, before: readonly string[] | undefined) => [...(before ?? []), disk])
        .makeOptionMandatory(),
      new Option('--to <pool>', 'the pool of the config that it goes to').makeOptionMandatory(),
    ],
    run: migrate,
  });
}

async function stop(context: Context): Promise<ExitCode> {
  const session = await context.session();
  const { client, settings } = await session.temporal();
  const door = { client, inventory: session.inventory, address: settings.address };
  const vm = argument(context, 0);
  const done = await audited(
    context,
    { action: 'stopVm', target: vm },
    async () => {
      const stopping = await stopVm(door, vm, requestOf(context));
      return { name: stopping.name, workflowId: stopping.workflowId, ...(await stopping.result()) };
    },
    ({ kind }) => kind,
  );
  const { paint } = context.out;
  const stopped = done.kind === 'stopped';
  const next = stopped ? `vmedic vm start ${done.name} --reason "..."` : `vmedic vm show ${done.name}`;
  context.out.result(done, `${done.name}: ${done.sentence}\n  ${paint.dim('next:')} ${next}`);
  return stopped ? exitCodes.done : exitCodes.partly;
}

async function protect(context: Context, to: boolean): Promise<ExitCode> {
  const session = await context.session();
  const vm = await knownVm(session.inventory, argument(context, 0));
  await session.administration.setProtected(vm, to, byHand(context));
  const words = to
    ? `${vm.name} is protected: it is brought back when it or its host fails.`
    : `${vm.name} is not protected: it is neither recovered nor missed.\n  ${context.out.paint.dim('next:')} vmedic vm protect ${vm.name} --reason "..."`;
  context.out.result({ vmId: vm.vmId, name: vm.name, protected: to }, words);
  return exitCodes.done;
}

/** Its timeline and its percentage are the progress. */
async function migrate(context: Context): Promise<ExitCode> {
  const recoveries = await (await context.session()).recoveries();
  const [vm, to] = [argument(context, 0), text(context, 'to')];
  const disks = context.flags['disk'] as readonly string[];
  const ask = () => recoveries.migrateVolume(vm, disks, to, requestOf(context));
  return conclude(
    context,
    await askedFor(context, 'migrateVolume', `${vm}: ${disks.join(', ')} to ${to}`, ask),
  );
}

async function list(context: Context): Promise<ExitCode> {
  const { fleet, inventory } = await context.session();
  const filter =
    context.flags['host'] === undefined ? {} : { hostId: knownHost(fleet, text(context, 'host')).id };
  const hosts = await inventory.hosts();
  const vms = [...(await inventory.vms(filter))].sort((a, b) =>
    a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
  const rows = vms.map((v) => [
    v.name,
    v.hostId,
    shownState(v, hosts),
    v.desired,
    v.protected ? String(v.priority) : 'unprotected',
    `${v.shape.memoryMiB} MiB`,
    v.vmId,
  ]);
  context.out.result(
    { vms },
    table(context.out, ['VM', 'HOST', 'STATE', 'WANTED', 'PRIORITY', 'MEMORY', 'UUID'], rows),
  );
  return exitCodes.done;
}

/** What was seen last, unless its host has been proven off since. */
const shownState = (vm: VmRecord, hosts: readonly HostRecord[]): string =>
  vm.observed.state === 'running' && !runsNow(vm, hosts) ? 'down with its host' : vm.observed.state;

async function show(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const vm = await knownVm(inventory, argument(context, 0));
  const [hosts, definition, sightings, own, ofHost, alerts] = await Promise.all([
    inventory.hosts(),
    inventory.definition(vm.vmId),
    inventory.sightings([vm.vmId]),
    inventory.incidents({ vmId: vm.vmId, limit: 5 }),
    inventory.incidents({ hostId: vm.hostId, limit: 5 }),
    inventory.alerts({ open: true }),
  ]);
  const isUnwell = alerts.some((a) => a.key === guestDegradedAlert(vm.vmId));
  const repair = isUnwell ? repairSteps(vm, vm.hostId) : [];
  const incidents = [...own, ...ofHost].sort((a, b) => (a.openedAt < b.openedAt ? 1 : -1));
  const { out } = context;
  const disks = vm.shape.disks.map(
    (d) =>
      `${d.device} ${d.path} (${d.format}${d.poolId === undefined ? ', in no declared pool' : `, pool ${d.poolId}`})`,
  );
  const parts = [
    facts(out, [
      ['vm', `${vm.name} (${vm.vmId})`],
      ['host', vm.hostId],
      ['state', `${shownState(vm, hosts)} (${vm.observed.reason}), seen ${since(vm.observed.at)}`],
      ['wanted', vm.desired],
      ['protected', vm.protected ? `yes, priority ${vm.priority}` : 'no'],
      ['size', `${vm.shape.memoryMiB} MiB, ${vm.shape.vcpus} vCPU`],
      ['disks', disks.join(', ') || 'none'],
      [
        'definition',
        definition === undefined
          ? 'not stored: it could not be made anywhere else'
          : `version ${definition.version}, read from ${definition.readFrom} ${since(definition.readAt)}`,
      ],
      ['defined on', sightings.map((s) => s.hostId).join(', ') || 'nowhere that was seen'],
    ]),
    ...(incidents.length === 0
      ? []
      : [
          table(
            out,
            ['INCIDENT OF IT OR ITS HOST', 'STANDING', 'SUMMARY'],
            incidents.map((i) => [i.incidentId, incidentStanding(i), i.summary]),
          ),
        ]),
    ...(repair.length === 0 ? [] : [repairText(repair)]),
  ];
  out.result({ vm, definition, sightings, incidents, repair }, parts.join('\n\n'));
  return exitCodes.done;
}

const repairText = (steps: readonly string[]): string =>
  [
    'Its guest did not show that it is well. First its console, and patience (runbook "guest-degraded"); then, if a file system is damaged,',
    'vmedic vm repair does this by itself, where its disks are files or logical volumes; or, step by step:',
    ...steps.map((step, i) => `  ${i + 1}. ${step}`),
  ].join('\n');
