/** One simulated vCenter in a process of its own, and the orders that make it fail or lie. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';

export interface VsphereSimOptions {
  /** The built program (`obtainSimulator`). */
  readonly program: string;
  readonly hosts?: number;
  readonly standaloneHosts?: number;
  readonly vms?: number;
  readonly disks?: number;
  readonly diskBytes?: number;
  readonly datastores?: number;
  readonly datacenters?: number;
  readonly poweredOn?: boolean;
  /** Whether VMs have UUIDs that no other simulator's have. Otherwise they derive from their names. */
  readonly ownUuids?: boolean;
  /** Host and port of the SDK; by default a free port of the loopback. */
  readonly listen?: string;
  readonly password?: string;
  /** Where datastores are made; the system's folder for temporary files when left out. */
  readonly folder?: string;
}

/** What it prints when it is ready. */
interface ReadyLine {
  readonly sdk: string;
  readonly control: string;
  readonly ca: string;
  readonly sha256: string;
  readonly username: string;
  readonly home: string;
  readonly pid: number;
  readonly startMs: number;
}

/** How the next relocations of a VM go: a preset's name and what refines it. `lab/vsphere-sim/plan.go` says what each means. */
export interface RelocationPlan {
  readonly preset?: string;
  readonly submitFault?: string;
  readonly move?: number;
  readonly copyOnly?: number;
  readonly keepSource?: boolean;
  readonly corrupt?: 'short' | 'bytes';
  readonly ms?: number;
  readonly hold?: 'before' | 'between' | 'after';
  readonly cancel?: 'ignore' | 'refuse';
  readonly fault?: string;
  readonly goneOk?: boolean;
  readonly unregister?: 'before' | 'between' | 'after';
  readonly orphan?: boolean;
  readonly noProgress?: boolean;
  readonly times?: number;
}

export interface TransportRule {
  readonly method?: string;
  /** `lose-reply`, `reset`, `status:503`, `html`, `fault:<Type>`, `delay:<ms>`, `expire`. */
  readonly action: string;
  readonly skip?: number;
  readonly times?: number;
}

export interface SimVm {
  readonly ref: string;
  readonly instanceUuid: string;
  readonly vmx: string;
  readonly host: string;
  /** The host on which a process of it exists, whatever the inventory says. */
  readonly runsOn?: string;
  readonly power: string;
  readonly connection: string;
  readonly toldCopy?: boolean;
  /** Names of standard port groups, keys of distributed ones. */
  readonly networks: readonly string[];
  readonly disks: readonly {
    readonly key: number;
    readonly uuid: string;
    readonly datastore: string;
    readonly file: string;
  }[];
}

export interface SimState {
  readonly vms: Readonly<Record<string, SimVm>>;
  /** vmx paths of VMs that left the inventory. */
  readonly absent: readonly string[];
  readonly hosts: Readonly<Record<string, { readonly ref: string; readonly connection: string }>>;
  readonly datastores: readonly {
    readonly ref: string;
    readonly name: string;
    readonly path: string;
    readonly files: readonly string[];
  }[];
  readonly guests: Readonly<Record<string, string>>;
}

export interface SimCall {
  readonly n: number;
  readonly method: string;
  readonly this: string;
  readonly session: boolean;
  readonly status: number;
  readonly action?: string;
  readonly operationId?: string;
  readonly version?: string;
  /** What a vCenter would refuse in it. */
  readonly wire?: string;
}

export interface VsphereSim {
  readonly url: string;
  readonly controlUrl: string;
  readonly username: string;
  readonly password: string;
  /** PEM. */
  readonly ca: string;
  readonly thumbprint: string;
  readonly home: string;
  readonly pid: number;
  /** Sends an order to the control port. @throws what it objects to. */
  order(name: string, body?: object): Promise<unknown>;
  plan(plan: RelocationPlan & { readonly vm?: string }): Promise<void>;
  rule(rule: TransportRule): Promise<void>;
  state(): Promise<SimState>;
  /** Requests as they came over the wire, those of one method when it is named. */
  calls(method?: string): Promise<readonly SimCall[]>;
  /** Ends the process; its datastores go with it. Idempotent. */
  stop(): Promise<void>;
}

/** @throws when the program does not start. It ends with this process. */
export async function startVsphereSim(options: VsphereSimOptions): Promise<VsphereSim> {
  const password = options.password ?? randomBytes(12).toString('base64url');
  const child = spawn(options.program, ['-exit-with-stdin', ...flagsOf(options)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      TMPDIR: options.folder ?? process.env['TMPDIR'],
      VSPHERE_SIM_PASSWORD: password,
    },
  });
  const ready = await readyLine(child);
  return simulatorAt(ready, password, () => ended(child));
}

function flagsOf(options: VsphereSimOptions): string[] {
  const flags: Readonly<Record<string, string | number | undefined>> = {
    host: options.hosts,
    'standalone-host': options.standaloneHosts,
    vm: options.vms,
    disks: options.disks,
    'disk-bytes': options.diskBytes,
    ds: options.datastores,
    dc: options.datacenters,
    listen: options.listen,
  };
  const given = Object.entries(flags).flatMap(([name, value]) =>
    value === undefined ? [] : [`-${name}`, String(value)],
  );
  return [
    ...given,
    ...(options.poweredOn === true ? ['-autostart'] : []),
    ...(options.ownUuids === true ? ['-own-uuids'] : []),
  ];
}

function readyLine(child: ChildProcess): Promise<ReadyLine> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`the vCenter simulator ended with ${String(code)}: ${said.trim()}`)),
    );
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line) as ReadyLine));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.stdin?.end();
  await gone;
}

function simulatorAt(ready: ReadyLine, password: string, stop: () => Promise<void>): VsphereSim {
  const order = async (name: string, body: object = {}): Promise<unknown> => {
    const answer = await fetch(`${ready.control}/${name}`, { method: 'POST', body: JSON.stringify(body) });
    const said = await answer.text();
    if (!answer.ok)
      throw new Error(`the simulator refuses "${name}" ${JSON.stringify(body)}: ${said.trim()}`);
    return (JSON.parse(said) as { result: unknown }).result;
  };
  const look = async (path: string): Promise<unknown> => (await fetch(`${ready.control}/${path}`)).json();
  return {
    ...{ url: ready.sdk, controlUrl: ready.control, username: ready.username, password },
    ...{ ca: ready.ca, thumbprint: ready.sha256, home: ready.home, pid: ready.pid },
    ...{ order, stop },
    plan: async (plan) => {
      await order('plan', plan);
    },
    rule: async (rule) => {
      await order('rule', { rule });
    },
    state: async () => (await look('state')) as SimState,
    calls: async (method = '') => (await look(`calls?method=${method}`)) as readonly SimCall[],
  };
}
