import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { addAlertCommands } from './commands/alert';
import { addArmCommands } from './commands/arm';
import { addConfigCommands } from './commands/config';
import { addDemoCommand } from './commands/demo';
import { addDoctorCommands } from './commands/doctor';
import { addHostCommands } from './commands/host';
import { addIncidentCommands } from './commands/incident';
import { addLabCommands } from './commands/lab';
import { addReadinessCommand } from './commands/readiness';
import { addServerCommands } from './commands/server';
import { addStatusCommand } from './commands/status';
import { addTokenCommands } from './commands/token';
import { addUpCommands } from './commands/up';
import { addVmCommands } from './commands/vm';
import { addVolumeCommands } from './commands/volume';
import type { Program } from './command';
import { exitCodeHelp, exitCodes, type ExitCode } from './exit-codes';
import { type Io, Output, processIo } from './io';
import { reportError } from './report-error';
import { openSession, type OpenSession } from './session';

/**
 * The command line. Returns the exit code and never ends the process: output may still be on its way.
 *
 * @param argv the arguments, without node and the script.
 */
export async function main(
  argv: readonly string[],
  io: Io = processIo(),
  open: OpenSession = openSession,
): Promise<ExitCode> {
  const state: Program = { io, openSession: open, exit: exitCodes.done };
  const program = buildProgram(state);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError))
      return reportError(error, new Output(io, argv.includes('--json')), io.env);
    return endOfParsing(error, argv, io);
  }
  return state.exit;
}

/** `--help` and `--version` end the parsing too; commander has printed whatever there was to print. */
function endOfParsing(error: CommanderError, argv: readonly string[], io: Io): ExitCode {
  if (error.exitCode === 0) return exitCodes.done;
  const out = new Output(io, argv.includes('--json'));
  const sentence = error.message
    .replace(/^error: /, '')
    .replace('(outputHelp)', 'name a command: vmedic --help lists them');
  if (out.json) out.result({ error: { code: 'USAGE', sentence } }, '');
  return exitCodes.usage;
}

export function buildProgram(state: Program): Command {
  const program = new Command('vmedic')
    .description('Brings virtual machines back after a failure, exactly once, and proves every step.')
    .version(version(), '--version')
    .helpCommand('help [command]', 'what --help of that command says')
    .showHelpAfterError('(--help shows the usage)')
    .exitOverride()
    .configureOutput({ writeOut: state.io.stdout, writeErr: state.io.stderr })
    .addHelpText(
      'after',
      `\nExamples:\n  $ vmedic demo\n  $ vmedic status\n  $ vmedic host recover hv-a --wait\n\n${exitCodeHelp}`,
    );
  addStatusCommand(program, state);
  addHostCommands(program, state);
  addVmCommands(program, state);
  addVolumeCommands(program, state);
  addIncidentCommands(program, state);
  addAlertCommands(program, state);
  addReadinessCommand(program, state);
  addArmCommands(program, state);
  addUpCommands(program, state);
  addServerCommands(program, state);
  addTokenCommands(program, state);
  addLabCommands(program, state);
  addDemoCommand(program, state);
  addConfigCommands(program, state);
  addDoctorCommands(program, state);
  return program;
}

function version(): string {
  // Beside the sources it is two folders up, beside the build three.
  for (const up of ['../..', '../../..']) {
    try {
      const manifest = JSON.parse(readFileSync(join(__dirname, up, 'package.json'), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (manifest.name === 'vmedic' && manifest.version !== undefined) return manifest.version;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    }
  }
  return 'unknown';
}
