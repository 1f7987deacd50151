/**
 * A Pacemaker cluster on one machine: every node is a set of Linux namespaces (network, mount, PID, IPC, host name) with its own
 * Corosync and Pacemaker, joined by a bridge in a network namespace of its own. Nothing of it can be reached from outside.
 *
 * INVARIANTS:
 * - SIGKILL to PID 1 of a node ends all of it at once: that is the power cut.
 * - A node counts as off only when its PID 1 is gone from /proc; only then does the power switch say so.
 * - `destroy` may be called at any time, also after a failed `build`, and more than once.
 */
import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { addressOf, cibConfiguration, type ClusterShape, corosyncConf } from './cluster-files';
import { CpuMeter, type CpuReading } from './cpu-meter';
import { type FenceNote, parseFenceNotes, parseVmNotes, type VmNote } from './figures';
import { BenchError, isGone, must, onlyChildOf, run, spawnInNamespaces, until } from './processes';

const nodeNamespaces = ['--net', '--mount', '--pid', '--ipc', '--uts', '--propagation', 'private'];
const nodeFolders = ['etc/corosync', 'var/lib/corosync', 'var/log/corosync'];
/** Pacemaker's daemons give up root and write here as their own user. */
const pacemakerFolders = ['', '/cib', '/pengine', '/cores', '/blackbox'];

interface ClusterNode {
  readonly name: string;
  readonly launcher: ChildProcess;
  readonly initPid: number;
}

/** The shell files lie beside the sources; compiled code runs from dist/. */
function shellFolder(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    if (folder === dirname(folder))
      throw new BenchError('the sources of the bench are not beside its compiled code');
    folder = dirname(folder);
  }
  return join(folder, 'bench', 'peers', 'pacemaker', 'node');
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

export class PacemakerCluster {
  readonly folder: string;
  private readonly meter: CpuMeter;
  private readonly nodes = new Map<string, ClusterNode>();
  private readonly died = new Map<string, number>();
  private bridge: { readonly launcher: ChildProcess; readonly pid: number } | undefined;

  constructor(
    readonly names: readonly string[],
    private readonly tokenMs: number,
    parentFolder: string,
  ) {
    this.folder = mkdtempSync(join(parentFolder, 'peer-'));
    chmodSync(this.folder, 0o755);
    this.meter = new CpuMeter(basename(this.folder));
  }

  /** Powers all nodes on and returns when every one of them sees all others and a controller is elected. */
  async build(): Promise<void> {
    this.layOut();
    const launcher = spawnInNamespaces(['--net', '--pid'], ['sleep', 'infinity'], this.folder);
    this.bridge = { launcher, pid: await this.initOf(launcher, 'the bridge') };
    await this.onBridge('link', 'add', 'sw0', 'type', 'bridge');
    await this.onBridge('link', 'set', 'sw0', 'up');
    await Promise.all(this.names.map((name, index) => this.powerOn(name, index)));
    await until('all nodes online', 120_000, 300, async () =>
      (await this.everyoneOnline()) ? true : undefined,
    );
  }

  private layOut(): void {
    const folder = (path: string): string => {
      mkdirSync(join(this.folder, path), { recursive: true });
      return join(this.folder, path);
    };
    for (const path of ['agents/resource.d/bench', 'events', 'power', 'state']) folder(path);
    const place = (from: string, to: string): void => {
      copyFileSync(join(shellFolder(), from), join(this.folder, to));
      chmodSync(join(this.folder, to), 0o755);
    };
    place('power-on', 'power-on');
    place('vm-agent', 'agents/resource.d/bench/Vm');
    place('fence-agent', 'agents/fence-agent');
    const hosts = this.names.map((name, index) => `${addressOf(index)} ${name}\n`).join('');
    writeFileSync(join(this.folder, 'hosts'), `127.0.0.1 localhost\n${hosts}`);
    for (const name of this.names) {
      folder(`state/${name}`);
      for (const path of nodeFolders) folder(`nodes/${name}/${path}`);
      writeFileSync(
        join(this.folder, `nodes/${name}/etc/corosync/corosync.conf`),
        corosyncConf(this.names, this.tokenMs),
      );
      for (const path of pacemakerFolders) folder(`nodes/${name}/var/lib/pacemaker${path}`);
      folder(`nodes/${name}/var/log/pacemaker`);
    }
  }

  private async powerOn(name: string, index: number): Promise<void> {
    const home = join(this.folder, 'nodes', name);
    await must([
      'chown',
      '-R',
      'hacluster:haclient',
      join(home, 'var/lib/pacemaker'),
      join(home, 'var/log/pacemaker'),
    ]);
    const launcher = spawnInNamespaces(nodeNamespaces, ['./power-on', name, addressOf(index)], this.folder);
    const initPid = await this.initOf(launcher, name);
    this.nodes.set(name, { name, launcher, initPid });
    this.meter.attach(initPid);
    const port = `port${index + 1}`;
    await this.onBridge(
      'link',
      'add',
      port,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      String(initPid),
    );
    await this.onBridge('link', 'set', port, 'master', 'sw0', 'up');
  }

