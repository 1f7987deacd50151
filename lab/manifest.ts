/** What a lab consists of, on disk, so that another process can open it and take it down. What runs is never in here: it is looked at. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskFormat } from './guest/disk';

export const MANIFEST = 'lab.json';

export interface HostEntry {
  readonly id: string;
  readonly uuid: string;
  readonly ipmiPort: number;
  readonly redfishPort: number;
}

export interface VmEntry {
  readonly name: string;
  readonly uuid: string;
  /** The host it is defined and first started on. */
  readonly home: string;
  /** Vanishes from libvirt when it stops, as all of CloudStack's do. */
  readonly transient: boolean;
  readonly format: DiskFormat;
  readonly shareable: boolean;
  readonly disk: string;
  readonly serial: string;
  /** Its definition, for `virsh define` or `virsh create` on any host. */
  readonly xmlFile: string;
}

export interface LabManifest {
  readonly version: 1;
  readonly createdAt: string;
  readonly hosts: readonly HostEntry[];
  readonly vms: readonly VmEntry[];
}

/** @throws when a lab is there already: two creators of one folder exclude each other here. */
export function claimManifest(lab: string, manifest: LabManifest): void {
  try {
    writeFileSync(join(lab, MANIFEST), JSON.stringify(manifest, undefined, 2), { flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new Error(`a lab is already in ${lab}: open it, or take it down first`, { cause });
  }
}

export function writeManifest(lab: string, manifest: LabManifest): void {
  const next = join(lab, `${MANIFEST}.new`);
  writeFileSync(next, JSON.stringify(manifest, undefined, 2));
  renameSync(next, join(lab, MANIFEST));
}

/** undefined when no lab is there. @throws when there is one that this version cannot read. */
export function readManifest(lab: string): LabManifest | undefined {
  let text: string;
  try {
    text = readFileSync(join(lab, MANIFEST), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  const manifest = parsed(lab, text);
  if (manifest.version === 1) return manifest as LabManifest;
  throw new Error(`the lab in ${lab} is of another version of VMedic: take it down and make it anew`);
}

function parsed(lab: string, text: string): { version: number } {
  try {
    return JSON.parse(text) as { version: number };
  } catch (cause) {
    throw new Error(`${join(lab, MANIFEST)} is damaged: take the lab down and make it anew`, { cause });
  }
}
