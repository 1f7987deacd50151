/** Everything that speaks to vCenters, over one session each. */
import type {
  HintsPort,
  HostCommandsPort,
  HypervisorPort,
  SurveyPort,
  VolumeMovesPort,
} from '../../activities/ports';
import type { HostId, PoolId } from '../../domain/ids';
import { vsphereHostCommands } from './host-commands';
import { VsphereHypervisor } from './hypervisor';
import { vsphereStorage, type VsphereStorage } from './storage';
import { vsphereSurvey } from './survey';
import { Vcenters, type VsphereOptions } from './vcenter';
import { createVolumeMoves, type MoveTiming } from './volume-moves';

export interface Vsphere extends VsphereStorage {
  readonly hypervisor: HypervisorPort;
  readonly hostCommands: HostCommandsPort;
  readonly volumeMoves: VolumeMovesPort;
  readonly survey: SurveyPort;
  readonly hints: HintsPort;
  /** Whether a vCenter of the config has this host. */
  hasHost(host: HostId): boolean;
  /** Whether the pool is a datastore of such hosts. */
  hasPool(pool: PoolId): boolean;
  close(): Promise<void>;
}

/** Nothing is sent before the first call: a vCenter that does not answer keeps nobody from starting. */
export function createVsphere(options: VsphereOptions, timing?: MoveTiming): Vsphere {
  const vcenters = new Vcenters(options);
  const hostCommands = vsphereHostCommands(vcenters);
  return {
    hostCommands,
    hypervisor: new VsphereHypervisor(vcenters),
    volumeMoves: createVolumeMoves(vcenters, timing),
    survey: vsphereSurvey(vcenters),
    // A vCenter is asked, and tells nothing by itself here: its hosts are seen by looks alone.
    hints: { follow: () => Promise.resolve() },
    ...vsphereStorage(options.pools, (...args) => hostCommands.inspectDisks(...args)),
    hasHost: (host) => vcenters.has(host),
    hasPool: (pool) => options.pools.some((p) => p.id === pool),
    close: () => vcenters.close(),
  };
}
