import { type Command, Option } from 'commander';
import type { VmedicConfig } from '../../../workers/config';
import { Refusal } from '../../errors';
import { addCommand, addGroup, type Context, type Program, text } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { configPath } from '../session';

export function addDoctorCommands(program: Command, state: Program): void {
  const doctor = addGroup(program, 'doctor', 'looks at your own installation and changes nothing', [
    'vmedic doctor vcenter',
  ]);
  addCommand(doctor, state, {
    usage: 'vcenter',
    summary:
      'trust, version, clock, rights, hosts, datastores and VMs of each vCenter of the config; reads only',
    examples: [
      'vmedic doctor vcenter',
      'vmedic doctor vcenter --config vmedic.yaml --json',
      'vmedic doctor vcenter --move-scratch-vm scratch --to slow --yes',
    ],
    options: [
      new Option(
        '--move-scratch-vm <vm>',
        'move the disks of this VM, which must be off, to another pool and back; without --yes it is only said what would be done',
      ),
      new Option('--to <pool>', 'the other pool'),
      new Option('--yes', 'do move them'),
    ],
    run: vcenter,
  });
}

/** All of it together; a vCenter that answers slowly is waited for by call, not here. */
const patienceMs = 300_000;

async function vcenter(context: Context): Promise<ExitCode> {
  const { flags, io, out } = context;
  const path = await configPath(flags.config, io);
  const { ConfigRefused, loadConfig } = await import('../../../workers/config');
  const { lookAtVcenters } = await import('../../../workers/doctor');
  const loaded = await loadConfig(path, { env: io.env });
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  if (text(context, 'moveScratchVm') !== '') return scratchMove(context, loaded.config, loaded.path);
  out.note('looking; nothing is changed');
  const findings = await lookAtVcenters(loaded.config, loaded.path, AbortSignal.timeout(patienceMs));
  if (findings === undefined)
    throw new Refusal(
      'usage',
      'NO_VCENTER',
      `${loaded.path} names no vCenter`,
      'declare it under vcenters; docs/vsphere-support.md shows how',
    );
  const blocking = findings.filter((f) => f.severity === 'blocks').length;
  const marks = {
    fine: out.paint.green('fine  '),
    note: out.paint.yellow('note  '),
    blocks: out.paint.red('blocks'),
  };
  const lines = findings.map(
    (f) =>
      `${marks[f.severity]}  ${f.vcenter}: ${f.sentence}${f.next === undefined ? '' : `\n        ${out.paint.dim('next:')} ${f.next}`}`,
  );
  const verdict = blocking === 0 ? 'Nothing stands in the way.' : `${blocking} of these stand in the way.`;
  out.result({ ok: blocking === 0, findings }, [...lines, '', verdict].join('\n'));
  return blocking === 0 ? exitCodes.done : exitCodes.refused;
}

/** A relocation takes as long as the disks are large. */
const moveMs = 3_600_000;

async function scratchMove(context: Context, config: VmedicConfig, path: string): Promise<ExitCode> {
  const { flags, out } = context;
  const asked = { vm: text(context, 'moveScratchVm'), to: text(context, 'to'), act: flags['yes'] === true };
  if (asked.to === '')
    throw new Refusal('usage', 'NO_POOL', '--to is missing', 'name the pool that the disks go to: --to POOL');
  const { moveScratchVm } = await import('../../../workers/scratch-move');
  const { ok, sentences } = await moveScratchVm(config, path, asked, AbortSignal.timeout(moveMs));
  const end = !ok
    ? 'It did not come out as it should.'
    : asked.act
      ? 'Moved there and back.'
      : 'Nothing was done: add --yes to do it.';
  out.result({ ok, done: asked.act, sentences }, [...sentences, '', end].join('\n'));
  return ok ? exitCodes.done : exitCodes.refused;
}
