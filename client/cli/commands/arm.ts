import { Option, type Command } from 'commander';
import { armCommand } from '../../../domain/armed';
import { clusterId } from '../../../domain/ids';
import { addCommand, askingOptions, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { byHand } from '../by-hand';

export function addArmCommands(program: Command, state: Program): void {
  addCommand(program, state, {
    usage: 'disarm',
    summary:
      'stop every new act at once, of the whole fleet or of one cluster; running recoveries pause before their next one',
    examples: [
      'vmedic disarm --reason "the storage network is being rebuilt"',
      'vmedic disarm --cluster lab --reason "rack 4 is being moved"',
    ],
    options: [...askingOptions(state.io, 'required'), clusterOption()],
    run: (context) => throwSwitch(context, false),
  });
  addCommand(program, state, {
    usage: 'arm',
    summary: 'let VMedic act again, where it was disarmed or has not seen every host yet',
    examples: [
      'vmedic arm --reason "the storage network is back"',
      'vmedic arm --cluster lab --reason "done"',
    ],
    options: [...askingOptions(state.io, 'required'), clusterOption()],
    run: (context) => throwSwitch(context, true),
  });
}

const clusterOption = (): Option =>
  new Option('--cluster <id>', 'only this cluster (default: the whole fleet)');

async function throwSwitch(context: Context, armed: boolean): Promise<ExitCode> {
  const session = await context.session();
  const scope = context.flags['cluster'] === undefined ? 'fleet' : clusterId(text(context, 'cluster'));
  const to = await session.administration.setArmed(scope, armed, byHand(context));
  const what = scope === 'fleet' ? 'The whole fleet' : `Cluster ${scope}`;
  context.out.result(
    to,
    armed
      ? `${what} is armed.`
      : `${what} is disarmed: nothing new is done, and recoveries under way wait before their next act.\n  ${context.out.paint.dim('next:')} ${armCommand(to)}`,
  );
  return exitCodes.done;
}
