/** ESXi hosts beside others: each call goes to the driver that has the host, or the pool. */
import { dirname } from 'node:path';
import type { Ports } from '../activities/ports';
import type { Fleet } from '../domain/fleet';
import { hostId, type HostId, type PoolId } from '../domain/ids';
import { createVsphere, type VcenterSetup, type Vsphere } from '../drivers/vsphere';
import { secretOrThrow, type VcenterConfig, type VmedicConfig } from './config';

export type WorldPorts = Omit<Ports, 'inventory' | 'notifier'>;

/** Undefined when the config has no vCenter. Nothing is sent yet. */
export function openVsphere(config: VmedicConfig, configPath: string, fleet: Fleet): Vsphere | undefined {
  const hosts = config.clusters
    .flatMap((c) => c.hosts)
    .flatMap(({ id, hypervisor, pools }) =>
      hypervisor.driver === 'vsphere' ? [{ id, pools: pools ?? [], ...hypervisor }] : [],
    );
  if (hosts.length === 0) return undefined;
  const used = new Set(hosts.flatMap((h) => h.pools));
  return createVsphere({
    vcenters: (config.vcenters ?? []).map((v) => vcenterSetup(v, dirname(configPath))),
    hosts: hosts.map(({ id, vcenter, name, address }) => ({
      ...{ id: hostId(id), vcenter, name: name ?? id },
      ...(address !== undefined && { address }),
    })),
    pools: fleet.pools.filter((p) => used.has(p.id)),
  });
}

/** A password is read at each login: correcting the file is enough. */
export function vcenterSetup(written: VcenterConfig, folder: string): VcenterSetup {
  const { id, url, username, password, ca, thumbprint, instanceUuid } = written;
  return {
    ...{ id, url, username, password: () => secretOrThrow(password, folder), secret: password },
    ...(ca !== undefined && { ca: secretOrThrow(ca, folder) }),
    ...(thumbprint !== undefined && { thumbprint }),
    ...(instanceUuid !== undefined && { instanceUuid }),
  };
}

/** The same ports, with vSphere's hosts and pools served by its driver. */
export function besideVsphere(others: WorldPorts, vsphere: Vsphere): WorldPorts {
  const at = (host: HostId): WorldPorts => (vsphere.hasHost(host) ? { ...others, ...vsphere } : others);
  const of = (pool: PoolId): WorldPorts => (vsphere.hasPool(pool) ? { ...others, ...vsphere } : others);
  return {
    ...others,
    hypervisor: {
      probe: (host, ...rest) => at(host).hypervisor.probe(host, ...rest),
      list: (host, ...rest) => at(host).hypervisor.list(host, ...rest),
      definitions: (host, ...rest) => at(host).hypervisor.definitions(host, ...rest),
      define: (host, ...rest) => at(host).hypervisor.define(host, ...rest),
      start: (permit, ...rest) => at(permit.target).hypervisor.start(permit, ...rest),
      resume: (permit, ...rest) => at(permit.target).hypervisor.resume(permit, ...rest),
      shutDown: (host, ...rest) => at(host).hypervisor.shutDown(host, ...rest),
      end: (host, ...rest) => at(host).hypervisor.end(host, ...rest),
      endPaused: (host, ...rest) => at(host).hypervisor.endPaused(host, ...rest),
      undefine: (host, ...rest) => at(host).hypervisor.undefine(host, ...rest),
      disableAutostart: (host, ...rest) => at(host).hypervisor.disableAutostart(host, ...rest),
    },
    hostCommands: {
      bootId: (host, ...rest) => at(host).hostCommands.bootId(host, ...rest),
      reaches: (via, ...rest) => at(via).hostCommands.reaches(via, ...rest),
      claim: (host, ...rest) => at(host).hostCommands.claim(host, ...rest),
      inspectDisks: (host, ...rest) => at(host).hostCommands.inspectDisks(host, ...rest),
      markHealth: (host, ...rest) => at(host).hostCommands.markHealth(host, ...rest),
      isHealthy: (host, ...rest) => at(host).hostCommands.isHealthy(host, ...rest),
    },
    volumes: {
      makeReady: (permit, ...rest) => at(permit.target).volumes.makeReady(permit, ...rest),
      identify: (host, ...rest) => at(host).volumes.identify(host, ...rest),
      standDown: (host, ...rest) => at(host).volumes.standDown(host, ...rest),
    },
    storageLocks: {
      strategies: [...new Set([...others.storageLocks.strategies, ...vsphere.storageLocks.strategies])],
      list: (pool, ...rest) => of(pool).storageLocks.list(pool, ...rest),
      release: (pool, ...rest) => of(pool).storageLocks.release(pool, ...rest),
      probe: (pool, ...rest) => of(pool).storageLocks.probe(pool, ...rest),
    },
    hints: { follow: (host, ...rest) => at(host).hints.follow(host, ...rest) },
    survey: {
      survey: (host, ...rest) => at(host).survey.survey(host, ...rest),
      testLocks: (pool, ...rest) => of(pool.id).survey.testLocks(pool, ...rest),
    },
    volumeMoves: {
      preflight: (order, ...rest) => at(order.hostId).volumeMoves.preflight(order, ...rest),
      submit: (before, ...rest) => at(before.order.hostId).volumeMoves.submit(before, ...rest),
      find: (before, ...rest) => at(before.order.hostId).volumeMoves.find(before, ...rest),
      follow: (before, ...rest) => at(before.order.hostId).volumeMoves.follow(before, ...rest),
      cancel: (before, ...rest) => at(before.order.hostId).volumeMoves.cancel(before, ...rest),
      switchOver: (before, ...rest) => at(before.order.hostId).volumeMoves.switchOver(before, ...rest),
      classify: (before, ...rest) => at(before.order.hostId).volumeMoves.classify(before, ...rest),
      letGo: (before, ...rest) => at(before.order.hostId).volumeMoves.letGo(before, ...rest),
      remove: (before, ...rest) => at(before.order.hostId).volumeMoves.remove(before, ...rest),
    },
  };
}
