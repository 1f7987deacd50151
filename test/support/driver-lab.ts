/** A small lab of real hosts for suites that try one driver at a time, and the ways to break it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ChildGateway, openChildGateway } from '../../drivers/child-processes';
import { createHostCommands, type HostCommands } from '../../drivers/host-commands';
import { createLibvirtHypervisor, type LibvirtHypervisor, type LibvirtOptions } from '../../drivers/libvirt';
import { hostId, poolId, vmId } from '../../domain/ids';
import type { StoredDefinition } from '../../domain/records';
import { createLab, type Lab, type NewVm } from '../../lab/lab';
import type { LabHost } from '../../lab/host/lab-host';
import type { LabVm } from '../../lab/lab-vm';
import { waitFor } from '../../lab/wait-for';

/** Drivers start their gateway from TypeScript here. */
export const testGateway = (): ChildGateway =>
  openChildGateway({ execArgv: ['-r', join(__dirname, 'typescript-child.cjs')] });

/** So few, that a test need not block 22 calls to hang a daemon as a production one hangs. */
const daemonWorkers = 3;

export interface DriverLab {
  readonly lab: Lab;
  readonly gateway: ChildGateway;
  /** A VM that is known nowhere yet. */
  newVm(options?: Partial<NewVm>): Promise<LabVm>;
  hypervisor(options?: Partial<LibvirtOptions>): LibvirtHypervisor;
  hostCommands(hypervisor?: LibvirtHypervisor): HostCommands;
  /** As a full daemon hangs: statistics, starts and definitions are not answered, the plain list is. */
  hangDaemon(host: LabHost): Promise<void>;
  resumeDaemon(host: LabHost): Promise<void>;
  /** Hosts on which a QEMU process of the VM exists, by their process tables. */
  processesOf(vm: string): Promise<string[]>;
  /** Everything on and whole, and no VM known anywhere. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export const labPool = poolId('lab-shared');

export const definitionOf = (vm: LabVm): StoredDefinition => ({
  vmId: vmId(vm.uuid),
  version: 1,
  text: readFileSync(vm.entry.xmlFile, 'utf8'),
  readFrom: hostId(vm.home.id),
  readAt: new Date().toISOString(),
});

export async function openDriverLab(hosts = 2): Promise<DriverLab> {
  // Sockets have 108 bytes for their path, so the folder's is short.
  const folder = mkdtempSync('/tmp/vmd-');
  const lab = await createLab({ folder, hosts, vms: 0, ticks: 4 });
  for (const host of lab.hosts)
    appendFileSync(
      join(host.folder, 'conf/libvirt/libvirtd.conf'),
      `min_workers = ${daemonWorkers}\nmax_workers = ${daemonWorkers}\n`,
    );
  await lab.up();
  return new Opened(lab, folder, testGateway());
}

interface Hang {
  readonly vm: LabVm;
  readonly blocked: readonly ChildProcess[];
}

class Opened implements DriverLab {
  private vms = 0;
  private readonly hangs = new Map<LabHost, Hang>();

  constructor(
    readonly lab: Lab,
    private readonly folder: string,
    readonly gateway: ChildGateway,
  ) {}

  newVm(options: Partial<NewVm> = {}): Promise<LabVm> {
    this.vms += 1;
    return this.lab.addVm({ name: `c-${this.vms}`, ticks: 4, ...options });
  }

  hypervisor(options: Partial<LibvirtOptions> = {}): LibvirtHypervisor {
    const disks = join(this.folder, 'disks');
    return createLibvirtHypervisor({
      gateway: this.gateway,
      hosts: this.lab.hosts.map((h) => ({ id: hostId(h.id), uri: h.uri })),
      poolOf: (path) => (path.startsWith(`${disks}/`) ? labPool : undefined),
      ...options,
    });
  }

  hostCommands(hypervisor?: LibvirtHypervisor): HostCommands {
    return createHostCommands({
      gateway: this.gateway,
      hosts: this.lab.hosts.map((h) => ({
        id: hostId(h.id),
        transport: { driver: 'namespace', enter: h.enter },
        ownerFile: join(h.folder, 'owner'),
      })),
      ...(hypervisor !== undefined && { pingGuestAgent: hypervisor.pingGuestAgent.bind(hypervisor) }),
    });
  }

  async hangDaemon(host: LabHost): Promise<void> {
    const vm = await this.newVm({ home: host.id, transient: true });
    await vm.start(host);
    await signalGuest(host, vm, 'STOP');
    const ask = ['-q', '-c', host.uri, 'domstats', vm.name];
    const blocked = Array.from({ length: daemonWorkers + 2 }, () =>
      spawn('virsh', ask, { stdio: 'ignore', detached: true }),
    );
    this.hangs.set(host, { vm, blocked });
    const unanswered = async (): Promise<boolean> =>
      (await host.virsh(['domstats', '--state', '--raw'], 1_000)).timedOut;
    // Once may be a busy machine: hung is what does not answer while the plain list is answered in between.
    const hung = async (): Promise<boolean> =>
      (await unanswered()) && (await host.virsh(['list', '--all'], 1_000)).code === 0 && unanswered();
    await waitFor(`libvirtd of ${host.id} to hang`, 30_000, hung);
  }

  async resumeDaemon(host: LabHost): Promise<void> {
    const hang = this.hangs.get(host);
    if (hang === undefined) return;
    this.hangs.delete(host);
    await signalGuest(host, hang.vm, 'CONT');
    for (const child of hang.blocked) child.kill('SIGKILL');
    await host.virshOrThrow(['domstats', '--state', '--raw'], 60_000);
    await host.virsh(['destroy', hang.vm.name]);
  }

  async processesOf(vm: string): Promise<string[]> {
    const script = `for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <"$f" 2>/dev/null; echo; done | grep -c "^/usr/bin/qemu-system.*-uuid $1" || true`;
    const found = await Promise.all(
      this.lab.hosts.map(async (host) => {
        if ((await host.state()) !== 'on') return [];
        const count = Number((await host.run(['sh', '-c', script, 'sh', vm])).trim());
        return Array.from({ length: count }, () => host.id);
      }),
    );
    return found.flat();
  }

  async reset(): Promise<void> {
    for (const host of [...this.hangs.keys()])
      if ((await host.state()) === 'on') await this.resumeDaemon(host);
      else this.hangs.delete(host);
    for (const host of this.lab.hosts) {
      const state = await host.state();
      if (state === 'frozen') await host.thaw();
      // A test that failed may have left the daemon stopped; one that is not there needs no signal.
      if (state !== 'off') await signalDaemon(host, 'CONT').catch(() => undefined);
      if (state === 'off') await host.powerOn();
      else if ((await host.virsh(['uri'], 5_000)).code !== 0) await host.startLibvirtd();
      for (const kind of ['ipmi', 'redfish'] as const) await this.lab.setBmcFaults(host.id, kind, []);
      const names = (list: string): string[] => list.split('\n').filter((n) => n !== '');
      for (const name of names(await host.virshOrThrow(['list', '--name'])))
        await host.virshOrThrow(['destroy', name]);
      for (const name of names(await host.virshOrThrow(['list', '--all', '--name'])))
        await host.virshOrThrow(['undefine', name, '--managed-save']);
    }
  }

  async close(): Promise<void> {
    for (const { blocked } of this.hangs.values()) for (const child of blocked) child.kill('SIGKILL');
    await this.gateway.close();
    await this.lab.down();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** To the guest's QEMU process, by the pid file that its libvirtd keeps. */
export async function signalGuest(host: LabHost, vm: LabVm, name: 'STOP' | 'CONT' | 'KILL'): Promise<void> {
  const file = join(host.folder, 'run/libvirt/qemu/run', `${vm.name}.pid`);
  await host.run(['sh', '-c', 'kill -"$1" "$(cat "$2")"', 'sh', name, file]);
}

/** To the daemon alone. A stopped one takes connections and answers nothing. */
export async function signalDaemon(host: LabHost, name: 'STOP' | 'CONT'): Promise<void> {
  const file = join(host.folder, 'run/libvirtd.pid');
  await host.run(['sh', '-c', 'kill -"$1" "$(cat "$2")"', 'sh', name, file]);
}
