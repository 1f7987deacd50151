import { connect } from 'node:net';

const ANSWER_MS = 90_000;

interface Command {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** Says these to a QEMU's own control socket, one after the other. @returns what each returned. @throws with QEMU's words. */
export function tellQemu(socketPath: string, commands: readonly Command[]): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const toSay: Command[] = [{ execute: 'qmp_capabilities' }, ...commands];
    const returned: unknown[] = [];
    let heard = '';
    const end = (failure?: Error): void => {
      socket.destroy();
      if (failure === undefined) resolve(returned.slice(1));
      else reject(failure);
    };
    const next = (): void => {
      const command = toSay[returned.length];
      if (command === undefined) end();
      else socket.write(`${JSON.stringify(command)}\n`);
    };
    socket.setTimeout(ANSWER_MS, () => end(new Error(`QEMU at ${socketPath} does not answer`)));
    socket.once('error', (cause) => end(new Error(`no QEMU at ${socketPath}: ${cause.message}`, { cause })));
    socket.once('close', () => end(new Error(`QEMU at ${socketPath} ended`)));
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
      for (let at = heard.indexOf('\n'); at >= 0; at = heard.indexOf('\n')) {
        const said = JSON.parse(heard.slice(0, at)) as Record<string, unknown>;
        heard = heard.slice(at + 1);
        if ('error' in said) return end(new Error(`QEMU refuses: ${JSON.stringify(said['error'])}`));
        if ('return' in said) returned.push(said['return']);
        // Anything else is an event; the greeting is what asks for the first command.
        if ('return' in said || 'QMP' in said) next();
      }
    });
  });
}
