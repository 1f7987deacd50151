/** A simulated vCenter in a lab: a process of its own that outlives its starter, written down like every other of the lab. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labFile } from '../lab-file';
import { endProcess, isAlive, readRecord } from '../recorded-process';
import { waitFor } from '../wait-for';
import { obtainSimulator } from './program';
import type { SimState } from './simulator';

/** What the lab's vCenter is called in its config. */
export const LAB_VCENTER = 'lab-vcenter';
const READY_MS = 30_000;

export interface LabVcenterOptions {
  readonly hosts: number;
  readonly vms: number;
  readonly progress: (line: string) => void;
}

export interface LabVcenterFacts {
  readonly url: string;
  readonly controlUrl: string;
  readonly username: string;
  readonly passwordFile: string;
  readonly thumbprint: string;
  readonly hosts: readonly string[];
  readonly vms: readonly string[];
  readonly datastores: readonly string[];
  readonly networks: readonly string[];
}

export class LabVcenter {
  private readonly folder: string;

  constructor(private readonly lab: string) {
    this.folder = join(lab, 'vcenter');
  }

  get running(): boolean {
    const record = readRecord(this.at('process'));
    return record !== undefined && isAlive(record);
  }

  /** Whether the lab has one, running or not. */
  get exists(): boolean {
    return existsSync(this.folder);
  }

  /**
   * Done when it answers. Idempotent; one that ended begins anew, with VMs as they were at first.
   *
   * @throws a sentence with the way out where its program cannot be had.
   */
  async start({ hosts, vms, progress }: LabVcenterOptions): Promise<LabVcenterFacts> {
    if (this.running) return this.facts();
    const program = await obtainSimulator(progress);
    if ('reason' in program)
      throw new Error(
        `The vCenter simulator cannot be had: ${program.reason}; install Go 1.25 or newer (https://go.dev/dl)`,
      );
    for (const left of ['process', 'ready', 'datastores'])
      rmSync(this.at(left), { recursive: true, force: true });
    mkdirSync(this.at('datastores'), { recursive: true, mode: 0o700 });
    if (!existsSync(this.at('password')))
      writeFileSync(this.at('password'), `${randomBytes(12).toString('base64url')}\n`, { mode: 0o600 });
    progress(`starting a simulated vCenter: ${hosts} ESXi hosts, ${vms} VMs`);
    this.launch(program.path, ['-host', String(hosts), '-vm', String(vms), '-disks', '1', '-autostart']);
    await waitFor('the simulated vCenter to answer', READY_MS, () => this.readyLine() !== undefined);
    return this.facts();
  }

  /** Done when it is gone. Idempotent. */
  async stop(): Promise<void> {
    const record = readRecord(this.at('process'));
    if (record !== undefined) await endProcess(record);
  }

  /** @throws when it does not run. */
  async facts(): Promise<LabVcenterFacts> {
    const ready = this.readyLine();
    if (ready === undefined) throw new Error(`no vCenter runs in ${this.lab}`);
    const state = (await (await fetch(`${ready.control}/state`)).json()) as SimState;
    return {
      ...{ url: ready.sdk, controlUrl: ready.control, username: ready.username, thumbprint: ready.sha256 },
      passwordFile: this.at('password'),
      hosts: Object.keys(state.hosts),
      vms: Object.keys(state.vms),
      datastores: state.datastores.map((d) => d.name),
      networks: [...new Set(Object.values(state.vms).flatMap((vm) => vm.networks))],
    };
  }

  private at(name: string): string {
    return join(this.folder, name);
  }

  private readyLine(): { sdk: string; control: string; username: string; sha256: string } | undefined {
    if (!existsSync(this.at('ready'))) return undefined;
    const text = readFileSync(this.at('ready'), 'utf8');
    return text.endsWith('\n') ? (JSON.parse(text) as ReturnType<LabVcenter['readyLine']>) : undefined;
  }

  private launch(program: string, args: readonly string[]): void {
    const ready = openSync(this.at('ready'), 'w', 0o600);
    const log = openSync(this.at('log'), 'a', 0o600);
    try {
      const child = spawn(
        labFile('host/host'),
        ['recorded', this.lab, this.at('process'), program, ...args],
        {
          detached: true,
          stdio: ['ignore', ready, log],
          cwd: '/',
          env: {
            PATH: process.env['PATH'],
            TMPDIR: this.at('datastores'),
            VSPHERE_SIM_PASSWORD: readFileSync(this.at('password'), 'utf8').trim(),
          },
        },
      );
      // What goes wrong is seen by its not answering.
      child.once('error', () => undefined);
      child.unref();
    } finally {
      closeSync(ready);
      closeSync(log);
    }
  }
}

const idOf = (host: string): string => host.replaceAll('_', '-').toLowerCase();

/** What `vmedic.yaml` says about it. Its hosts have no BMC: a person attests that one is off. */
export function vcenterConfig(facts: LabVcenterFacts) {
  const { url, username, passwordFile, thumbprint } = facts;
  return {
    vcenters: [{ id: LAB_VCENTER, url, username, thumbprint, password: `file:${passwordFile}` }],
    cluster: {
      id: 'lab-esx',
      mode: 'automatic' as const,
      hosts: facts.hosts.map((name) => ({
        id: idOf(name),
        hypervisor: { driver: 'vsphere' as const, vcenter: LAB_VCENTER, name },
        commands: { driver: 'vsphere' as const },
        capacity: { memoryMiB: 16_384, vcpus: 32 },
        pools: [...facts.datastores],
        networks: [...facts.networks],
      })),
      policy: { health: { kind: 'running' as const } },
    },
    pools: facts.datastores.map((name) => ({
      ...{ id: name, type: 'vmfs' as const, path: `/vmfs/volumes/${name}`, lockStrategy: 'none' as const },
    })),
  };
}
