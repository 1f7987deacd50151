import type { Command } from 'commander';
import { Refusal } from '../../errors';
import { addCommand, addGroup, type Context, type Program } from '../command';
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
    examples: ['vmedic doctor vcenter', 'vmedic doctor vcenter --config vmedic.yaml --json'],
    run: vcenter,
  });
}

/** All of it together; a vCenter that answers slowly is waited for by call, not here. */
const patienceMs = 300_000;

async function vcenter({ flags, io, out }: Context): Promise<ExitCode> {
  const path = await configPath(flags.config, io);
  const { ConfigRefused, loadConfig } = await import('../../../workers/config');
  const { lookAtVcenters } = await import('../../../workers/doctor');
  const loaded = await loadConfig(path, { env: io.env });
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
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
