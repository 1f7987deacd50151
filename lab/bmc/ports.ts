import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';

/** Below the range that Linux takes for outgoing connections (32768 and up), so that no client comes by a BMC's port by chance. */
const FIRST = 20_000;
const LAST = 32_000;
const TRIES = 100;

/** A port of 127.0.0.1 that nobody listens on, for UDP as for TCP. Not reserved: take it soon. */
export async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FIRST, LAST);
    if (!taken.has(port) && (await isFreeForTcp(port)) && (await isFreeForUdp(port))) return port;
  }
  throw new Error(
    `${TRIES} random ports between ${FIRST} and ${LAST} are all in use: is another lab running wild?`,
  );
}

function isFreeForTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function isFreeForUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
  });
}
