/** Names as people type them, and what they stand for; an unknown one is refused with those that are known. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { InventoryPort } from '../activities/ports';
import { fault } from '../domain/faults';
import { clusterOf, type Fleet, type Host, findHost, poolOf } from '../domain/fleet';
import {
  type ClusterId,
  diskId,
  type DiskId,
  hostId,
  type HostId,
  type IncidentId,
  isId,
  type PoolId,
} from '../domain/ids';
import type { IncidentRecord, VmRecord } from '../domain/records';
import { diskKey, type DiskKey, onePath } from '../domain/volume-move';
import { Refusal } from './errors';

export function knownHost(fleet: Fleet, host: string): { id: HostId; cluster: ClusterId; declared: Host } {
  const id = isId(host) ? hostId(host) : undefined;
  const declared = id === undefined ? undefined : findHost(fleet, id);
  const cluster = id === undefined ? undefined : clusterOf(fleet, id);
  if (id !== undefined && declared !== undefined && cluster !== undefined)
    return { id, declared, cluster: cluster.id };
  const known = fleet.clusters.flatMap((c) => c.hosts.map((h) => h.id)).join(', ');
  const { code, sentence, next } = fault('UNKNOWN_HOST', { host, known });
  throw new Refusal('usage', code, sentence, next);
}

export function knownCluster(fleet: Fleet, cluster: string): ClusterId {
  const found = fleet.clusters.find((c) => c.id === cluster);
  if (found !== undefined) return found.id;
  const known = fleet.clusters.map((c) => c.id).join(', ');
  const sentence = `There is no cluster ${cluster} in the config; known: ${known}`;
  throw new Refusal('usage', 'UNKNOWN_CLUSTER', sentence, 'vmedic host list');
}

/** By UUID or by name; refused when there is none, or several of that name. */
export async function knownVm(inventory: Pick<InventoryPort, 'vms'>, vm: string): Promise<VmRecord> {
  const all = await inventory.vms();
  const byId = all.find((v) => v.vmId === vm);
  if (byId !== undefined) return byId;
  const named = all.filter((v) => v.name === vm);
  const only = named[0];
  if (only !== undefined && named.length === 1) return only;
  if (only === undefined) {
    const { code, sentence, next } = fault('UNKNOWN_VM', { vm });
    throw new Refusal('usage', code, sentence, next);
  }
  const ids = named.map((v) => `${v.vmId} (on ${v.hostId})`).join(', ');
  throw new Refusal(
    'usage',
    'AMBIGUOUS_VM',
    `${named.length} VMs are called ${vm}: ${ids}`,
    'name it by its UUID',
  );
}

export async function knownIncident(
  inventory: Pick<InventoryPort, 'incident'>,
  id: string,
): Promise<IncidentRecord> {
  const record = await inventory.incident(id as IncidentId);
  if (record !== undefined) return record;
  throw new Refusal('usage', 'UNKNOWN_INCIDENT', `There is no incident ${id}`, 'vmedic incident list');
}

/** By UUID or by device name. */
export function knownDisk(vm: VmRecord, disk: string): DiskKey {
  const found = vm.shape.disks.find((d) => d.uuid === disk || d.device === disk || d.path === disk);
  if (found !== undefined) return diskKey(found);
  const known =
    vm.shape.disks.map((d) => (d.uuid === undefined ? d.device : `${d.device} (${d.uuid})`)).join(', ') ||
    'none';
  const { code, sentence, next } = fault('UNKNOWN_DISK', { vm: vm.name, disk, known });
  throw new Refusal('usage', code, sentence, next);
}

export function knownPool(fleet: Fleet, pool: string): PoolId {
  const found = fleet.pools.find((p) => p.id === pool);
  if (found !== undefined) return found.id;
  const known = fleet.pools.map((p) => p.id).join(', ') || 'none';
  throw new Refusal(
    'usage',
    'UNKNOWN_POOL',
    `There is no pool ${pool} in the config; known: ${known}`,
    'vmedic config check',
  );
}

/** A file that is to be no VM's disk, and the host to move it through: the one named, else the first in service that both pools are on. */
export async function knownFile(
  fleet: Fleet,
  inventory: Pick<InventoryPort, 'host'>,
  file: string,
  to: PoolId,
  host?: string,
): Promise<{ id: DiskId; path: string; host: HostId; cluster: ClusterId }> {
  // A logical volume has several names, and is one disk.
  const path = onePath(posix.normalize(file));
  const from = path.startsWith('/') ? poolOf(fleet.pools)(path) : undefined;
  if (from === undefined) {
    const known = fleet.pools
      .flatMap((p) => (p.path === undefined ? [] : [`${p.id} (${p.path})`]))
      .join(', ');
    throw new Refusal(
      'usage',
      'UNKNOWN_POOL',
      `${file} is no whole path of a file or logical volume in a pool of the config; pools: ${known || 'none'}`,
      'name the disk by its whole path; a disk of a VM moves with vmedic vm migrate-volume',
    );
  }
  const through = host === undefined ? undefined : knownHost(fleet, host);
  const able = fleet.clusters
    .flatMap((c) => c.hosts)
    .filter(
      (h) => (through === undefined || h.id === through.id) && [from, to].every((p) => h.pools.includes(p)),
    );
  if (able[0] === undefined)
    throw new Refusal(
      'usage',
      'NO_HOST_FOR_MOVE',
      `${through === undefined ? 'No host has' : `${through.id} does not have`} both ${from} and ${to} among its pools`,
      'choose another pool, or see the pools of the hosts in the config',
    );
  let best = able[0];
  for (const one of [...able].reverse())
    if ((await inventory.host(one.id))?.standing === 'in-service') best = one;
  return { id: idOfFile(from, path), path, host: best.id, cluster: best.clusterId };
}

/** The same file of the same pool always has the same: RFC 9562, version 5, with a namespace of its own. */
function idOfFile(pool: PoolId, path: string): DiskId {
  const namespace = Buffer.from('5f0b0a5ec0f24d1e9a1b6f3d7c2e8a94', 'hex');
  const hash = createHash('sha1').update(namespace).update(`${pool}:${path}`).digest().subarray(0, 16);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return diskId([0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1])).join('-'));
}
