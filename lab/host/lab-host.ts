/**
 * One hypervisor host of the lab, seen from outside. What it does is in the shell script `host` beside this file, because a BMC has to
 * be able to do it too, when nothing of ours runs any more.
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { labFile } from '../lab-file';
import { type Ran, run, runOrThrow } from '../run';
import { waitFor } from '../wait-for';

const SWITCH_MS = 40_000;
const LIBVIRTD_ANSWERS_MS = 30_000;

/** `frozen`: every process of it is stopped; its power is on. */
export type HostState = 'on' | 'off' | 'frozen';

export class LabHost {
  readonly folder: string;
  /** For `virsh -c`, from anywhere on this machine, by the lab's user. */
  readonly uri: string;
  /** What stands before a command that is to run *on* the host: the lab's ssh. Exit code 255: no route to it. A frozen host hangs. */
  readonly enter: readonly string[];
  private readonly script: string;

  constructor(
    lab: string,
    readonly id: string,
  ) {
    this.folder = join(lab, id);
    this.script = join(lab, 'host');
    this.uri = `qemu+unix:///session?socket=${join(this.folder, 'run/libvirt/libvirt-sock')}`;
    this.enter = [this.script, 'enter', this.folder];
  }

  /** Presses the power switch; done when its libvirtd answers. Idempotent. */
  async powerOn(): Promise<void> {
    await this.switch('on');
    await this.libvirtdAnswers();
  }

  /** Pulls the plug; when this returns, no process of the host runs any more. Idempotent. */
  async powerOff(): Promise<void> {
    await this.switch('off');
  }

  async state(): Promise<HostState> {
    return (await this.switch('state')).trim() as HostState;
  }

  /** Stops every process of the host, guests included, as a hung kernel or a paused machine does. */
  async freeze(): Promise<void> {
    await this.switch('freeze');
  }

  async thaw(): Promise<void> {
    await this.switch('thaw');
  }

  /** SIGKILL to the daemon alone: its guests run on. */
  async killLibvirtd(): Promise<void> {
    await this.switch('kill-libvirtd');
    await waitFor(`libvirtd of ${this.id} to be gone`, 5_000, async () => !(await this.listens()));
  }

  async startLibvirtd(): Promise<void> {
    await this.switch('start-libvirtd');
    await this.libvirtdAnswers();
  }

  /** The id of the present boot, read where the host's own programs read it. */
  async bootId(): Promise<string> {
    return (await this.run(['cat', '/proc/sys/kernel/random/boot_id'])).trim();
  }

  /** @throws when it fails or the host does not answer in time. */
  run(command: readonly string[], timeoutMs = 10_000): Promise<string> {
    return runOrThrow(this.script, ['enter', this.folder, ...command], { timeoutMs });
  }

  /** Whatever virsh answers. */
  virsh(args: readonly string[], timeoutMs = 60_000): Promise<Ran> {
    return run('virsh', ['-q', '-k5', '-K3', '-c', this.uri, ...args], { timeoutMs });
  }

  /** @throws with virsh's own words. */
  virshOrThrow(args: readonly string[], timeoutMs = 60_000): Promise<string> {
    return runOrThrow('virsh', ['-q', '-k5', '-K3', '-c', this.uri, ...args], { timeoutMs });
  }

  /** Names of the VMs whose QEMU process runs here, as libvirtd says; it must answer. */
  async runningVms(): Promise<string[]> {
    const names = await this.virshOrThrow(['list', '--name'], 10_000);
    return names.split('\n').filter((name) => name !== '');
  }

  /** Has libvirtd learn what this QEMU can do, which takes it 0.6 s once per host, and hands it to hosts that were never on. */
  async shareCapabilities(others: readonly LabHost[]): Promise<void> {
    await this.virshOrThrow(['domcapabilities', '--virttype', 'qemu']);
    const known = 'cache/libvirt/qemu/cache/capabilities';
    for (const other of others) {
      if (existsSync(join(other.folder, known))) continue;
      cpSync(join(this.folder, known), join(other.folder, known), {
        recursive: true,
        preserveTimestamps: true,
      });
    }
  }

  private async libvirtdAnswers(): Promise<void> {
    const log = join(this.folder, 'log/init.log');
    await waitFor(
      `libvirtd of host ${this.id} to answer`,
      LIBVIRTD_ANSWERS_MS,
      () => this.listens(),
      () => readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' / '),
    );
    await this.virshOrThrow(['uri'], LIBVIRTD_ANSWERS_MS);
  }

  private listens(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(join(this.folder, 'run/libvirt/libvirt-sock'));
      // Whatever the reason, there is nobody who takes a connection yet.
      socket.once('error', () => resolve(false));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
    });
  }

  private switch(command: string): Promise<string> {
    return runOrThrow(this.script, [command, this.folder], { timeoutMs: SWITCH_MS });
  }
}

/** Puts the script where hosts and BMCs of this lab find it for as long as the lab lives. */
export function installHostScript(lab: string): void {
  copyFileSync(labFile('host/host'), join(lab, 'host'));
  chmodSync(join(lab, 'host'), 0o755);
}

/** The folders and settings of a host that was never on. `uuid` is its machine's. Idempotent. */
export function prepareHost(lab: string, id: string, uuid: string): void {
  const folder = join(lab, id);
  for (const part of ['conf/libvirt', 'cache', 'data', 'log', 'bmc/ipmi/state', 'bmc/redfish'])
    mkdirSync(join(folder, part), { recursive: true });
  // Nobody but the lab's user can reach the socket, so libvirtd need not ask who calls.
  const daemon = [
    'auth_unix_rw = "none"',
    'auth_unix_ro = "none"',
    `host_uuid = "${uuid}"`,
    `log_outputs = "3:file:${folder}/log/libvirtd.log"`,
  ];
  // What an ordinary user may not do, or what would tie a guest to programs outside of its host.
  const guests = [
    'dynamic_ownership = 0',
    'remember_owner = 0',
    'security_driver = "none"',
    'cgroup_controllers = [ ]',
    'namespaces = [ ]',
    'stdio_handler = "file"',
  ];
  writeFileSync(join(folder, 'conf/libvirt/libvirtd.conf'), daemon.join('\n') + '\n');
  writeFileSync(join(folder, 'conf/libvirt/qemu.conf'), guests.join('\n') + '\n');
}
