/**
 * The real-host lab: libvirtd and QEMU hosts in namespaces, a BMC or two for each, and guests whose disks tell the truth. On one Linux
 * machine, by an ordinary user, in one folder.
 *
 * INVARIANTS:
 * - the manifest is on disk before anything runs, so a lab can be taken down whenever its creator died;
 * - every process writes itself down before it becomes what it is, by id and start time;
 * - what runs is looked at, never remembered: two processes may hold one lab open.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bmc } from './bmc/bmc';
import type { BmcFault, BmcKind } from './bmc/faults';
import { IpmiBmc } from './bmc/ipmi';
import { freePort } from './bmc/ports';
import { RedfishBmc, makeCertificate } from './bmc/redfish';
import { checkLabFolder, defaultLabFolder, makeLabFolder } from './folder';
import { type DiskFormat, copyNewDisk, makeBeatDisk } from './guest/disk';
import { domainXml } from './guest/domain-xml';
import { LabHost, installHostScript, prepareHost } from './host/lab-host';
import { inParallel } from './in-parallel';
import { LabVm } from './lab-vm';
import {
  type HostEntry,
  type LabManifest,
  type VmEntry,
  claimManifest,
  readManifest,
  writeManifest,
} from './manifest';
import type { Verdict } from './oracle/judge';
import { removeLab } from './remove';

export type LabProgress = (line: string) => void;

export const LAB_USERNAME = 'fence';

/** A start takes 0.36 s of CPU: on few cores more of them at once only make each slower. */
const STARTS_AT_ONCE = 3;
const DISKS_AT_ONCE = 4;
const FIRST_BEAT_MS = 60_000;

/** BIOS ticks between two beats: about one a second. */
const DEFAULT_TICKS = 18;
const HOSTS_LIMIT = 26;
const VMS_LIMIT = 300;

export interface LabOptions {
  /** An absolute path of less than 50 characters; it must not exist, or be empty. */
  readonly folder?: string | undefined;
  readonly hosts?: number | undefined;
  /** Spread over the hosts in turn. */
  readonly vms?: number | undefined;
  /** All, or so many of them (the last ones), vanish from libvirt when they stop. */
  readonly transient?: boolean | number | undefined;
  readonly format?: DiskFormat | undefined;
  /** BIOS ticks (18.2 a second) between two beats of a guest. */
  readonly ticks?: number | undefined;
  readonly progress?: LabProgress | undefined;
}

export interface NewVm {
  readonly name: string;
  readonly home?: string;
  readonly transient?: boolean;
  readonly format?: DiskFormat;
  /** Lets two hosts open its disk at once. Raw only. */
  readonly shareable?: boolean;
  readonly ticks?: number;
}

export interface VmVerdict {
  readonly name: string;
  readonly verdict: Verdict;
}

export interface LabStatus {
  /** The config that `vmedic lab up` wrote, if it did. */
  readonly config: string | null;
  readonly hosts: readonly {
    readonly id: string;
    readonly uri: string;
    readonly power: 'on' | 'off' | 'frozen';
    readonly bmc: { address: string; port: number; username: string; passwordFile: string };
    /** Those that run here; null when the host is on and its libvirtd does not say. */
    readonly vms: readonly string[] | null;
  }[];
}

export class Lab {
  private readonly hostsById: ReadonlyMap<string, LabHost>;
  private readonly bmcs: ReadonlyMap<string, { readonly ipmi: IpmiBmc; readonly redfish: RedfishBmc }>;

  constructor(
    readonly folder: string,
    private manifest: LabManifest,
    private readonly progress: LabProgress,
  ) {
    this.hostsById = new Map(manifest.hosts.map(({ id }) => [id, new LabHost(folder, id)]));
    const place = (entry: HostEntry, port: number) => ({
      lab: folder,
      host: entry.id,
      port,
      username: LAB_USERNAME,
    });
    this.bmcs = new Map(
      manifest.hosts.map((entry) => [
        entry.id,
        {
          ipmi: new IpmiBmc(place(entry, entry.ipmiPort)),
          redfish: new RedfishBmc(place(entry, entry.redfishPort)),
        },
      ]),
    );
  }

  /** Where `vmedic.yaml` for this lab belongs. */
  get configFile(): string {
    return join(this.folder, 'vmedic.yaml');
  }

  get hosts(): readonly LabHost[] {
    return [...this.hostsById.values()];
  }

  get vms(): readonly LabVm[] {
    return this.manifest.vms.map((entry) => new LabVm(entry, this.host(entry.home)));
  }

  host(id: string): LabHost {
    const host = this.hostsById.get(id);
    if (host === undefined)
      throw new RangeError(`the lab has no host ${id}; it has ${[...this.hostsById.keys()].join(', ')}`);
    return host;
  }

