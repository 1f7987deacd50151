/** One guest of the storage lab, seen from outside: its power switch, its console, and ssh into it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ran, run, runOrThrow } from '../run';
import { waitFor } from '../wait-for';
import type { GuestSpec, Placed } from './machine';
import { tellQemu } from './qmp';

const SWITCH_MS = 40_000;
/** Ten seconds each on a quiet machine; several at once on a busy one take minutes. */
const READY_MS = 300_000;
const SSH_MS = 120_000;

export class StorageGuest {
  readonly name: string;
  readonly spec: GuestSpec;
  readonly folder: string;
  /** On the lab's own network, which only guests are on. */
  readonly address: string;
  readonly sshPort: number;
  /** Where the machine that the lab runs on reaches a server's statd by UDP: from there it is a stranger, no NFS client. */
  readonly statdPort: number | undefined;

  constructor(
    private readonly lab: string,
    placed: Placed,
  ) {
    this.name = placed.spec.name;
    this.spec = placed.spec;
    this.folder = placed.folder;
    this.address = placed.address;
    this.sshPort = placed.sshPort;
    this.statdPort = placed.statdPort;
  }

  /** Presses the power switch. Idempotent. `ready` tells when it has come up. */
  async powerOn(...qemu: readonly string[]): Promise<void> {
    await this.switch('on', ...qemu);
  }

  /** Pulls the plug: when this returns the machine is gone; what it had sent to its disks is there. Idempotent. */
  async powerOff(): Promise<void> {
    await this.switch('off');
  }

  async freeze(): Promise<void> {
    await this.switch('freeze');
  }

  async thaw(): Promise<void> {
    await this.switch('thaw');
  }

  async state(): Promise<'on' | 'off' | 'frozen'> {
    return (await this.switch('state')).trim() as 'on' | 'off' | 'frozen';
  }

  /** Done when its role is played and ssh answers. @returns seconds since its kernel began, as it says itself. */
  async ready(): Promise<number> {
    const seconds = await waitFor(
      `guest ${this.name} to be ready`,
      READY_MS,
      async () => {
        const said = /LAB ready after ([\d.]+) s/.exec(this.console())?.[1];
        if (said !== undefined) return Number(said);
        if ((await this.state()) === 'off') throw new Error(`guest ${this.name} ended: ${this.lastWords()}`);
        return undefined;
      },
      () => this.lastWords(),
    );
    await this.answers();
    return seconds;
  }

  /** Until ssh answers. */
  async answers(): Promise<void> {
    let why = '';
    await waitFor(
      `ssh of guest ${this.name}`,
      SSH_MS,
      async () => {
        const tried = await this.try('true', 20_000);
        why = tried.stderr.trim();
        return tried.code === 0;
      },
      () => why,
    );
  }

  /** What the guest's kernel and init have printed. */
  console(): string {
    const file = join(this.folder, 'console');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  /** Runs a line of shell in it as root. @throws when it fails or is not done in time. */
  run(line: string, timeoutMs = 60_000): Promise<string> {
    return runOrThrow(join(this.lab, 'ssh'), [this.name, line], { timeoutMs });
  }

  /** As `run`, whatever comes of it. Code 255 is ssh's own: nobody answered. */
  try(line: string, timeoutMs = 60_000): Promise<Ran> {
    return run(join(this.lab, 'ssh'), [this.name, line], { timeoutMs });
  }

  /** Copies a file of this machine into it. */
  async put(file: string, to: string): Promise<void> {
    const line = `"$1" "$2" "cat >'$3'" <"$4"`;
    await runOrThrow('sh', ['-c', line, 'sh', join(this.lab, 'ssh'), this.name, to, file], {
      timeoutMs: SSH_MS,
    });
  }

  /** Copies a file of it here. */
  async fetch(from: string, file: string): Promise<void> {
    const line = `"$1" "$2" "cat '$3'" >"$4"`;
    await runOrThrow('sh', ['-c', line, 'sh', join(this.lab, 'ssh'), this.name, from, file], {
      timeoutMs: SSH_MS,
    });
  }

  /** Stops the whole machine between two instructions, for `writeState`. */
  async pause(): Promise<void> {
    await tellQemu(this.qmp, [{ execute: 'stop' }]);
  }

  async goOn(): Promise<void> {
    await tellQemu(this.qmp, [{ execute: 'cont' }]);
  }

  /** Writes what is in the memory of a paused machine; its disks are files beside it. */
  async writeState(file: string): Promise<void> {
    await tellQemu(this.qmp, [
      { execute: 'migrate-set-parameters', arguments: { 'max-bandwidth': 10_000_000_000 } },
      { execute: 'migrate', arguments: { uri: `exec:cat >'${file}'` } },
    ]);
    await waitFor(`the state of ${this.name} to be written`, SSH_MS, async () => {
      const [info] = (await tellQemu(this.qmp, [{ execute: 'query-migrate' }])) as [{ status?: string }];
      if (info.status === 'failed') throw new Error(`the state of ${this.name} could not be written`);
      return info.status === 'completed';
    });
  }

  /** Powers it on as it was when that state was written, and leaves it paused. */
  async readState(file: string): Promise<void> {
    await this.powerOn('-incoming', `exec:cat '${file}'`);
    await waitFor(
      `the state of ${this.name} to be read`,
      SSH_MS,
      async () => {
        if ((await this.state()) === 'off')
          throw new Error(`guest ${this.name} did not come back: ${this.lastWords()}`);
        const status = await this.status();
        return status === 'paused' || status === 'postmigrate';
      },
      () => this.lastWords(),
    );
  }

  /** As QEMU says; undefined while it does not listen yet. The socket's file is there a moment before anybody listens at it (seen on busy cores). */
  private async status(): Promise<string | undefined> {
    if (!existsSync(this.qmp)) return undefined;
    try {
      const [info] = (await tellQemu(this.qmp, [{ execute: 'query-status' }])) as [{ status: string }];
      return info.status;
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
      if (code === 'ECONNREFUSED' || code === 'ENOENT') return undefined;
      throw error;
    }
  }

  private get qmp(): string {
    return join(this.folder, 'qmp');
  }

  private lastWords(): string {
    const log = join(this.folder, 'log');
    const said = existsSync(log) ? readFileSync(log, 'latin1') : '';
    return `${this.console()}\n${said}`.trim().split('\n').slice(-3).join(' / ');
  }

  private switch(command: string, ...args: readonly string[]): Promise<string> {
    return runOrThrow(join(this.lab, 'host'), [command, this.folder, ...args], { timeoutMs: SWITCH_MS });
  }
}
