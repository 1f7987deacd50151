/** The only file that starts virsh. Several commands go to one child: starting it costs 19 ms of CPU, a further command about one. */
import { randomBytes } from 'node:crypto';
import type { ChildGateway } from '../child-processes/gateway';
import { connectionTrouble, errorSentence } from './virsh-text';

/**
 * What came of a call.
 * - `answered`: every command was run; `errors` says which were refused. One section of output per command.
 * - `refused`: no connection, and somebody's kernel said so. Nothing was sent.
 * - `nobody`: no connection and no answer of any kind. Nothing was sent.
 * - `silent`: killed at the deadline. For an act the outcome is unknown.
 * - `broken`: the connection or the gateway was lost on the way. For an act the outcome is unknown.
 * - `not-sent`: our own side could not run it. It says nothing about the host.
 * - `cancelled`: the caller gave up. For an act the outcome is unknown.
 */
export type VirshAnswer =
  | { readonly kind: 'answered'; readonly sections: readonly string[]; readonly errors: string }
  | { readonly kind: 'refused' | 'nobody'; readonly detail: string }
  | {
      readonly kind: 'silent' | 'broken' | 'not-sent' | 'cancelled';
      readonly detail: string;
      /** What was printed before the end, as far as complete. */
      readonly sections?: readonly string[];
      /** `broken` on our own side: the gateway process died. It says nothing about the host. */
      readonly ours?: true;
    };

export interface VirshCall {
  readonly uri: string;
  /** virsh command lines; arguments that are not plain ids must be quoted with `quoted`. */
  readonly commands: readonly string[];
  readonly deadlineMs: number;
  /** Opens the connection read-only: a read can then never act, whatever else is wrong. */
  readonly readOnly?: boolean;
}

/** One argument inside a virsh command line. */
export const quoted = (argument: string): string => `'${argument.replaceAll("'", `'"'"'`)}'`;

/** Ends a hung open connection after 4 s by itself; a connection that never opens is ended by the deadline. */
export const keepalive = ['-k2', '-K2'];

export class Virsh {
  constructor(
    private readonly gateway: ChildGateway,
    private readonly program: string,
  ) {}

  async call(call: VirshCall, signal: AbortSignal): Promise<VirshAnswer> {
    const mark = `@@${randomBytes(6).toString('hex')}@@`;
    const script = call.commands.map((c) => `${c}; echo ${mark}`).join('; ');
    const end = await this.gateway.run(
      {
        command: this.program,
        args: ['-q', ...(call.readOnly === true ? ['-r'] : []), ...keepalive, '-c', call.uri, script],
        deadlineMs: call.deadlineMs,
      },
      signal,
    );
    switch (end.ended) {
      case 'exit':
        return read(end.stdout.split(mark), end.stderr, call.commands.length);
      case 'deadline':
        return {
          kind: 'silent',
          detail: `no answer in ${call.deadlineMs} ms`,
          sections: end.stdout.split(mark).slice(0, -1),
        };
      case 'cancelled':
        return { kind: 'cancelled', detail: 'the call was cancelled' };
      case 'lost':
        return { kind: 'broken', detail: 'the gateway process died during the call', ours: true };
      case 'output-too-large':
        return { kind: 'broken', detail: 'virsh printed more than can be kept' };
      case 'not-started':
        return { kind: 'not-sent', detail: `${this.program} could not be started: ${end.why}` };
    }
  }
}

/** What each command printed, without the empty lines around it. */
export const sectionsOf = (pieces: readonly string[]): string[] =>
  pieces.map((s) => s.replace(/^\n+|\n+$/g, ''));

function read(pieces: readonly string[], errors: string, commands: number): VirshAnswer {
  const sections = pieces.slice(0, -1);
  const trouble = connectionTrouble(errors);
  if (trouble === 'broken-mid-call') return { kind: 'broken', detail: errorSentence(errors), sections };
  if (trouble !== undefined)
    return { kind: trouble === 'refused' ? 'refused' : 'nobody', detail: errorSentence(errors) };
  if (sections.length !== commands)
    return { kind: 'broken', detail: errorSentence(errors) || 'virsh ended early', sections };
  return {
    kind: 'answered',
    sections: sectionsOf(sections),
    errors: errors.trim(),
  };
}
