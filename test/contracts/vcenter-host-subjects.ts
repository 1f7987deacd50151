/** Subjects for the suites of what is read on a host, and of its storage. */
import type { HostId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import { esx, pool } from '../support/vcenter';
import { isThere } from '../support/vcenter-files';
import type { Opened } from './contract';
import type { HostCommandsSubject } from './host-commands.contract';
import type { StorageLocksSubject } from './storage-locks.contract';
import { openVcenter, type VcenterWorld } from './vcenter-subjects';
import type { VolumesSubject } from './volumes.contract';

const never = (): Promise<never> => Promise.reject(new Error('no case that runs here needs it'));

async function opened(): Promise<{ world: VcenterWorld; a: HostId; b: HostId }> {
  const world = await openVcenter();
  const [a, b] = Object.keys(world.state.hosts).map(esx);
  if (a === undefined || b === undefined) throw new Error('the simulator has too few hosts');
  return { world, a, b };
}

/** A VM's disks as its definition has them, and one that is not there. */
async function disksOn(world: VcenterWorld, host: HostId) {
  const { name, vmId } = await world.fresh(host);
  const [read] = await world.vsphere.hypervisor.definitions(host, [vmId], new AbortController().signal);
  const [disk] = read?.shape.disks ?? [];
  if (read === undefined || disk === undefined) throw new Error(`${name} has no disk`);
  const missing: VmDisk = { ...disk, path: disk.path.replace(/[^/]*$/, 'no-such.vmdk') };
  return { name, vmId, shape: read.shape, disk, missing };
}

const power = (world: VcenterWorld, host: HostId, to: 'cut' | 'on') => async (): Promise<void> => {
  await world.sim.order('host', { name: world.hostName(host), power: to });
};

export async function openHostCommands(): Promise<Opened<HostCommandsSubject>> {
  const { world, a } = await opened();
  const { name, vmId, shape, disk, missing } = await disksOn(world, a);
  const guest = (to: 'on' | 'off') => async (): Promise<void> => {
    await world.sim.order('vm', { vm: name, power: to });
  };
  const subject: HostCommandsSubject = {
    ...{
      port: world.vsphere.hostCommands,
      host: a,
      patienceMs: 5_000,
      neighbour: { hostId: a, address: '127.0.0.1', port: 1 },
      usableDisk: disk,
      missingDisk: missing,
    },
    world: { powerOff: power(world, a, 'cut'), powerOn: power(world, a, 'on'), freeze: never },
    guest: {
      vm: { vmId, name, shape },
      consoleCheck: { kind: 'guest-agent', timeoutMs: 5_000 },
      ...{ start: guest('on'), stop: guest('off') },
    },
  };
  return { subject, close: () => world.close() };
}

export async function openStorageLocks(): Promise<Opened<StorageLocksSubject>> {
  const { world, a, b } = await opened();
  const subject: StorageLocksSubject = {
    ...{ port: world.vsphere.storageLocks, pool: pool('LocalDS_0'), strategy: 'none', a, b },
    imageOfA: (await disksOn(world, a)).disk.path,
    imageOfB: (await disksOn(world, b)).disk.path,
    world: { powerOff: never, lockByStranger: never, freeImage: never },
  };
  return { subject, close: () => world.close() };
}

export async function openVolumes(): Promise<Opened<VolumesSubject>> {
  const { world, a, b } = await opened();
  const { vmId, disk, missing } = await disksOn(world, a);
  const subject: VolumesSubject = {
    ...{ port: world.vsphere.volumes, vmId, target: b, disks: [disk], missingDisk: missing },
    world: {
      powerOffTarget: power(world, b, 'cut'),
      exists: async (path) => isThere(world.state, path),
      ...{ isActive: never, activateByHand: never, replaceVolume: never, elsewhere: a },
    },
  };
  return { subject, close: () => world.close() };
}
