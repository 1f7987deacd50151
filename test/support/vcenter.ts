/** A simulated vCenter for a test, and the drivers' options that reach it. */
import { hostId, type HostId, poolId, type PoolId, vmId, type VmId } from '../../domain/ids';
import type { VsphereOptions } from '../../drivers/vsphere';
import { builtSimulator } from '../../lab/vsphere/program';
import {
  type SimState,
  startVsphereSim,
  type VsphereSim,
  type VsphereSimOptions,
} from '../../lab/vsphere/simulator';
import { describeIf } from './optional';

const program = builtSimulator();

/** A group that is left out, and says so, where the simulator could not be built: in CI that fails the run. */
export const describeOnVcenter = describeIf(
  program !== undefined,
  'the vCenter simulator is not built: install Go 1.25 or newer, then make vsphere-sim',
);

export async function startVcenter(options: Omit<VsphereSimOptions, 'program'> = {}): Promise<VsphereSim> {
  if (program === undefined) throw new Error('the vCenter simulator is not built');
  return startVsphereSim({ program, vms: 1, ...options });
}

export const esx = (name: string): HostId => hostId(name.replaceAll('_', '-').toLowerCase());
export const pool = (datastore: string): PoolId => poolId(datastore);

/** What a config would say of it. */
export function vsphereOptions(sim: VsphereSim, state: SimState): VsphereOptions {
  const { url, username, password, ca } = sim;
  return {
    vcenters: [{ id: 'vc', url, username, ca, password: () => password }],
    hosts: Object.keys(state.hosts).map((name) => ({ id: esx(name), vcenter: 'vc', name })),
    pools: state.datastores.map(({ name }) => ({
      ...{ id: pool(name), type: 'vmfs', lockStrategy: 'none', path: `/vmfs/volumes/${name}` },
    })),
  };
}

/** Every network that a VM hangs on. */
export const networksIn = (state: SimState): string[] => [
  ...new Set(Object.values(state.vms).flatMap((vm) => vm.networks)),
];

export function vmIn(
  state: SimState,
  name?: string,
): { name: string; vmId: VmId; hostId: HostId } & SimState['vms'][string] {
  const [found, vm] = Object.entries(state.vms).find(([n]) => name === undefined || n === name) ?? [];
  if (found === undefined || vm === undefined) throw new Error(`the simulator has no VM ${name ?? ''}`);
  return { name: found, vmId: vmId(vm.instanceUuid), hostId: esx(vm.host), ...vm };
}
