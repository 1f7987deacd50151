import { CommanderError } from 'commander';
import { DriverFault } from '../../domain/faults';
import { isUnanswered, Refusal, type RefusalKind } from '../errors';
import { exitCodes, type ExitCode } from './exit-codes';
import type { Output } from './io';

const codeOfKind: Readonly<Record<RefusalKind, ExitCode>> = {
  usage: exitCodes.usage,
  refused: exitCodes.refused,
  unreachable: exitCodes.unreachable,
};

interface Told {
  readonly exit: ExitCode;
  readonly code: string;
  readonly sentence: string;
  readonly next: string | undefined;
  readonly problems?: readonly unknown[];
}

/** One clear sentence with the way out, and the exit code; the stack only for those who ask for it by VMEDIC_DEBUG=1. */
export function reportError(error: unknown, out: Output, env: NodeJS.ProcessEnv): ExitCode {
  const told = tell(error);
  const { exit, ...document } = told;
  if (out.json) out.result({ error: document }, '');
  const next = told.next === undefined ? '' : `\n  ${out.paint.dim('next:')} ${told.next}`;
  // Problems of a file say on each line which of them are errors.
  const prefix = told.problems === undefined ? `${out.paint.red('error:')} ` : '';
  out.note(`${prefix}${told.sentence}${next}`);
  if (env['VMEDIC_DEBUG'] === '1') out.note(stackOf(error));
  return exit;
}

function tell(error: unknown): Told {
  if (error instanceof Refusal) {
    const { kind, code, message, next } = error;
    return { exit: codeOfKind[kind], code, sentence: message, next };
  }
  if (error instanceof DriverFault) {
    const { code, sentence, next } = error.fault;
    const exit = isUnanswered(error) ? exitCodes.unreachable : exitCodes.refused;
    return { exit, code, sentence, next };
  }
  if (isConfigRefused(error))
    return {
      exit: exitCodes.usage,
      code: 'CONFIG_REFUSED',
      sentence: error.message,
      next: undefined,
      problems: error.problems,
    };
  if (error instanceof CommanderError)
    return {
      exit: exitCodes.usage,
      code: 'USAGE',
      sentence: error.message.replace(/^error: /, ''),
      next: undefined,
    };
  if (isUnanswered(error))
    return {
      exit: exitCodes.unreachable,
      code: 'UNREACHABLE',
      sentence: sentenceOf(error),
      next: 'vmedic status',
    };
  return {
    exit: exitCodes.defect,
    code: 'DEFECT',
    sentence: sentenceOf(error),
    next: 'VMEDIC_DEBUG=1 shows where this happened',
  };
}

/** A program that we started may have called its own words an error already. */
const sentenceOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/^(error:\s*)+/i, '');

/** Told by its name: the class lives in workers/, which is loaded only when a command needs it. */
const isConfigRefused = (error: unknown): error is Error & { problems: readonly unknown[] } =>
  error instanceof Error && error.name === 'ConfigRefused';

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
