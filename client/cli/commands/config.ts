import { Option, type Command } from 'commander';
import type { Context, Program } from '../command';
import { addCommand, addGroup, argument } from '../command';
import { exitCodes, type ExitCode } from '../exit-codes';
import { configPath } from '../session';

export function addConfigCommands(program: Command, state: Program): void {
  const config = addGroup(program, 'config', 'the config: check one, or print what may be in it', [
    'vmedic config check vmedic.yaml',
    'vmedic config schema > vmedic.schema.json',
  ]);
  addCommand(config, state, {
    usage: 'check [file]',
    summary: 'every mistake at once, each with its line and the way out; nothing is changed',
    examples: ['vmedic config check vmedic.yaml', 'vmedic config check vmedic.yaml --file-only --json'],
    options: [
      new Option(
        '--file-only',
        'do not look whether secrets resolve and fence agents know their options on this machine',
      ),
    ],
    run: check,
  });
  addCommand(config, state, {
    usage: 'schema',
    summary: 'the JSON Schema of the config, for editors and for other programs',
    examples: ['vmedic config schema > vmedic.schema.json'],
    run: async ({ out }) => {
      const { configSchema } = await import('../../../workers/config');
      const schema = configSchema();
      out.result(schema, JSON.stringify(schema, undefined, 2));
      return exitCodes.done;
    },
  });
}

async function check(context: Context): Promise<ExitCode> {
  const { flags, io, out } = context;
  const path = await configPath(argument(context, 0) || flags.config, io);
  const { checkOnMachine } = await import('../../../workers/check-config');
  const { loadConfig, problemText } = await import('../../../workers/config');
  const loaded =
    flags['fileOnly'] === true ? await loadConfig(path, { env: io.env }) : await checkOnMachine(path, io.env);
  const problems = loaded.ok ? loaded.warnings : loaded.problems;
  const lines = problems.map(problemText);
  const errors = problems.filter((p) => p.severity === 'error').length;
  const verdict = loaded.ok
    ? `${path}: sound${problems.length === 0 ? '' : `, ${counted(problems.length, 'warning')}`}`
    : `${path}: ${counted(errors, 'mistake')}`;
  out.result({ ok: loaded.ok, path, problems }, [...lines, verdict].join('\n'));
  return loaded.ok ? exitCodes.done : exitCodes.usage;
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
