/** How a command gets onto a host, and what its end says of the host itself. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildEnd, ChildGateway } from '../child-processes/gateway';
import { sshArguments } from '../child-processes/ssh';

/** `enter` is put in front of the command as it is; `target` is what ssh takes: host, user@host, or a name from its config. */
export type HostTransport =
  | { readonly driver: 'namespace'; readonly enter: readonly string[] }
  | { readonly driver: 'ssh'; readonly target: string; readonly options?: readonly string[] };

/**
 * - `ran`: the command ran there to its end.
 * - `silent`: nobody answered, or not in time; `partial` is what was printed until then.
 * - `refused`: somebody's kernel answered, and there was no way in.
 * - `not-run`: this side could not try. It says nothing about the host.
 */
export type HostAnswer =
  | { readonly kind: 'ran'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'silent'; readonly detail: string; readonly partial: string }
  | { readonly kind: 'refused' | 'not-run'; readonly detail: string };

/** ssh's own failures end with 255; the lab's door does the same. */
const noWayIn = 255;
const nobodyThere =
  /No route to host|timed out|Network is unreachable|Could not resolve hostname|Name or service not known|not responding/i;
/** A banner that does not come is an accepted connection: the kernel lives, whatever has become of sshd. */
const turnedAway =
  /Connection refused|Connection reset|Connection closed|Permission denied|Host key verification failed|kex_exchange_identification|banner exchange/i;

export class HostDoors {
  private folder: string | undefined;

  constructor(
    private readonly gateway: ChildGateway,
    private readonly ssh: string,
  ) {}

  async run(
    transport: HostTransport,
    argv: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<HostAnswer> {
    const [command, ...args] = this.commandLine(transport, argv);
    if (command === undefined) return { kind: 'not-run', detail: 'the way onto the host is empty' };
    return answerOf(await this.gateway.run({ command, args, deadlineMs }, signal), deadlineMs);
  }

  close(): void {
    if (this.folder !== undefined) rmSync(this.folder, { recursive: true, force: true });
    this.folder = undefined;
  }

  private commandLine(transport: HostTransport, argv: readonly string[]): string[] {
    if (transport.driver === 'namespace') return [...transport.enter, ...argv];
    // Short: the control socket's path must stay below 108 bytes.
    this.folder ??= mkdtempSync(join(tmpdir(), 'vms-'));
    const options = transport.options ?? [];
    return [this.ssh, ...options, ...sshArguments(this.folder), transport.target, '--', shellLine(argv)];
  }
}

/** ssh hands one line to the login shell there, so every argument is quoted for it. */
export const shellLine = (argv: readonly string[]): string =>
  argv.map((a) => `'${a.replaceAll("'", `'"'"'`)}'`).join(' ');

export function answerOf(end: ChildEnd, deadlineMs: number): HostAnswer {
  switch (end.ended) {
    case 'exit': {
      const said = end.stderr.trim().split('\n').at(-1) ?? '';
      if (end.code === noWayIn && turnedAway.test(end.stderr)) return { kind: 'refused', detail: said };
      if (end.code === noWayIn && nobodyThere.test(end.stderr))
        return { kind: 'silent', detail: said, partial: '' };
      // What ssh says when the shared connection under it goes: nothing. The next call makes a new one and finds out why.
      if (end.code === noWayIn && said === '')
        return { kind: 'not-run', detail: 'the connection was lost on the way' };
      return { kind: 'ran', code: end.code, stdout: end.stdout, stderr: end.stderr };
    }
    case 'deadline':
      return { kind: 'silent', detail: `no answer in ${deadlineMs} ms`, partial: end.stdout };
    case 'cancelled':
      return { kind: 'not-run', detail: 'the call was cancelled' };
    case 'output-too-large':
      return { kind: 'not-run', detail: 'the command printed more than can be kept' };
    case 'lost':
      return { kind: 'not-run', detail: 'the gateway process died during the call' };
    case 'not-started':
      return { kind: 'not-run', detail: end.why };
  }
}
