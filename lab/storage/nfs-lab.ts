/**
 * An NFS server and KVM hosts with guests that beat: what an NFS recovery is tried on. The same VMs at every restore, because a saved state
 * holds them running.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { makeBeatDisk } from '../guest/disk';
import { domainXml } from '../guest/domain-xml';
import type { LabStatus } from '../lab';
import type { Verdict } from '../oracle/judge';
import { judgeDiskFile } from '../oracle/read-disk';
import { runOrThrow } from '../run';
import { waitFor } from '../wait-for';
import { type GuestKernel, storageCache } from './image';
import { createStorageLab, type GuestSpec, openStorageLab, type StorageLab } from './storage-lab';

export const POOL_PATH = '/pool/vm';
export const CONSOLE_PATH = '/pool/console';
export const EXPORT_PATH = '/srv/vm';
export const SERVER = 'nfs';
export const STRANGER = 'stranger';
/** BIOS ticks between two beats, about one a second: a guest in a guest is slow. */
const TICKS = 18;
const OPTIONS = 'nfs-lab.json';
const START_MS = 120_000;
const BEAT_MS = 60_000;
const KEPT_MS = 7 * 24 * 60 * 60_000;

export interface NfsLabOptions {
  readonly folder: string;
  readonly version: '3' | '4.2';
  /** `right` by default. */
  readonly serverKernel?: GuestKernel;
  readonly hosts?: readonly string[];
  readonly leaseSeconds?: number;
  readonly mountOptions?: string;
  /** A guest `stranger` beside the hosts, which mounts the same export and is none of the fleet. */
  readonly stranger?: boolean;
  readonly progress?: (line: string) => void;
}

export interface NfsVm {
  readonly name: string;
  readonly uuid: string;
  readonly home: string;
  readonly image: string;
  readonly console: string;
}

export class NfsLab {
  constructor(
    readonly lab: StorageLab,
    readonly options: NfsLabOptions,
  ) {}

  get folder(): string {
    return this.lab.folder;
  }

  /** Where `vmedic.yaml` for this lab belongs. */
  get configFile(): string {
    return join(this.folder, 'vmedic.yaml');
  }

  get hosts(): readonly string[] {
    return this.options.hosts ?? ['hv-a', 'hv-b'];
  }

  /** One on each host, of the host's letter. */
  get vms(): readonly NfsVm[] {
    return this.hosts.map((home, at) => {
      const name = `vm-${home.slice(-1)}`;
      return {
        ...{ name, home, uuid: `00000000-0000-4000-8000-${String(at + 1).padStart(12, '0')}` },
        ...{ image: `${POOL_PATH}/${name}.qcow2`, console: `${CONSOLE_PATH}/${name}.log` },
      };
    });
  }

  vm(name: string): NfsVm {
    const vm = this.vms.find((v) => v.name === name);
    if (vm === undefined) throw new RangeError(`the lab has no VM ${name}`);
    return vm;
  }

  /** Everybody up and every VM beating, out of a saved state where there is one that fits; else from cold, and then saved. */
  async up(): Promise<void> {
    const state = await this.stateFolder();
    if (!existsSync(state)) {
      await this.lab.up();
      for (const vm of this.vms) await this.make(vm);
      await Promise.all(this.vms.map((vm) => this.start(vm.name)));
      await this.keep(state);
    }
    utimesSync(state, new Date(), new Date());
    await this.lab.restore(state);
    await this.lab.bmcsUp();
  }

  /** Power for whoever is off, as they are; for a lab that was up before. */
  async upAgain(): Promise<void> {
    await this.lab.up();
    await this.lab.bmcsUp();
  }

  async status(): Promise<LabStatus> {
    const hosts = this.hosts.map(async (id) => {
      const { address, port, username, passwordFile } = this.lab.bmc(id);
      const power = await this.lab.guest(id).state();
      const vms = power === 'on' ? await this.running(id).catch(() => null) : power === 'off' ? [] : null;
      const bmc = { address, port, username, passwordFile };
      return { id, uri: this.lab.libvirtUri(id), power, bmc, vms };
    });
    return { config: existsSync(this.configFile) ? this.configFile : null, hosts: await Promise.all(hosts) };
  }

  /** Back to the beginning, in seconds. */
  async reset(): Promise<void> {
    await this.lab.restore(await this.stateFolder());
  }

  async down(): Promise<void> {
    await this.lab.down();
  }

  /** Starts a VM by hand, where its definition is known. @throws with libvirt's words. Done when it beats. */
  async start(name: string, host = this.vm(name).home): Promise<void> {
    const before = await this.beats(name);
    await this.lab.guest(host).run(`virsh -q start ${name}`, START_MS);
    await this.beatsBeyond(name, before);
  }

  async define(name: string, host: string): Promise<void> {
    await this.lab.guest(host).run(`virsh -q define /keep/${name}.xml`);
  }

