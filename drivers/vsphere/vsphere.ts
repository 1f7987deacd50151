/** Everything that speaks to vCenters, over one session each. */
import type { HypervisorPort, VolumeMovesPort } from '../../activities/ports';
import type { HostId } from '../../domain/ids';
import { VsphereHypervisor } from './hypervisor';
import { Vcenters, type VsphereOptions } from './vcenter';
import { createVolumeMoves, type MoveTiming } from './volume-moves';

export interface Vsphere {
  readonly hypervisor: HypervisorPort;
  readonly volumeMoves: VolumeMovesPort;
  /** Whether a vCenter of the config has this host. */
  has(host: HostId): boolean;
  close(): Promise<void>;
}

export function createVsphere(options: VsphereOptions, timing?: MoveTiming): Vsphere {
  const vcenters = new Vcenters(options);
  return {
    hypervisor: new VsphereHypervisor(vcenters),
    volumeMoves: createVolumeMoves(vcenters, timing),
    has: (host) => vcenters.has(host),
    close: () => vcenters.close(),
  };
}
