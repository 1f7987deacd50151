/**
 * The parent's side of the gateway process: starts it when first needed, starts it again when it dies, and never leaves a caller without
 * an answer. What was in flight when it died is `lost`; what was not yet handed over waits for the next one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { extname, join } from 'node:path';
import type { ChildEnd, ChildRequest, FollowRequest, FromGateway, ToGateway } from './protocol';
import { manyMayListen } from './signals';

export type { ChildEnd, ChildRequest, FollowRequest } from './protocol';

/** Runs children elsewhere. Never rejects: how the child ended is the answer. Aborting ends the child and its whole process group. */
export interface ChildGateway {
  run(request: ChildRequest, signal: AbortSignal): Promise<ChildEnd>;
  /**
   * Listens to a child that prints for as long as it lives. Its deadline is the end of a turn and says nothing about anybody; standard output is
   * given to `printed` in pieces, and is not in the answer. Never rejects.
   */
  follow(request: FollowRequest, printed: Printed, signal: AbortSignal): Promise<ChildEnd>;
  /** The same of a child that is spoken with. An open talk keeps nobody's process alive. */
  talk(request: FollowRequest, printed: Printed, signal: AbortSignal): ChildTalk;
  /** Ends the gateway and every child with it. */
  close(): Promise<void>;
  /** The gateway's process id while it runs. */
  readonly pid: number | undefined;
}

/** `to` is the child's standard output or error. */
export type Printed = (text: string, to: 'out' | 'err') => void;

export interface ChildTalk {
  /** To its standard input. What is written to a child that has ended is lost. */
  write(text: string): void;
  readonly ended: Promise<ChildEnd>;
}

export interface GatewayOptions {
  /** Children started at once; those that have run for long and only wait do not count. Fits two cores. */
  readonly childrenMax?: number;
  /** Options for node itself; those of this process, less a debugger's, when left out. */
  readonly execArgv?: readonly string[];
}

const restartFirstMs = 50;
const restartMaxMs = 5_000;
/** A gateway that lived this long was well: the next restart comes at once. */
const steadyAfterMs = 10_000;
/** Beyond a child's own deadline, before the gateway itself counts as stuck and is replaced. */
const stuckAfterMs = 15_000;

interface Call {
  readonly id: number;
  readonly request: ChildRequest;
  readonly settle: (end: ChildEnd) => void;
  /** Set for a child that stays. */
  readonly printed: Printed | undefined;
  /** Written before it was handed over. */
  readonly unsent: string[];
  handedOver: boolean;
  groupPid: number | undefined;
  guard: NodeJS.Timeout | undefined;
}

export function openChildGateway(options: GatewayOptions = {}): ChildGateway {
  const inherited = process.execArgv.filter((a) => !a.startsWith('--inspect'));
  return new ForkedGateway(options.childrenMax ?? 16, options.execArgv ?? inherited);
}

class ForkedGateway implements ChildGateway {
  private child: ChildProcess | undefined;
  private restartTimer: NodeJS.Timeout | undefined;
  private restartMs = restartFirstMs;
  private startedAtMs = 0;
  private nextId = 1;
  private closed = false;
  private readonly calls = new Map<number, Call>();

  constructor(
    private readonly childrenMax: number,
    private readonly execArgv: readonly string[],
  ) {}

  get pid(): number | undefined {
    return this.child?.pid;
  }

  run(request: ChildRequest, signal: AbortSignal): Promise<ChildEnd> {
    return this.begin(this.nextId++, request, undefined, signal);
  }

  follow(request: FollowRequest, printed: Printed, signal: AbortSignal): Promise<ChildEnd> {
    return this.begin(this.nextId++, request, printed, signal);
  }

  talk(request: FollowRequest, printed: Printed, signal: AbortSignal): ChildTalk {
    const id = this.nextId++;
    return { write: (text) => this.write(id, text), ended: this.begin(id, request, printed, signal) };
  }

  private write(id: number, text: string): void {
    const call = this.calls.get(id);
    if (call?.handedOver === true) this.send({ kind: 'write', id, text });
    else call?.unsent.push(text);
  }

