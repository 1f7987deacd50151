/** What a lab is made of: from options to a manifest, and from a manifest to files. Nothing here starts a process that stays. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './bmc/ports';
import { makeCertificate } from './bmc/redfish';
import { type DiskFormat, copyNewDisk, makeBeatDisk } from './guest/disk';
import { domainXml } from './guest/domain-xml';
import { installHostScript, prepareHost } from './host/lab-host';
import type { HostEntry, LabManifest, VmEntry } from './manifest';

export type LabProgress = (line: string) => void;

/** BIOS ticks between two beats: about one a second. */
export const DEFAULT_TICKS = 18;
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

/** Names, ports and places; nothing is made yet. */
export async function planLab(folder: string, options: LabOptions): Promise<LabManifest> {
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

/** Makes everything that the manifest names, in a folder that holds nothing but the manifest. */
export async function furnish(folder: string, manifest: LabManifest, ticks: number): Promise<void> {
  for (const part of ['disks', 'disks-2', 'serial', 'xml', 'tls']) mkdirSync(join(folder, part));
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

export function newVmEntry(folder: string, vm: NewVm, home: string, format: DiskFormat): VmEntry {
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
