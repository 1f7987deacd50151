/** Who names a file, asked before it is moved without a VM, and before anything is removed: all records, and the definitions on hosts. */
import { DriverFault, fault } from '../domain/faults';
import type { Host } from '../domain/fleet';
import { type BeforeImage, type Leftover, onePath } from '../domain/volume-move';
import { declaredCluster, type Environment, signal } from './environment';
import type { ActOutcome } from './ports';

interface Named {
  readonly path: string;
  readonly who: string;
}

/**
 * For a disk that belongs to no VM every host of every cluster must have answered: a VM of any of them may name it, and one that does not
 * answer is no "no", proven off or not.
 */
export async function whoNamesFile(env: Environment, path: string): Promise<string | undefined> {
  const named = (await inRecords(env, [path])) ?? (await onHosts(env, [path], everyHost(env), 'in any word'));
  return named?.who;
}

/** Why leftovers stay: somebody names one of them, or it cannot be known. Hosts proven off have no say about the disks of a VM: its record has. */
export async function whoNamesLeftovers(
  env: Environment,
  before: BeforeImage,
  leftovers: readonly Leftover[],
): Promise<ActOutcome | undefined> {
  const paths = leftovers.map((l) => l.path);
  const isLoose = before.order.vmId === undefined;
  const kept = ({ path, who }: Named): ActOutcome => ({
    kind: 'refused',
    fault: fault('NOT_REMOVED', { path, vm: before.name, detail: who }),
  });
  const recorded = await inRecords(env, paths);
  if (recorded !== undefined) return kept(recorded);
  const hosts = isLoose ? everyHost(env) : await notProvenOff(env, before);
  try {
    const defined = await onHosts(env, paths, hosts, isLoose ? 'in any word' : 'as a disk');
    return defined === undefined ? undefined : kept(defined);
  } catch (error) {
    if (!(error instanceof DriverFault)) throw error;
    return { kind: 'unreachable', fault: error.fault };
  }
}

const everyHost = (env: Environment): Host[] => env.fleet.clusters.flatMap((c) => [...c.hosts]);

async function notProvenOff(env: Environment, { order }: BeforeImage): Promise<Host[]> {
  const hosts: Host[] = [];
  for (const host of declaredCluster(env, order.hostId).hosts)
    if ((await env.inventory.evidenceFor(host.id)) === undefined) hosts.push(host);
  return hosts;
}

async function inRecords(env: Environment, paths: readonly string[]): Promise<Named | undefined> {
  const wanted = new Set(paths.map(onePath));
  for (const vm of await env.inventory.vms()) {
    const disk = vm.shape.disks.find((d) => wanted.has(onePath(d.path)));
    if (disk !== undefined) return { path: disk.path, who: `the record of ${vm.name} names it` };
  }
  return undefined;
}

/** `in any word`: also as an empty drive's medium, firmware, a kernel, or whatever else a definition may name. */
async function onHosts(
  env: Environment,
  paths: readonly string[],
  hosts: readonly Host[],
  how: 'as a disk' | 'in any word',
): Promise<Named | undefined> {
  const wanted = new Set(paths.map(onePath));
  for (const { id } of hosts)
    for (const { name, shape, text } of await env.hypervisor.definitions(id, undefined, signal())) {
      const path =
        shape.disks.find((d) => wanted.has(onePath(d.path)))?.path ??
        (how === 'as a disk' ? undefined : paths.find((p) => isWordOf(text, p)));
      if (path !== undefined) return { path, who: `the definition of ${name} on ${id} names it` };
    }
  return undefined;
}

const isWordOf = (text: string, path: string): boolean =>
  [path, path.replaceAll('&', '&amp;')].some((p) =>
    [`'`, '"', '<'].some((end) => text.includes(`${p}${end}`)),
  );
