/**
 * Takes a lab down, whatever state its creator left it in: from what lies in its folder, never from memory, never by a process's name.
 *
 * The order matters. The file `down` comes first: from then on no host is powered on and no BMC starts (`host/host` looks), so that
 * nothing can come up behind us. BMCs end before hosts, because they can power hosts on.
 */
import { existsSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labFile } from './lab-file';
import { MANIFEST, readManifest } from './manifest';
import { endProcess, readRecord } from './recorded-process';
import { runOrThrow } from './run';

const OFF_MS = 40_000;

/** What a lab's folder holds beside its hosts. */
const PARTS = [
  'disks',
  'disks-2',
  'serial',
  'xml',
  'tls',
  'host',
  'vcenter',
  'vmedic.yaml',
  `${MANIFEST}.new`,
];

/** @returns false when no lab was there. Idempotent. Files in the folder that are not the lab's are left, and so is the folder then. */
export async function removeLab(
  lab: string,
  progress: (line: string) => void = () => undefined,
): Promise<boolean> {
  if (!existsSync(join(lab, MANIFEST)) && !existsSync(join(lab, 'down'))) return false;
  writeFileSync(join(lab, 'down'), '');
  const hosts = hostFolders(lab);
  progress(`taking down the lab in ${lab}: ${hosts.length} hosts and their BMCs`);
  await Promise.all(
    hosts.flatMap((id) =>
      ['ipmi', 'redfish'].map((kind) => endRecorded(join(lab, id, 'bmc', kind, 'process'))),
    ),
  );
  await endRecorded(join(lab, 'vcenter', 'process'));
  await Promise.all(
    hosts.map((id) => runOrThrow(labFile('host/host'), ['off', join(lab, id)], { timeoutMs: OFF_MS })),
  );
  for (const part of [...hosts, ...PARTS]) rmSync(join(lab, part), { recursive: true, force: true });
  rmSync(join(lab, MANIFEST), { force: true });
  rmSync(join(lab, 'down'), { force: true });
  try {
    rmdirSync(lab);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw cause;
    progress(`${lab} is left: it holds ${readdirSync(lab).join(', ')}, which the lab did not make`);
  }
  return true;
}

async function endRecorded(file: string): Promise<void> {
  const record = readRecord(file);
  if (record !== undefined) await endProcess(record);
}

/** Those of the manifest, and those that a creator made and died before or after naming them. */
function hostFolders(lab: string): string[] {
  const named = knownHosts(lab);
  const found = readdirSync(lab, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(lab, entry.name, 'conf/libvirt')))
    .map((entry) => entry.name);
  return [...new Set([...named.filter((id) => existsSync(join(lab, id))), ...found])];
}

function knownHosts(lab: string): string[] {
  try {
    return readManifest(lab)?.hosts.map((host) => host.id) ?? [];
  } catch {
    // A damaged manifest must not keep a lab from being taken down: the folders speak for themselves.
    return [];
  }
}