  vm(name: string): LabVm {
    const vm = this.vms.find((candidate) => candidate.name === name);
    if (vm === undefined) throw new RangeError(`the lab has no VM ${name}`);
    return vm;
  }

  bmc(host: string): { readonly ipmi: IpmiBmc; readonly redfish: RedfishBmc } {
    const bmcs = this.bmcs.get(this.host(host).id);
    if (bmcs === undefined) throw new RangeError(`host ${host} has no BMC`);
    return bmcs;
  }

  virshUri(host: string): string {
    return this.host(host).uri;
  }

  /** From now on this BMC has these faults and no others; an empty list makes it whole. */
  setBmcFaults(host: string, kind: BmcKind, faults: readonly BmcFault[]): Promise<void> {
    return this.bmc(host)[kind].setFaults(faults);
  }

  /** Brings everything up that is not: BMCs, hosts, VMs that run nowhere. Done when every VM beats. Idempotent. */
  async up(): Promise<void> {
    this.progress(`starting ${this.hosts.length} hosts, each with an IPMI and a Redfish BMC`);
    const bmcs: Bmc[] = [...this.bmcs.values()].flatMap(({ ipmi, redfish }) => [ipmi, redfish]);
    await Promise.all([...bmcs.map((bmc) => bmc.start()), this.hostsOn()]);
    await this.startVms();
    this.progress(`the lab is up: ${this.hosts.length} hosts, ${this.manifest.vms.length} VMs`);
  }

  /** Ends and removes everything that the lab consists of. Idempotent. */
  async down(): Promise<void> {
    await removeLab(this.folder, this.progress);
  }

  async status(): Promise<LabStatus> {
    const hosts = this.hosts.map(async (host) => {
      const { address, port, username, passwordFile } = this.bmc(host.id).ipmi;
      const power = await host.state();
      const vms = power === 'on' ? await runningOrNull(host) : power === 'off' ? [] : null;
      return { id: host.id, uri: host.uri, power, bmc: { address, port, username, passwordFile }, vms };
    });
    return { config: existsSync(this.configFile) ? this.configFile : null, hosts: await Promise.all(hosts) };
  }

  /** The oracle's word on every VM's disk, by name. */
  async judgeDisks(): Promise<VmVerdict[]> {
    const verdicts = new Map<string, Verdict>();
    await inParallel(this.vms, DISKS_AT_ONCE, async (vm) => void verdicts.set(vm.name, await vm.judge()));
    return this.vms.map(({ name }) => ({ name, verdict: verdicts.get(name) as Verdict }));
  }

  /** One more VM: its disk and definition file are made; it is defined nowhere and does not run. */
  async addVm(vm: NewVm): Promise<LabVm> {
    const format = vm.format ?? (vm.shareable === true ? 'raw' : 'qcow2');
    const entry = newVmEntry(this.folder, vm, vm.home ?? (this.hosts[0] as LabHost).id, format);
    if (this.manifest.vms.some(({ name }) => name === vm.name))
      throw new RangeError(`the lab has a VM ${vm.name} already`);
    await makeBeatDisk(entry.disk, format, { ticks: vm.ticks ?? DEFAULT_TICKS });
    writeFileSync(entry.xmlFile, domainXml(entry));
    this.manifest = { ...this.manifest, vms: [...this.manifest.vms, entry] };
    writeManifest(this.folder, this.manifest);
    return this.vm(vm.name);
  }

  private async hostsOn(): Promise<void> {
    const [first, ...others] = this.hosts;
    await first?.powerOn();
    await first?.shareCapabilities(others);
    await Promise.all(others.map((host) => host.powerOn()));
    for (const host of this.hosts) if ((await host.state()) === 'frozen') await host.thaw();
  }

  private async startVms(): Promise<void> {
    const running = new Set((await Promise.all(this.hosts.map((host) => host.runningVms()))).flat());
    const toStart = this.vms.filter((vm) => !running.has(vm.name));
    await Promise.all(
      this.hosts.map(async (host) => {
        for (const vm of toStart) if (vm.home === host && !vm.entry.transient) await vm.define();
      }),
    );
    let started = 0;
    await inParallel(toStart, STARTS_AT_ONCE, async (vm) => {
      const printed = vm.printed().length;
      await vm.start();
      await vm.beatsBeyond(printed, FIRST_BEAT_MS);
      this.progress(`${vm.name} beats on ${vm.home.id} (${++started} of ${toStart.length})`);
    });
  }
}