  private begin(
    id: number,
    request: ChildRequest,
    printed: Printed | undefined,
    signal: AbortSignal,
  ): Promise<ChildEnd> {
    if (this.closed) return Promise.resolve({ ended: 'not-started', why: 'the gateway is closed' });
    if (signal.aborted)
      return Promise.resolve({ ended: 'not-started', why: 'cancelled before it was started' });
    manyMayListen(signal);
    return new Promise((resolve) => {
      const onAbort = (): void => this.cancel(id);
      const settle = (end: ChildEnd): void => {
        const call = this.calls.get(id);
        if (call === undefined) return;
        this.calls.delete(id);
        clearTimeout(call.guard);
        signal.removeEventListener('abort', onAbort);
        this.holdOrFreeEventLoop();
        resolve(end);
      };
      const call: Call = {
        ...{ id, request, settle, printed },
        ...{ unsent: [], handedOver: false, groupPid: undefined, guard: undefined },
      };
      this.calls.set(id, call);
      signal.addEventListener('abort', onAbort, { once: true });
      this.handOver(call);
      this.holdOrFreeEventLoop();
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.restartTimer);
    for (const call of [...this.calls.values()])
      call.settle(
        call.handedOver ? { ended: 'lost' } : { ended: 'not-started', why: 'the gateway was closed' },
      );
    const child = this.child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.ref();
    if (child.connected) child.disconnect();
    const impatient = setTimeout(() => child.kill('SIGKILL'), 2_000);
    await gone;
    clearTimeout(impatient);
  }

  private handOver(call: Call): void {
    if (this.child === undefined && this.restartTimer === undefined) this.start();
    const child = this.child;
    if (!child?.connected) return;
    call.handedOver = true;
    call.guard = setTimeout(() => {
      // It has missed its own deadline by far, so it is stopped or stuck; its exit settles every call.
      child.kill('SIGKILL');
    }, call.request.deadlineMs + stuckAfterMs);
    const { id, request, printed } = call;
    if (printed !== undefined) call.guard.unref();
    this.send({ kind: 'run', id, request, ...(printed !== undefined && { stays: true }) });
    for (const text of call.unsent.splice(0)) this.send({ kind: 'write', id, text });
  }

  private send(message: ToGateway): void {
    // A failed send means that the gateway has just died; its exit settles the call.
    this.child?.send(message, () => undefined);
  }

  private cancel(id: number): void {
    const call = this.calls.get(id);
    if (call === undefined) return;
    if (call.handedOver) this.send({ kind: 'cancel', id });
    else call.settle({ ended: 'not-started', why: 'cancelled before it was started' });
  }

  private start(): void {
    // The same extension as this file: JavaScript once built, TypeScript where a loader runs the sources.
    const entry = join(__dirname, `gateway-process${extname(__filename)}`);
    const child = fork(entry, [String(this.childrenMax)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env },
      execArgv: [...this.execArgv],
    });
    this.child = child;
    this.startedAtMs = Date.now();
    child.on('message', (message: FromGateway) => {
      const call = this.calls.get(message.id);
      if (call === undefined) return;
      if (message.kind === 'started') call.groupPid = message.pid;
      else if (message.kind === 'printed') call.printed?.(message.text, message.to);
      else call.settle(message.end);
    });
    child.once('error', () => this.died(child));
    child.once('exit', () => this.died(child));
    this.holdOrFreeEventLoop();
  }

  private died(child: ChildProcess): void {
    if (this.child !== child) return;
    this.child = undefined;
    for (const call of [...this.calls.values()].filter((c) => c.handedOver)) {
      if (call.groupPid !== undefined) killGroup(call.groupPid);
      call.settle({ ended: 'lost' });
    }
    if (this.closed) return;
    if (Date.now() - this.startedAtMs > steadyAfterMs) this.restartMs = restartFirstMs;
    this.restartTimer = setTimeout(() => {
      this.restartTimer = undefined;
      this.start();
      for (const call of this.calls.values()) if (!call.handedOver) this.handOver(call);
    }, this.restartMs);
    this.restartMs = Math.min(this.restartMs * 2, restartMaxMs);
    this.holdOrFreeEventLoop();
  }

  /** A gateway that is idle, or only listened to, keeps nobody's process alive. */
  private holdOrFreeEventLoop(): void {
    const busy = [...this.calls.values()].some((c) => c.printed === undefined);
    if (busy) this.restartTimer?.ref();
    else this.restartTimer?.unref();
    if (this.child === undefined) return;
    if (busy) {
      this.child.ref();
      this.child.channel?.ref();
    } else {
      this.child.unref();
      this.child.channel?.unref();
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended by itself meanwhile.
  }
}
