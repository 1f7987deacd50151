/** Looks at what a config points at, for `vmedic doctor`. Changes nothing. */
import { dirname } from 'node:path';
import { hostId, poolId } from '../domain/ids';
import { examineVcenters, type VcenterFinding } from '../drivers/vsphere';
import { vcenterSetup } from './compose-vsphere';
import { fleetOf, type VmedicConfig } from './config';

export type { VcenterFinding };

/** Undefined when the config names no vCenter. */
export async function lookAtVcenters(
  config: VmedicConfig,
  configPath: string,
  signal: AbortSignal,
): Promise<VcenterFinding[] | undefined> {
  const vcenters = config.vcenters ?? [];
  if (vcenters.length === 0) return undefined;
  const hosts = config.clusters
    .flatMap((c) => c.hosts)
    .flatMap(({ id, hypervisor, pools }) =>
      hypervisor.driver === 'vsphere'
        ? [
            {
              ...{
                id: hostId(id),
                vcenter: hypervisor.vcenter,
                name: hypervisor.name ?? id,
                pools: pools ?? [],
              },
              ...(hypervisor.address !== undefined && { address: hypervisor.address }),
            },
          ]
        : [],
    );
  return examineVcenters(
    {
      vcenters: vcenters.map((v) => vcenterSetup(v, dirname(configPath))),
      hosts,
      pools: fleetOf(config).pools,
    },
    new Map(hosts.map((h) => [h.id, h.pools.map(poolId)])),
    signal,
  );
}
