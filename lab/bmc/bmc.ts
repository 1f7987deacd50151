/**
 * A BMC: a process of its own, which lives while its host is dead and survives whoever started it. What two kinds share is here; how
 * each is launched is in `ipmi.ts` and `redfish.ts`.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endProcess, isAlive, readRecord, sendSignal } from '../recorded-process';
import { toolPath } from '../run';
import { waitFor } from '../wait-for';
import { type BmcFault, type BmcKind, faultWords } from './faults';

const ANSWERS_MS = 20_000;

export interface BmcPlace {
  readonly lab: string;
  readonly host: string;
  readonly port: number;
  readonly username: string;
}

export abstract class Bmc {
  readonly folder: string;
  readonly address = '127.0.0.1';
  readonly port: number;
  readonly username: string;
  /** Holds the password and nothing else; readable by the lab's user alone. */
  readonly passwordFile: string;
  protected readonly hostFolder: string;

  constructor(
    readonly kind: BmcKind,
    protected readonly place: BmcPlace,
  ) {
    this.hostFolder = join(place.lab, place.host);
    this.folder = join(this.hostFolder, 'bmc', kind);
    this.port = place.port;
    this.username = place.username;
    this.passwordFile = join(this.folder, 'password');
  }

  get running(): boolean {
    const record = readRecord(this.recordFile);
    return record !== undefined && isAlive(record);
  }

  /** Done when it answers. Idempotent. */
  async start(): Promise<void> {
    if (this.running) return;
    this.prepare(readFileSync(this.passwordFile, 'utf8').trim());
    this.launch();
    await waitFor(
      `the ${this.kind} BMC of ${this.place.host} to answer on port ${this.port}`,
      ANSWERS_MS,
      () => {
        if (this.exitedAtOnce())
          throw new Error(`the ${this.kind} BMC of ${this.place.host} ended: ${this.lastWords()}`);
        return this.answers();
      },
      () => this.lastWords(),
    );
  }

  /** Done when it is gone. Idempotent. */
  async stop(): Promise<void> {
    const record = readRecord(this.recordFile);
    if (record !== undefined) await endProcess(record);
    rmSync(this.recordFile, { force: true });
  }

  /** From now on it has these faults and no others; none: it is whole again. */
  async setFaults(faults: readonly BmcFault[]): Promise<void> {
    const has = (kind: BmcFault['kind']): boolean => faults.some((fault) => fault.kind === kind);
    if (this.kind === 'ipmi' && has('frozen'))
      throw new RangeError('an IPMI BMC has no connection to take without answering: use "silent"');
    const record = readRecord(this.recordFile);
    if (record !== undefined) sendSignal(record, 'SIGCONT');
    writeFileSync(join(this.folder, 'faults'), faultWords(faults));
    if (has('gone')) return this.stop();
    await this.takeLoginFault(has('refuse-login'));
    await this.start();
    const now = readRecord(this.recordFile);
    if (has('silent') && now !== undefined) sendSignal(now, 'SIGSTOP');
  }

  /** Writes the settings that the process reads when it starts. */
  protected abstract prepare(password: string): void;
  protected abstract command(): readonly [string, ...string[]];
  /** Whether somebody answers on the port, without logging in. */
  protected abstract answers(): Promise<boolean>;
  /** A BMC that reads its faults itself needs nothing more. */
  protected takeLoginFault(_refuse: boolean): Promise<void> {
    return Promise.resolve();
  }

  private get recordFile(): string {
    return join(this.folder, 'process');
  }

  private launch(): void {
    mkdirSync(this.folder, { recursive: true });
    rmSync(this.recordFile, { force: true });
    const log = openSync(this.logFile, 'a', 0o600);
    try {
      const [program, ...args] = this.command();
      const child = spawn(
        join(this.place.lab, 'host'),
        ['recorded', this.place.lab, this.recordFile, program, ...args],
        {
          detached: true,
          stdio: ['ignore', log, log],
          env: { ...process.env, PATH: toolPath() },
          cwd: '/',
        },
      );
      // What goes wrong is seen by its not answering.
      child.once('error', () => undefined);
      child.unref();
    } finally {
      closeSync(log);
    }
  }

  private exitedAtOnce(): boolean {
    return existsSync(this.recordFile) && readRecord(this.recordFile) !== undefined && !this.running;
  }

  private get logFile(): string {
    return join(this.folder, 'log');
  }

  private lastWords(): string {
    return existsSync(this.logFile)
      ? readFileSync(this.logFile, 'utf8').trim().split('\n').slice(-3).join(' / ')
      : '';
  }
}
