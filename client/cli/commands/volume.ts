import { Option, type Command } from 'commander';
import { addCommand, addGroup, type Context, type Program, startOptions, text } from '../command';
import type { ExitCode } from '../exit-codes';
import { conclude } from '../wait';
import { askedFor, requestOf } from './host';

export function addVolumeCommands(program: Command, state: Program): void {
  const volume = addGroup(program, 'volume', 'disks that belong to no VM', [
    'vmedic volume move --disk /srv/pool/old-web.qcow2 --to archive --wait',
  ]);
  addCommand(volume, state, {
    usage: 'move',
    summary:
      'move a disk that belongs to no VM to another pool: verified, or left where it is; refused while any VM names it',
    examples: [
      'vmedic volume move --disk /srv/pool/old-web.qcow2 --to archive --wait',
      'vmedic volume move --disk /dev/vg0/old-db --to archive --dry-run',
      'vmedic vm migrate-volume web-1 --disk vda --to archive --wait',
    ],
    options: [
      ...startOptions(state.io, 'optional'),
      new Option(
        '--disk <path>',
        'the whole path of a file or logical volume in a pool of the config',
      ).makeOptionMandatory(),
      new Option('--to <pool>', 'the pool of the config that it goes to').makeOptionMandatory(),
      new Option('--host <id>', 'through this host (default: the first in service that both pools are on)'),
    ],
    run: move,
  });
}

async function move(context: Context): Promise<ExitCode> {
  const recoveries = await (await context.session()).recoveries();
  const [disk, to] = [text(context, 'disk'), text(context, 'to')];
  const host = context.flags['host'] === undefined ? undefined : text(context, 'host');
  const ask = () => recoveries.moveFile(disk, to, requestOf(context), host);
  return conclude(context, await askedFor(context, 'moveVolume', `${disk} to ${to}`, ask));
}
