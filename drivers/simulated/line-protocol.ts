/**
 * The wire between a simulated datacenter and those who use it: one JSON document per line. A caller numbers its calls; `cancel` forwards an
 * abort. JSON has no `undefined`: in an object it is left out, which no port tells from absent; as an argument it arrives as `null`, which no
 * port takes, and is turned back.
 */
import type { Socket } from 'node:net';
import type { FaultCode, FaultFacts } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { PortCall } from './silence';

export type ToWorld =
  | ({ readonly id: number; readonly ask: 'call' } & PortCall)
  | { readonly id: number; readonly ask: 'control'; readonly name: string; readonly args: readonly unknown[] }
  /** Is told `news` of the host until it is cancelled. */
  | { readonly id: number; readonly ask: 'follow'; readonly host: HostId }
  | { readonly id: number; readonly ask: 'cancel' };

export type FromWorld =
  | { readonly id: number; readonly said: 'answer'; readonly answer: unknown }
  | {
      readonly id: number;
      readonly said: 'fault';
      readonly code: FaultCode;
      readonly facts: FaultFacts;
    }
  | { readonly id: number; readonly said: 'error'; readonly sentence: string }
  | { readonly id: number; readonly said: 'news' }
  /** A fault rule asks the caller's process to die now. */
  | { readonly id: number; readonly said: 'crash' };

export const argsFromWire = (args: readonly unknown[]): unknown[] => args.map((a) => a ?? undefined);

export const send = (socket: Socket, message: ToWorld | FromWorld): void => {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
};

/** Calls `take` with every whole line; a broken line ends the connection. */
export function onLines(socket: Socket, take: (message: unknown) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      let message: unknown;
      try {
        message = JSON.parse(line);
      } catch (cause) {
        socket.destroy(new Error('a line on the simulated datacenter’s socket is not JSON', { cause }));
        return;
      }
      take(message);
    }
  });
}
