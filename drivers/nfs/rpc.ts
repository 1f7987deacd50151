/**
 * As much of ONC RPC (RFC 5531) and XDR (RFC 4506) as one call of statd takes. Messages are built and read here and nowhere else; how they
 * travel is the caller's: over UDP as they are, over TCP with a record mark in front.
 */
import { createSocket } from 'node:dgram';
import { randomInt } from 'node:crypto';

const CALL = 0;
const REPLY = 1;
const RPC_VERSION = 2;
const AUTH_NONE = 0;
const ACCEPTED = 0;
const SUCCESS = 0;
const REPLY_HEADER_BYTES = 24;
const LAST_FRAGMENT = 0x8000_0000;
/** A datagram may be lost without a word: the same call, with the same id, is sent again this often. */
const resendEveryMs = 1_000;

export interface Procedure {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
}

export interface RpcCall {
  readonly xid: number;
  readonly message: Buffer;
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Length, bytes, and zeros up to the next multiple of four. */
export function xdrString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([uint32(bytes.length), bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

export function rpcCall(to: Procedure, body: Buffer, xid = randomInt(1, 0x7fff_ffff)): RpcCall {
  const head = [xid, CALL, RPC_VERSION, to.program, to.version, to.procedure, AUTH_NONE, 0, AUTH_NONE, 0];
  return { xid, message: Buffer.concat([...head.map(uint32), body]) };
}

/** What the procedure returned. @throws a sentence when the reply is to another call, or is no success. */
export function rpcResult(reply: Buffer, xid: number): Buffer {
  if (reply.length < REPLY_HEADER_BYTES) throw new Error(`the reply has ${reply.length} bytes only`);
  const word = (at: number): number => reply.readUInt32BE(at * 4);
  if (word(0) !== xid || word(1) !== REPLY) throw new Error('the reply is to another call');
  if (word(2) !== ACCEPTED) throw new Error('the server refused the call (RPC version or authentication)');
  const verifierBytes = word(4);
  const status = 20 + verifierBytes;
  if (reply.length < status + 4) throw new Error('the reply was cut short');
  const accepted = reply.readUInt32BE(status);
  if (accepted !== SUCCESS)
    throw new Error(`the server did not carry out the call (accept status ${accepted})`);
  return reply.subarray(status + 4);
}

/** One record of one fragment, as TCP carries it. */
export const asRecord = (message: Buffer): Buffer =>
  Buffer.concat([uint32((LAST_FRAGMENT | message.length) >>> 0), message]);

/** @throws when the bytes are not one whole record. */
export function fromRecord(bytes: Buffer): Buffer {
  if (bytes.length < 4) throw new Error(`the answer has ${bytes.length} bytes only`);
  const length = bytes.readUInt32BE(0) & ~LAST_FRAGMENT;
  if (bytes.length < 4 + length) throw new Error(`${bytes.length - 4} of ${length} bytes of the answer came`);
  return bytes.subarray(4, 4 + length);
}

/** Sends a call until it is answered. @throws with the reason when nobody answers in time or the answer is no success. */
export function callByUdp(
  to: { readonly address: string; readonly port: number },
  procedure: Procedure,
  body: Buffer,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const { xid, message } = rpcCall(procedure, body);
  return new Promise((resolve, reject) => {
    const socket = createSocket(to.address.includes(':') ? 'udp6' : 'udp4');
    const end = (outcome: () => void): void => {
      clearTimeout(deadline);
      clearInterval(again);
      signal.removeEventListener('abort', givenUp);
      socket.close();
      outcome();
    };
    const fail = (why: string): void =>
      end(() => reject(new Error(`${to.address} port ${to.port} (UDP): ${why}`)));
    const givenUp = (): void => fail('the call was cancelled');
    const send = (): void =>
      socket.send(message, to.port, to.address, (cause) => cause && fail(cause.message));
    const deadline = setTimeout(() => fail(`no answer in ${deadlineMs} ms`), deadlineMs);
    const again = setInterval(send, resendEveryMs);
    signal.addEventListener('abort', givenUp, { once: true });
    socket.once('error', (cause) => fail(cause.message));
    socket.once('message', (reply) => {
      try {
        const result = rpcResult(reply, xid);
        end(() => resolve(result));
      } catch (cause) {
        fail(cause instanceof Error ? cause.message : String(cause));
      }
    });
    send();
  });
}
