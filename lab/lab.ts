/**
 * The real-host lab: libvirtd and QEMU hosts in namespaces, a BMC or two for each, and guests whose disks tell the truth. On one Linux
 * machine, by an ordinary user, in one folder.
 *
 * INVARIANTS:
 * - the manifest is on disk before anything runs, so a lab can be taken down whenever its creator died;
 * - every process writes itself down before it becomes what it is, by id and start time;
 * - what runs is looked at, never remembered: two processes may hold one lab open.
 */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bmc } from './bmc/bmc';
import type { BmcFault, BmcKind } from './bmc/faults';
import { IpmiBmc } from './bmc/ipmi';
import { RedfishBmc } from './bmc/redfish';
import { checkLabFolder, defaultLabFolder, makeLabFolder } from './folder';
import { makeBeatDisk } from './guest/disk';
import { domainXml } from './guest/domain-xml';
import { LabHost } from './host/lab-host';
import { inParallel } from './in-parallel';
import { LabVm } from './lab-vm';
import { type HostEntry, type LabManifest, claimManifest, readManifest, writeManifest } from './manifest';
import type { Verdict } from './oracle/judge';
import {
  DEFAULT_TICKS,
  type LabOptions,
  type LabProgress,
  type NewVm,
  furnish,
  newVmEntry,
  planLab,
} from './plan';
import { removeLab } from './remove';

export type { LabOptions, LabProgress, NewVm } from './plan';

export const LAB_USERNAME = 'fence';

/** A start takes 0.36 s of CPU: on few cores more of them at once only make each slower. */
const STARTS_AT_ONCE = 3;
const DISKS_AT_ONCE = 4;
const FIRST_BEAT_MS = 60_000;

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
  if (existsSync(join(folder, 'down')))
    throw new Error(`the lab in ${folder} is half taken down: \`vmedic lab down\` finishes that`);
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

async function runningOrNull(host: LabHost): Promise<readonly string[] | null> {
  const ran = await host.virsh(['list', '--name'], 3_000);
  return ran.code === 0 ? ran.stdout.split('\n').filter((name) => name !== '') : null;
}
