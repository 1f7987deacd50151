/** The shipped driver on a simulated vCenter, and the ports that it fills; loaded by workers beyond jest, too. */
import type { FencingPort, Ports } from '../../activities/ports';
import type { Fleet } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import type { OpenInventory } from '../../drivers/postgres';
import { sampleWorld, simulatedPorts, World } from '../../drivers/simulated';
import { createVsphere, type Vsphere, type VsphereOptions } from '../../drivers/vsphere';

/** Plain data: travels to another process. */
export interface WorkerElsewhere {
  readonly access: { url: string; username: string; password: string; ca: string };
  readonly hosts: readonly { id: HostId; vcenter: string; name: string }[];
  readonly fleet: Fleet;
  readonly inventoryUrl: string;
  readonly taskQueue: string;
}

/** Fast enough for a suite; what the two readings of the driver are for is tested by itself. */
const timing = { settleMs: 10 };

export const driverOn = ({ access, hosts, fleet }: Omit<WorkerElsewhere, 'inventoryUrl' | 'taskQueue'>) => {
  const { password, ...rest } = access;
  const vcenters: VsphereOptions['vcenters'] = [{ id: 'vc', ...rest, password: () => password }];
  return createVsphere({ vcenters, hosts, pools: fleet.pools }, timing);
};

export function portsOf(vsphere: Vsphere, inventory: OpenInventory, fencing: FencingPort): Ports {
  const nobody = new World(sampleWorld({ hosts: 1, vmsPerHost: 0, prefix: 'nobody-', seed: 1 }));
  const { notifier, storageAccess, heartbeats, guestRepair } = simulatedPorts(nobody);
  const { hypervisor, hostCommands, volumes, storageLocks, volumeMoves, survey, hints } = vsphere;
  return {
    ...{ inventory, notifier, survey, fencing, hints, storageAccess, heartbeats, guestRepair },
    ...{ hypervisor, hostCommands, volumes, storageLocks, volumeMoves },
  };
}
