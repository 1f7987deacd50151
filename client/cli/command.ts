/** How every command of the line is made: the same flags, an example for each, one place where errors become sentences. */
import { type Command, Option } from 'commander';
import { exitCodeHelp, type ExitCode } from './exit-codes';
import { type Io, Output, whoAmI } from './io';
import { reportError } from './report-error';
import type { OpenSession, Session } from './session';

export interface Flags {
  readonly json?: boolean;
  readonly config?: string;
  readonly [name: string]: unknown;
}

export interface Context {
  readonly io: Io;
  readonly out: Output;
  readonly flags: Flags;
  readonly args: readonly string[];
  /** Opened at the first call, closed when the command ends. */
  session(): Promise<Session>;
}

export interface Program {
  readonly io: Io;
  readonly openSession: OpenSession;
  /** Set by whichever command ran. */
  exit: ExitCode;
}

export interface CommandSpec {
  /** Name and arguments, as commander writes them: `show <host>`. */
  readonly usage: string;
  readonly summary: string;
  readonly examples: readonly string[];
  readonly options?: readonly Option[];
  /** Commands of the same name that are groups have no flags of their own. */
  readonly run: (context: Context) => Promise<ExitCode>;
}

export function addGroup(
  program: Command,
  name: string,
  summary: string,
  examples: readonly string[],
): Command {
  const group = program.command(name).description(summary);
  return withExamples(group, examples);
}

export function addCommand(parent: Command, state: Program, spec: CommandSpec): void {
  const command = parent.command(spec.usage).description(spec.summary);
  for (const option of spec.options ?? []) command.addOption(option);
  command
    .option('--config <file>', 'the config (default: VMEDIC_CONFIG, ./vmedic.yaml, then the running lab)')
    .option('--json', 'one JSON document on stdout, everything else on stderr');
  withExamples(command, spec.examples);
  command.action(async () => {
    const flags = command.opts<Flags>();
    const out = new Output(state.io, flags.json === true);
    let opened: Promise<Session> | undefined;
    const context: Context = {
      io: state.io,
      out,
      flags,
      args: command.args,
      session: () => (opened ??= state.openSession(flags.config, state.io)),
    };
    try {
      state.exit = await spec.run(context);
    } catch (error) {
      state.exit = reportError(error, out, state.io.env);
    } finally {
      await closeQuietly(opened, out);
    }
  });
}

async function closeQuietly(opened: Promise<Session> | undefined, out: Output): Promise<void> {
  try {
    await (await opened)?.close();
  } catch (error) {
    // What could not be opened was reported above; what cannot be closed changes nothing of the result.
    if (process.env['VMEDIC_DEBUG'] === '1') out.note(`closing: ${String(error)}`);
  }
}

function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${examples.map((e) => `  $ ${e}`).join('\n')}\n\n${exitCodeHelp}`,
  );
}

/** The flags of commands that ask for work. */
export const askingOptions = (io: Io, reason: 'optional' | 'required'): Option[] => [
  reason === 'required'
    ? new Option('--reason <text>', 'why; becomes part of the incident report').makeOptionMandatory()
    : new Option('--reason <text>', 'why; becomes part of the incident report').default(
        'asked for on the command line',
      ),
  new Option('--by <name>', 'who asks').default(whoAmI(io.env)),
];

export const startOptions = (io: Io, reason: 'optional' | 'required'): Option[] => [
  ...askingOptions(io, reason),
  new Option('--wait', 'follow it to its end, or to where a person is asked for something'),
  new Option(
    '--dry-run',
    'rehearse: every check for real, every act replaced by the sentence that says what it would do',
  ),
];

/** A flag that takes a text; empty when it was not given. */
export function text(context: Context, flag: string): string {
  const value = context.flags[flag];
  return typeof value === 'string' ? value : '';
}

export const argument = (context: Context, index: number): string => context.args[index] ?? '';
