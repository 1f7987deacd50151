/**
 * A simulated datacenter that runs in another process, through its socket. The connection is made anew when it was lost; a call that was
 * under way then ends as any call does whose answer never came: reads as silence, acts as unknown.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { HintsPort } from '../../activities/ports';
import type { Fleet } from '../../domain/fleet';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { RemoteControls } from './controls';
import { type FromWorld, onLines, send, type ToWorld } from './line-protocol';
import { fleetOf } from './sample-world';
import { type PortCall, silence, unknownOutcome } from './silence';
import { portsOver, type SimulatedPorts } from './simulated-ports';
import type { CallHooks } from './call-desk';

export interface SimulatedConnection {
  readonly ports: SimulatedPorts;
  readonly control: RemoteControls;
  /** The declared side of this datacenter, with the agent `simulated`. */
  readonly fleet: Fleet;
  close(): Promise<void>;
}

/** Refuses with a sentence that names the socket when nobody serves it. `hooks` are called in this process. */
export async function connectSimulated(
  socketPath: string,
  hooks: CallHooks = {},
): Promise<SimulatedConnection> {
  const line = new Line(socketPath, hooks);
  await line.open().catch((cause: unknown) => {
    throw new Error(
      `no simulated datacenter answers on ${socketPath}: start one there, or correct the path`,
      { cause },
    );
  });
  const control = new Proxy({} as RemoteControls, {
    get: (_, name) =>
      name === 'then' ? undefined : (...args: unknown[]) => line.control(String(name), args),
  });
  const perform = async (called: PortCall, signal: AbortSignal): Promise<unknown> => {
    await hooks.before?.(called);
    try {
      return await line.call(called, signal);
    } finally {
      await hooks.after?.(called);
    }
  };
  return {
    ports: portsOver(perform, line),
    control,
    fleet: fleetOf(await control.spec()),
    close: () => line.close(),
  };
}

/** How long a cancelled call waits for the world's last word on it. */
const cancelAnswerMsMax = 250;

/** Between two tries to hear of a host again. */
const followAgainMs = 500;

type Waiting = (message: FromWorld | 'lost') => void;

class Line implements HintsPort {
  private socket: Promise<Socket> | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  private closed = false;

  constructor(
    private readonly path: string,
    private readonly hooks: CallHooks,
  ) {}

  open(): Promise<Socket> {
    this.socket ??= new Promise<Socket>((resolve, reject) => {
      const socket = connect(this.path);
      socket.once('connect', () => resolve(socket));
      // The cause of a failed connect is given here; a later loss is told to every waiting call by `close`.
      socket.on('error', reject);
      socket.once('close', () => {
        this.socket = undefined;
        for (const waiting of [...this.waiting.values()]) waiting('lost');
      });
      onLines(socket, (said) => {
        const message = said as FromWorld;
        this.waiting.get(message.id)?.(message);
      });
    });
    return this.socket;
  }

  async call(called: PortCall, signal: AbortSignal): Promise<unknown> {
    const now = (): string => new Date().toISOString();
    if (signal.aborted) return silence(called, 'the call was ended before it was sent', now());
    let socket: Socket;
    try {
      socket = await this.open();
    } catch {
      // Whoever cannot be reached is silent: the port's own answer for it follows.
      return silence(called, 'the simulated datacenter is not running', now());
    }
    const message = await this.ask(socket, { ask: 'call', ...called }, signal);
    if (message === 'lost') return unknownOutcome(called, 'the connection was lost', now());
    if (message.said === 'crash') {
      await (this.hooks.crashWorker ?? (() => process.kill(process.pid, 'SIGKILL')))(called);
      return unknownOutcome(called, 'the worker was ended', now());
    }
    return answerOf(message);
  }

  async control(name: string, args: readonly unknown[]): Promise<unknown> {
    const message = await this.ask(await this.open(), { ask: 'control', name, args });
    if (message === 'lost')
      throw new Error(`the connection to the simulated datacenter was lost during ${name}`);
    return answerOf(message);
  }

  /** What happens while the world is not there is not heard of. */
  async follow(host: HostId, heard: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.closed) {
      const socket = await this.open().catch(() => undefined);
      if (socket !== undefined) await this.newsOf(host, socket, heard, signal);
      await delay(followAgainMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const socket = await this.socket?.catch(() => undefined);
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.destroy();
    });
  }

  /** Until it is given up, or the connection is lost. */
  private newsOf(host: HostId, socket: Socket, heard: () => void, signal: AbortSignal): Promise<void> {
    this.count += 1;
    const id = this.count;
    return new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener('abort', giveUp);
        this.waiting.delete(id);
        resolve();
      };
      const giveUp = (): void => {
        send(socket, { id, ask: 'cancel' });
        end();
      };
      this.waiting.set(id, (said) => (said !== 'lost' && said.said === 'news' ? heard() : end()));
      signal.addEventListener('abort', giveUp, { once: true });
      if (signal.aborted || socket.destroyed) return end();
      send(socket, { id, ask: 'follow', host });
    });
  }

  private ask(
    socket: Socket,
    message: Omit<Extract<ToWorld, { ask: 'call' }>, 'id'> | Omit<Extract<ToWorld, { ask: 'control' }>, 'id'>,
    signal?: AbortSignal,
  ): Promise<FromWorld | 'lost'> {
    this.count += 1;
    const id = this.count;
    return new Promise((resolve) => {
      const cancel = (): void => {
        send(socket, { id, ask: 'cancel' });
        // A world that does not even answer this is as good as lost: the caller is not kept.
        setTimeout(() => this.waiting.get(id)?.('lost'), cancelAnswerMsMax).unref();
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.waiting.set(id, (said) => {
        signal?.removeEventListener('abort', cancel);
        this.waiting.delete(id);
        resolve(said);
      });
      if (socket.destroyed) this.waiting.get(id)?.('lost');
      else send(socket, { id, ...message });
    });
  }
}

function answerOf(message: FromWorld): unknown {
  if (message.said === 'answer') return message.answer;
  if (message.said === 'fault') throw new DriverFault(message.code, message.facts);
  throw new Error(message.said === 'error' ? message.sentence : 'the simulated datacenter ended the caller');
}
