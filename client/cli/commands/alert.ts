import { Option, type Command } from 'commander';
import { acknowledgeAlert } from '../../acknowledge';
import { audited } from '../audited';
import { addCommand, addGroup, argument, askingOptions, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { saysIfDisarmed } from '../disarmed';
import { since, table } from '../show';

export function addAlertCommands(program: Command, state: Program): void {
  const alert = addGroup(program, 'alert', 'alerts: what somebody is told of, and that you have seen it', [
    'vmedic alert list',
    'vmedic alert acknowledge blind:lab --reason "the switch of rack 4 is being replaced"',
  ]);
  addCommand(alert, state, {
    usage: 'list',
    summary: 'alerts that are open, newest first, each with its key',
    examples: ['vmedic alert list', 'vmedic alert list --all --json'],
    options: [new Option('--all', 'those that are over, too')],
    run: saysIfDisarmed(list),
  });
  addCommand(alert, state, {
    usage: 'acknowledge <key>',
    summary: 'say that you have seen it: nobody is paged again about this alert, of an incident or of none',
    examples: ['vmedic alert acknowledge observed:hv-a --reason "on my way to the rack"'],
    options: askingOptions(state.io, 'required'),
    run: acknowledge,
  });
}

async function list(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const alerts = await inventory.alerts(context.flags['all'] === true ? {} : { open: true });
  const rows = alerts.map((a) => [
    a.key,
    a.severity,
    since(a.raisedAt),
    a.clearedAt !== undefined ? 'over' : a.acknowledgedBy === undefined ? '' : `seen by ${a.acknowledgedBy}`,
    a.sentence,
  ]);
  const head = ['ALERT', 'SEVERITY', 'RAISED', 'STANDING', 'WHAT'];
  context.out.result({ alerts }, rows.length === 0 ? 'No alert is open.' : table(context.out, head, rows));
  return exitCodes.done;
}

async function acknowledge(context: Context): Promise<ExitCode> {
  const { inventory } = await context.session();
  const key = argument(context, 0);
  const by = text(context, 'by');
  const count = await audited(context, { action: 'acknowledge', target: key }, () =>
    acknowledgeAlert(inventory, key, by),
  );
  context.out.result(
    { key, acknowledged: count },
    count === 0 ? 'It was acknowledged already.' : 'Acknowledged: nobody is paged again about it.',
  );
  return exitCodes.done;
}