  private initOf(launcher: ChildProcess, what: string): Promise<number> {
    const { pid } = launcher;
    if (pid === undefined)
      throw new BenchError(`${what} could not be started: are setpriv and unshare installed?`);
    return until(`PID 1 of ${what}`, 10_000, 10, () => onlyChildOf(pid));
  }

  private onBridge(...words: string[]): Promise<string> {
    return must(['nsenter', '-t', String(this.bridge?.pid), '-n', 'ip', ...words]);
  }

  private on(name: string, ...argv: string[]): readonly string[] {
    const node = this.nodes.get(name);
    if (node === undefined) throw new BenchError(`${name} is not powered on`);
    return ['nsenter', '-t', String(node.initPid), '-m', '-u', '-i', '-n', '-p', ...argv];
  }

  private async everyoneOnline(): Promise<boolean> {
    for (const name of this.names) {
      const { exitCode, stdout } = await run(this.on(name, 'crm_mon', '-1', '--output-as=xml'));
      const nodes = [...stdout.matchAll(/<node name="[^"]+" [^>]*>/g)].map(([tag]) => tag);
      const ready = nodes.filter((tag) => tag.includes('online="true"') && tag.includes('pending="false"'));
      if (exitCode !== 0 || ready.length !== this.names.length) return false;
    }
    return (await this.controller()) !== undefined;
  }

  /** The node whose Pacemaker decides for all (its "designated controller"). */
  async controller(): Promise<string | undefined> {
    const [first = ''] = this.alive();
    const { stdout } = await run(this.on(first, 'crmadmin', '-D', '-t', '5000'));
    return this.names.find((name) => new RegExp(`Designated Controller is: ${name}\\b`).test(stdout));
  }

  /** Hands the cluster its VMs and waits until it has nothing left to do. */
  async configure(shape: ClusterShape): Promise<void> {
    const [first = ''] = this.names;
    writeFileSync(join(this.folder, 'cib.xml'), cibConfiguration(shape));
    const modify = [
      'cibadmin',
      '--modify',
      '--allow-create',
      '-o',
      'configuration',
      '--xml-file',
      '/mnt/cib.xml',
    ];
    await must(this.on(first, ...modify));
    const limitSeconds = Math.ceil(120 + shape.vms.length * (1 + shape.startDelaySeconds));
    const wait = this.on(first, 'crm_resource', '--wait', `--timeout=${limitSeconds}s`);
    // On a busy machine it loses its connection to the cluster and gives up; the cluster goes on.
    await until('the cluster to have started its VMs', limitSeconds * 1000, 1000, async () =>
      (await run(wait, (limitSeconds + 10) * 1000)).exitCode === 0 ? true : undefined,
    );
  }

  /** Cuts the power and returns when the last process of the node is gone: `[asked, gone]` in ms of the system clock. */
  async cutPower(name: string): Promise<readonly [number, number]> {
    const node = this.nodes.get(name);
    if (node === undefined) throw new BenchError(`${name} is not powered on`);
    const asked = performance.timeOrigin + performance.now();
    process.kill(node.initPid, 'SIGKILL');
    await until(`${name} to be off`, 10_000, 2, () => (isGone(node.initPid) ? true : undefined));
    const gone = performance.timeOrigin + performance.now();
    this.died.set(name, gone);
    writeFileSync(join(this.folder, 'power', `${name}.off`), '');
    return [asked, gone];
  }

  cpu(): CpuReading {
    return this.meter.read();
  }

  alive(): string[] {
    return this.names.filter((name) => !this.died.has(name));
  }

  diedMs(): ReadonlyMap<string, number> {
    return this.died;
  }

  vmNotes(): Map<string, VmNote[]> {
    return new Map(
      this.names.map((name) => [name, parseVmNotes(readIfThere(join(this.folder, 'events', `vm.${name}`)))]),
    );
  }

  fenceNotes(): FenceNote[] {
    return parseFenceNotes(readIfThere(join(this.folder, 'events', 'fence')));
  }

  /** What runs on a living node now, read from the VMs' own state and not from notes. */
  runningOn(name: string): string[] {
    return readdirSync(join(this.folder, 'state', name));
  }

  async destroy(keepIn?: string): Promise<void> {
    const launchers = [...this.nodes.values()].map((node) => node.launcher);
    if (this.bridge !== undefined) launchers.push(this.bridge.launcher);
    for (const launcher of launchers) launcher.kill('SIGKILL');
    const pids = [...this.nodes.values()].map((node) => node.initPid).concat(this.bridge?.pid ?? []);
    await until('all nodes to be gone', 10_000, 10, () => (pids.every(isGone) ? true : undefined));
    this.meter.remove();
    if (keepIn !== undefined && existsSync(this.folder)) await must(['cp', '-r', this.folder, keepIn]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