/** Makes a lab's folder, settings, disks and definitions. Nothing runs yet: call `up`. @throws when a lab is there already. */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  if (process.getuid?.() === 0)
    throw new Error(
      'the lab runs as an ordinary user: libvirt gives root another kind of daemon. Use lab/install/as-user',
    );
  const folder = options.folder ?? defaultLabFolder();
  checkLabFolder(folder);
  const progress = options.progress ?? ((): void => undefined);
  const manifest = await planLab(folder, options);
  makeLabFolder(folder);
  const strangers = readdirSync(folder);
  if (strangers.length > 0 && readManifest(folder) === undefined)
    throw new Error(
      `${folder} holds ${strangers.join(', ')} and no lab: choose an empty folder, or one that does not exist`,
    );
  claimManifest(folder, manifest);
  progress(`making a lab of ${manifest.hosts.length} hosts and ${manifest.vms.length} VMs in ${folder}`);
  await furnish(folder, manifest, options.ticks ?? DEFAULT_TICKS);
  return new Lab(folder, manifest, progress);
}

/** A lab that is there, whoever made it. @throws when there is none. */
export function openLab(folder = defaultLabFolder(), progress: LabProgress = () => undefined): Lab {
  const manifest = readManifest(folder);
  if (manifest === undefined) throw new Error(`there is no lab in ${folder}: \`vmedic lab up\` makes one`);
  return new Lab(folder, manifest, progress);
}

async function planLab(folder: string, options: LabOptions): Promise<LabManifest> {
  const hostCount = within('hosts', options.hosts ?? 3, 1, HOSTS_LIMIT);
  const vmCount = within('vms', options.vms ?? 10, 0, VMS_LIMIT);
  const transient = options.transient === true ? vmCount : Number(options.transient ?? 0);
  const ports = new Set<number>();
  const port = async (): Promise<number> => {
    const free = await freePort(ports);
    ports.add(free);
    return free;
  };
  const hosts: HostEntry[] = [];
  for (let i = 0; i < hostCount; i++)
    hosts.push({
      id: `hv-${String.fromCharCode(97 + i)}`,
      uuid: randomUUID(),
      ipmiPort: await port(),
      redfishPort: await port(),
    });
  const digits = Math.max(2, String(vmCount).length);
  const vms = Array.from({ length: vmCount }, (_, i) => {
    const name = `vm-${String(i + 1).padStart(digits, '0')}`;
    const home = (hosts[i % hostCount] as HostEntry).id;
    return newVmEntry(folder, { name, transient: i >= vmCount - transient }, home, options.format ?? 'qcow2');
  });
  return { version: 1, createdAt: new Date().toISOString(), hosts, vms };
}

async function furnish(folder: string, manifest: LabManifest, ticks: number): Promise<void> {
  for (const part of ['disks', 'serial', 'xml', 'tls']) mkdirSync(join(folder, part));
  installHostScript(folder);
  for (const { id, uuid } of manifest.hosts) {
    prepareHost(folder, id, uuid);
    for (const kind of ['ipmi', 'redfish'])
      writeFileSync(join(folder, id, 'bmc', kind, 'password'), randomBytes(8).toString('hex'), {
        mode: 0o600,
      });
  }
  await Promise.all([makeCertificate(folder), makeDisks(folder, manifest.vms, ticks)]);
  for (const vm of manifest.vms) writeFileSync(vm.xmlFile, domainXml(vm));
}

async function makeDisks(folder: string, vms: readonly VmEntry[], ticks: number): Promise<void> {
  const format = vms[0]?.format;
  if (format === undefined) return;
  const template = join(folder, 'disks', 'template');
  await makeBeatDisk(template, format, { ticks });
  for (const vm of vms) await copyNewDisk(template, vm.disk);
  rmSync(template);
}

function newVmEntry(folder: string, vm: NewVm, home: string, format: DiskFormat): VmEntry {
  if (!/^[a-z0-9][a-z0-9-]{0,9}$/.test(vm.name))
    throw new RangeError(
      `"${vm.name}" is no name for a VM of the lab: at most 10 small letters, digits and dashes, for the sockets' sake`,
    );
  return {
    name: vm.name,
    uuid: randomUUID(),
    home,
    transient: vm.transient ?? false,
    format,
    shareable: vm.shareable ?? false,
    disk: join(folder, 'disks', `${vm.name}.${format}`),
    serial: join(folder, 'serial', `${vm.name}.log`),
    xmlFile: join(folder, 'xml', `${vm.name}.xml`),
  };
}

function within(what: string, count: number, least: number, most: number): number {
  if (!Number.isInteger(count) || count < least || count > most)
    throw new RangeError(`a lab has ${least} to ${most} ${what}, not ${count}`);
  return count;
}

async function runningOrNull(host: LabHost): Promise<readonly string[] | null> {
  const ran = await host.virsh(['list', '--name'], 3_000);
  return ran.code === 0 ? ran.stdout.split('\n').filter((name) => name !== '') : null;
}
