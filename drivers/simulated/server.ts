/**
 * A simulated datacenter as a process of its own: it outlives every crash of those who use it. A caller whose connection ends has gone away,
 * which ends its waiting and undoes nothing.
 */
import { readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { DriverFault } from '../../domain/faults';
import { CallDesk } from './call-desk';
import { argsFromWire, type FromWorld, onLines, send, type ToWorld } from './line-protocol';
import { World } from './world';
import type { WorldSpec } from './world-spec';

export interface SimulatedServer {
  readonly world: World;
  close(): Promise<void>;
}

/** Serves the world on a Unix socket. A socket file that nobody listens on any more is replaced. */
export async function serveSimulated(socketPath: string, world: World): Promise<SimulatedServer> {
  if (await isAnswered(socketPath))
    throw new Error(
      `another simulated datacenter is serving ${socketPath}: end it, or choose another socket path`,
    );
  rmSync(socketPath, { force: true });
  const desk = new CallDesk(world);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    attend(desk, socket);
  });
  await listening(server, socketPath);
  return {
    world,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function attend(desk: CallDesk, socket: Socket): void {
  const open = new Map<number, AbortController>();
  const reply = (message: FromWorld): void => send(socket, message);
  onLines(socket, (said) => {
    const message = said as ToWorld;
    const { id } = message;
    if (message.ask === 'cancel') {
      open.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    open.set(id, controller);
    if (message.ask === 'follow') {
      const tell = (): void => reply({ id, said: 'news' });
      void desk.news.follow(message.host, tell, controller.signal).finally(() => open.delete(id));
      return;
    }
    const crashWorker = (): void => reply({ id, said: 'crash' });
    const args = argsFromWire(message.args);
    const work =
      message.ask === 'control'
        ? new Promise((resolve) => resolve(desk.control(message.name, args)))
        : desk.serve({ ...message, args }, controller.signal, { crashWorker });
    work
      .then(
        (answer) => reply({ id, said: 'answer', answer }),
        (error: unknown) => reply(asMessage(id, error)),
      )
      .finally(() => open.delete(id));
  });
  // A caller that was killed shows up here as a reset: the same as one that hung up.
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const controller of open.values()) controller.abort();
  });
}

function asMessage(id: number, error: unknown): FromWorld {
  if (error instanceof DriverFault)
    return { id, said: 'fault', code: error.fault.code, facts: error.fault.facts };
  return { id, said: 'error', sentence: error instanceof Error ? error.message : String(error) };
}

const isAnswered = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });

const listening = (server: Server, socketPath: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => resolve());
  });

/** Arguments: socket path, file with the world as JSON. Says "ready" on stdout once it can be called. */
async function main([socketPath, worldFile]: readonly string[]): Promise<void> {
  if (socketPath === undefined || worldFile === undefined) throw new Error('usage: server SOCKET WORLD.json');
  const spec = JSON.parse(readFileSync(worldFile, 'utf8')) as WorldSpec;
  const server = await serveSimulated(socketPath, new World(spec));
  const end = (): void => void server.close().then(() => process.exit(0));
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  process.stdout.write('ready\n');
}

if (require.main === module)
  main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