  /** Names of the VMs that libvirt says run there, in order. */
  async running(host: string): Promise<string[]> {
    const list = await this.lab.guest(host).run('virsh -q list --name');
    return list
      .split('\n')
      .filter((name) => name !== '')
      .sort();
  }

  /** How often it has beaten, as its console on the server shows. */
  async beats(name: string): Promise<number> {
    const count = await this.lab.guest(SERVER).run(`grep -c VMEDIC-BEAT /srv/console/${name}.log || :`);
    return Number(count.trim() || 0);
  }

  async beatsBeyond(name: string, count: number, timeoutMs = BEAT_MS): Promise<void> {
    await waitFor(`${name} to beat`, timeoutMs, async () => (await this.beats(name)) > count);
  }

  /** The oracle's word on a VM's disk, read from the server. */
  async judge(name: string): Promise<Verdict> {
    const folder = mkdtempSync(join(tmpdir(), 'vmedic-judge-'));
    try {
      const server = this.lab.guest(SERVER);
      // The console first: what was printed before is on the disk that is read last.
      await server.fetch(`/srv/console/${name}.log`, join(folder, 'serial'));
      await server.fetch(`/srv/vm/${name}.qcow2`, join(folder, 'disk'));
      const { uuid } = this.vm(name);
      const disk = { path: join(folder, 'disk'), serial: join(folder, 'serial') };
      return await judgeDiskFile({ ...disk, format: 'qcow2', vm: uuid });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  private async make(vm: NfsVm): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'vmedic-make-'));
    try {
      await makeBeatDisk(join(folder, 'disk'), 'qcow2', { ticks: TICKS });
      await this.lab.guest(SERVER).put(join(folder, 'disk'), `/srv/vm/${vm.name}.qcow2`);
      const xml = domainXml({ ...vm, disk: vm.image, format: 'qcow2', serial: vm.console });
      writeFileSync(join(folder, 'xml'), xml);
      for (const host of this.hosts)
        await this.lab.guest(host).put(join(folder, 'xml'), `/keep/${vm.name}.xml`);
      await this.lab.guest(vm.home).run(`virsh -q define /keep/${vm.name}.xml`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Two that made the same state at once have made the same thing: the first one's is kept. */
  private async keep(state: string): Promise<void> {
    const mine = `${state}.${process.pid}`;
    await this.lab.save(mine);
    try {
      renameSync(mine, state);
    } catch (cause) {
      if (!['ENOTEMPTY', 'EEXIST'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
      rmSync(mine, { recursive: true, force: true });
    }
    forgetOldStates(dirname(state));
  }

  private async stateFolder(): Promise<string> {
    const qemu = await runOrThrow('qemu-system-x86_64', ['--version'], { timeoutMs: 10_000 });
    const key = createHash('sha256').update(`${this.lab.shape} ${qemu} ${TICKS} 1`).digest('hex');
    return join(storageCache(), 'states', key.slice(0, 12));
  }
}

/** A state is half a gigabyte, and every change of the recipe makes another: what nobody has come back to for a week is let go. */
function forgetOldStates(folder: string): void {
  for (const name of readdirSync(folder)) {
    const lastUse = statSync(join(folder, name)).mtimeMs;
    if (Date.now() - lastUse > KEPT_MS) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** The lab that is in this folder, whoever made it; undefined when there is none. */
export function openNfsLab(
  folder: string,
  progress: (line: string) => void = () => undefined,
): NfsLab | undefined {
  const file = join(folder, OPTIONS);
  if (!existsSync(file)) return undefined;
  const options = JSON.parse(readFileSync(file, 'utf8')) as Omit<NfsLabOptions, 'folder'>;
  return new NfsLab(openStorageLab(folder, progress), { ...options, folder, progress });
}

export async function createNfsLab(options: NfsLabOptions): Promise<NfsLab> {
  const mount = {
    mount: options.version,
    ...(options.mountOptions !== undefined && { mountOptions: options.mountOptions }),
  };
  const hosts = options.hosts ?? ['hv-a', 'hv-b'];
  const lab = await createStorageLab({
    folder: options.folder,
    guests: [
      {
        ...{ name: SERVER, role: 'server', kernel: options.serverKernel ?? 'right' },
        ...(options.leaseSeconds !== undefined && { leaseSeconds: options.leaseSeconds }),
      },
      ...hosts.map((name): GuestSpec => ({ name, role: 'kvm', ...mount })),
      ...(options.stranger === true ? [{ name: STRANGER, role: 'client' as const, ...mount }] : []),
    ],
    ...(options.progress !== undefined && { progress: options.progress }),
  });
  const { folder, progress: _progress, ...made } = options;
  writeFileSync(join(folder, OPTIONS), JSON.stringify(made));
  return new NfsLab(lab, options);
}
