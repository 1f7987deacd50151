/**
 * What the logical volumes of VMs are, whatever they are called: learnt while the VM runs, because then its host has the right one open. Of a VM
 * at rest the record stands: after a reboot, or with a guest's own volume group seen by the host, the same name may mean another volume.
 */
import type { HostId } from '../domain/ids';
import type { VmDisk } from '../domain/records';
import { type Environment, signal } from './environment';
import { faultOf } from './fault-boundary';
import type { DiscoveredVm } from './ports';

export async function withVolumeIdentities(
  env: Environment,
  host: HostId,
  vms: readonly DiscoveredVm[],
): Promise<DiscoveredVm[]> {
  const pools = env.fleet.pools.filter((p) => p.type === 'lvm').map((p) => p.id);
  const onVolumes = (d: VmDisk): boolean => d.poolId !== undefined && pools.includes(d.poolId);
  const concerned = vms.filter((v) => v.vm.shape.disks.some(onVolumes));
  if (concerned.length === 0) return [...vms];
  const disks = concerned.flatMap((v) => v.vm.shape.disks.filter(onVolumes));
  const [recorded, seen] = await Promise.all([
    env.inventory.vms({ ids: concerned.map((v) => v.vm.vmId) }),
    seenThere(env, host, disks),
  ]);
  const named = (v: DiscoveredVm): DiscoveredVm => {
    const before = recorded.find((r) => r.vmId === v.vm.vmId)?.shape.disks ?? [];
    const known = before.some((d) => d.volume !== undefined);
    const running = v.vm.observed.state === 'running';
    const from = running || !known ? [seen, before] : [before];
    const identity = (path: string) =>
      from.flat().find((d) => d.path === path && d.volume !== undefined)?.volume;
    const own = v.vm.shape.disks.map((d) => {
      const volume = onVolumes(d) ? identity(d.path) : undefined;
      return volume === undefined ? d : { ...d, volume };
    });
    return { ...v, vm: { ...v.vm, shape: { ...v.vm.shape, disks: own } } };
  };
  return vms.map((v) => (concerned.includes(v) ? named(v) : v));
}

/** A host whose LVM cannot be read now teaches nothing; the record stands until the next round. */
async function seenThere(env: Environment, host: HostId, disks: readonly VmDisk[]): Promise<VmDisk[]> {
  try {
    return await env.volumes.identify(host, disks, signal());
  } catch (error) {
    if (faultOf(error) === undefined) throw error;
    return [];
  }
}
