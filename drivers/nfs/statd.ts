/**
 * SM_NOTIFY: "the host of this name has rebooted, the locks it had are gone". A server's statd takes it from anyone, finds the locks by the
 * name that it stored, or by the sender's address, and needs a state that differs from the last one. So it must come from a machine that
 * holds no locks of that server: sent by another client it drops that client's locks as well (measured).
 */
import { callByUdp, type Procedure, uint32, xdrString } from './rpc';

const statd = { program: 100_024, version: 1 };
export const smNotify: Procedure = { ...statd, procedure: 6 };
const getPort: Procedure = { program: 100_000, version: 2, procedure: 3 };
const rpcbindPort = 111;
const UDP = 17;
const answerMs = 6_000;

/** `status` in statd's protocol: the name as the server stored it, and a state number. */
export const notifyBody = (monName: string, state: number): Buffer =>
  Buffer.concat([xdrString(monName), uint32(state)]);

/** A state never sent before for any host, odd as "up" by custom: the clock in seconds. Fits the signed 32 bits until 2038. */
export const newState = (nowMs: number): number => (Math.floor(nowMs / 1_000) | 1) & 0x7fff_ffff;

export interface StatdPlace {
  readonly address: string;
  /** Left out: rpcbind on the server is asked. */
  readonly port?: number;
}

/** Over the network, from here. Success says only that statd heard it. @throws with the reason. */
export async function notifyOverNetwork(
  place: StatdPlace,
  monName: string,
  state: number,
  signal: AbortSignal,
): Promise<void> {
  const port = place.port ?? (await portOfStatd(place.address, signal));
  await callByUdp({ address: place.address, port }, smNotify, notifyBody(monName, state), answerMs, signal);
}

async function portOfStatd(address: string, signal: AbortSignal): Promise<number> {
  const body = Buffer.concat([statd.program, statd.version, UDP, 0].map(uint32));
  const result = await callByUdp({ address, port: rpcbindPort }, getPort, body, answerMs, signal);
  const port = result.length >= 4 ? result.readUInt32BE(0) : 0;
  if (port === 0) throw new Error(`rpcbind of ${address} knows no statd: it serves no NFSv3 locks`);
  return port;
}
