/** The shipped workflows and activities on a simulated vCenter: everything of an installation but the vCenter. */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import type { FencingPort, Ports } from '../../activities/ports';
import type { Fleet } from '../../domain/fleet';
import { type ClusterId, clusterId, fenceDeviceId, type HostId, hostId } from '../../domain/ids';
import { defaultPolicy } from '../../domain/limits';
import type { OpenInventory } from '../../drivers/postgres';
import type { Vsphere, VsphereOptions } from '../../drivers/vsphere';
import type { SimState, VsphereSim } from '../../lab/vsphere/simulator';
import { freshInventory } from './inventory';
import { quickPolicy, quietRuntime, workerSet } from './recovery-system';
import { temporalAddress } from './servers';
import { driverOn, portsOf, type WorkerElsewhere } from './vcenter-driver';
import { networksIn, startVcenter, vsphereOptions } from './vcenter';

export interface VcenterSystem {
  readonly sim: VsphereSim;
  /** At the start. */
  readonly state: SimState;
  readonly vsphere: Vsphere;
  readonly fleet: Fleet;
  readonly cluster: ClusterId;
  readonly hosts: readonly HostId[];
  readonly ports: Ports;
  readonly inventory: OpenInventory;
  readonly client: Client;
  readonly taskQueue: string;
  /** For a worker in a process of its own. */
  readonly elsewhere: WorkerElsewhere;
  nameOf(host: HostId): string;
  hostNamed(name: string): HostId;
  close(): Promise<void>;
}

export interface VcenterSystemOptions {
  readonly hosts: number;
  readonly vms: number;
  readonly disks: number;
  /** Stands between the activities and the ports. */
  readonly wrap?: (ports: Ports) => Ports;
  /** `elsewhere`: no worker is started here. */
  readonly worker?: 'here' | 'elsewhere';
  /** Before workers are started and VMs are discovered. */
  readonly prepare?: (sim: VsphereSim, state: SimState) => Promise<void>;
}

export async function vcenterSystem(options: VcenterSystemOptions): Promise<VcenterSystem> {
  quietRuntime();
  const { hosts: count, vms, disks } = options;
  const sim = await startVcenter({ hosts: count, vms, disks, diskBytes: 4_096, ownUuids: true });
  const state = await sim.state();
  await options.prepare?.(sim, state);
  const names = Object.keys(state.hosts);
  const prefix = `e${randomUUID().slice(0, 8)}`;
  const hosts = names.map((_, i) => hostId(`${prefix}-esx-${i}`));
  const nameOf = (host: HostId): string => names[hosts.indexOf(host)] ?? '';
  const hostNamed = (name: string): HostId => hosts[names.indexOf(name)] as HostId;
  const cluster = clusterId(`${prefix}-esx`);
  const fleet = fleetOfEsx(cluster, hosts, state, vsphereOptions(sim, state));
  const taskQueue = `test-${randomUUID()}`;
  const { inventory, url: inventoryUrl, close: closeInventory } = await freshInventory();
  const elsewhere: WorkerElsewhere = {
    access: { url: sim.url, username: sim.username, password: sim.password, ca: sim.ca },
    hosts: hosts.map((id) => ({ id, vcenter: 'vc', name: nameOf(id) })),
    ...{ fleet, inventoryUrl, taskQueue },
  };
  const vsphere = driverOn(elsewhere);
  const ports = portsOf(vsphere, inventory, bmcs(sim, nameOf));
  const connection = await Connection.connect({ address: temporalAddress() });
  const workers = workerSet(temporalAddress(), taskQueue, options.wrap?.(ports) ?? ports, fleet, {});
  if (options.worker !== 'elsewhere') await workers.start();
  return {
    ...{ sim, state, vsphere, fleet, cluster, hosts, ports, inventory, taskQueue, elsewhere },
    ...{ client: new Client({ connection }), nameOf, hostNamed },
    async close() {
      await workers.stop();
      await closeInventory();
      await connection.close();
      await vsphere.close();
      await sim.stop();
    },
  };
}

function fleetOfEsx(
  cluster: ClusterId,
  hosts: readonly HostId[],
  state: SimState,
  { pools }: VsphereOptions,
): Fleet {
  const policy = { ...defaultPolicy, ...quickPolicy, readBackDeadlineMs: 5_000, storageDeadlineMs: 5_000 };
  return {
    pools,
    clusters: [
      {
        ...{ id: cluster, mode: 'automatic', vms: {}, policy },
        hosts: hosts.map((id) => ({
          ...{ id, clusterId: cluster, networks: networksIn(state), vcenter: 'vc' },
          capacity: { memoryMiB: 65_536, vcpus: 64 },
          pools: pools.map((p) => p.id),
          fenceLevels: [{ name: 'bmc', devices: [{ id: fenceDeviceId(`${id}-bmc`), agent: 'simulated' }] }],
        })),
      },
    ],
  };
}

/** BMCs that cut the power at the wall, and read it there. */
function bmcs(sim: VsphereSim, nameOf: (host: HostId) => string): FencingPort {
  const off = new Set<HostId>();
  return {
    status: async (host, device) => ({
      ...{ hostId: host, deviceId: device.id, agent: device.agent },
      ...{ power: off.has(host) ? 'off' : 'on', observedAt: new Date().toISOString() },
    }),
    async off(host) {
      await sim.order('host', { name: nameOf(host), power: 'cut' });
      off.add(host);
    },
  };
}
