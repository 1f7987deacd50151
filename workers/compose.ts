/** The one place where drivers are chosen: config -> drivers -> ports. */
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { Ports } from '../activities/ports';
import { clusterOf, type Fleet, type Pool, poolOf } from '../domain/fleet';
import { fenceDeviceId, hostId, type HostId, type PoolId } from '../domain/ids';
import { openChildGateway } from '../drivers/child-processes';
import { createFenceAgents, type FenceDeviceSetup } from '../drivers/fence-agents';
import { createGuestRepair, createHostCommands, type HostCommandsOptions } from '../drivers/host-commands';
import { createSurvey } from '../drivers/host-survey';
import { createLibvirtHypervisor, createLibvirtVolumeMoves } from '../drivers/libvirt';
import { createLvmStorage, createMovedVolumes } from '../drivers/lvm';
import { migrateInventory, openInventory } from '../drivers/postgres';
import { connectSimulated } from '../drivers/simulated';
import { createStorageHeartbeats } from '../drivers/storage-heartbeat';
import { createDirectoryStorage } from '../drivers/directory';
import { besideVsphere, openVsphere } from './compose-vsphere';
import { fleetOf, type HostConfig, secretOrThrow, type VmedicConfig } from './config';
import { composeNfs, wayIn } from './compose-nfs';
import { logNotifier } from './log-notifier';
import { type PoolDriver, storageOfPools } from './storage-of-pools';

export interface Composed {
  readonly ports: Ports;
  readonly fleet: Fleet;
  /** Ends whatever the drivers started. */
  close(): Promise<void>;
}

export interface ComposeSetup {
  readonly config: VmedicConfig;
  readonly configPath: string;
  readonly inventoryUrl: string;
  readonly log: Logger;
}

export interface ComposedDrivers {
  readonly ports: Omit<Ports, 'inventory' | 'notifier'>;
  close(): Promise<void>;
}

/**
 * Brings the inventory's tables to this version and opens every driver the config asks for.
 *
 * @throws DriverFault `INVENTORY_UNREACHABLE`, or a sentence when the simulated datacenter is not there.
 */
export async function composePorts(setup: ComposeSetup): Promise<Composed> {
  const fleet = fleetOf(setup.config);
  await migrateInventory(setup.inventoryUrl);
  const world = await composeDrivers(setup);
  const inventory = openInventory({ url: setup.inventoryUrl });
  return {
    fleet,
    ports: { ...world.ports, inventory, notifier: logNotifier(setup.log) },
    async close() {
      await Promise.all([world.close(), inventory.close()]);
    },
  };
}

/** What the config asks for of the world, without the inventory. @throws a sentence when the simulated datacenter is not there. */
export async function composeDrivers(
  setup: Pick<ComposeSetup, 'config' | 'configPath'>,
): Promise<ComposedDrivers> {
  return setup.config.simulated !== undefined && isSimulated(setup.config)
    ? simulatedWorld(setup.config.simulated.socket)
    : realWorld(setup, fleetOf(setup.config));
}

const hostsOf = (config: VmedicConfig): HostConfig[] => config.clusters.flatMap((c) => c.hosts);

/** The config check has made sure that they do not mix. */
const isSimulated = (config: VmedicConfig): boolean =>
  hostsOf(config).some((host) => host.hypervisor.driver === 'simulated');

async function simulatedWorld(socket: string): Promise<ComposedDrivers> {
  const connection = await connectSimulated(socket);
  return { ports: connection.ports, close: () => connection.close() };
}

function realWorld(
  { config, configPath }: Pick<ComposeSetup, 'config' | 'configPath'>,
  fleet: Fleet,
): ComposedDrivers {
  const gateway = openChildGateway();
  const libvirtHosts = hostsOf(config).flatMap(({ id, hypervisor }) =>
    hypervisor.driver === 'libvirt' ? [{ id: hostId(id), uri: hypervisor.uri }] : [],
  );
  const libvirt = createLibvirtHypervisor({ gateway, poolOf: poolOf(fleet.pools), hosts: libvirtHosts });
  const fencing = createFenceAgents({ gateway, devices: devicesOf(config, dirname(configPath)) });
  const hostCommands = createHostCommands({
    gateway,
    hosts: hostsOf(config).flatMap(commandsOf),
    pingGuestAgent: (host, vm, signal) => libvirt.pingGuestAgent(host, vm, signal),
  });
  const directory = createDirectoryStorage({
    pools: fleet.pools,
    inspectDisks: (host, disks, signal) => hostCommands.inspectDisks(host, disks, signal),
  });
  const movedVolumes = createMovedVolumes(hostCommands.runScript);
  const having = (pool: PoolId): readonly HostId[] =>
    hostsOfPools(fleet, (p) => p.id === pool).get(pool) ?? [];
  const volumeMoves = createLibvirtVolumeMoves({
    gateway,
    pools: fleet.pools,
    poolOf: poolOf(fleet.pools),
    clusterOf: (host) => clusterOf(fleet, host)?.hosts.map((h) => h.id) ?? [host],
    hostsOf: having,
    runScript: hostCommands.runScript,
    volumes: movedVolumes,
    hosts: libvirtHosts,
  });
  const isLvm = (pool: Pool): boolean => pool.type === 'lvm' && pool.lockStrategy === 'none';
  const lvm = createLvmStorage({ runScript: hostCommands.runScript, pools: hostsOfPools(fleet, isLvm) });
  const nfs = composeNfs({ config, gateway, hostCommands });
  const ports = {
    ...{ fencing, hypervisor: libvirt, hostCommands, volumeMoves, hints: libvirt },
    storageAccess: nfs.storageAccess,
    survey: createSurvey({
      runScript: hostCommands.runScript,
      volumeGroups: (host, signal) => lvm.volumeGroups(host, signal),
    }),
    heartbeats: createStorageHeartbeats({ runScript: hostCommands.runScript }),
    guestRepair: createGuestRepair({ asRoot: movedVolumes.asRoot, pools: fleet.pools, hostsOf: having }),
    ...storageOfPools([poolDriver(fleet, isPlain, directory), poolDriver(fleet, isLvm, lvm), nfs]),
  };
  const vsphere = openVsphere(config, configPath, fleet);
  return {
    ports: vsphere === undefined ? ports : besideVsphere(ports, vsphere),
    async close() {
      await Promise.all([
        libvirt.close(),
        volumeMoves.close(),
        fencing.close(),
        hostCommands.close(),
        nfs.close(),
        vsphere?.close(),
      ]);
      await gateway.close();
    },
  };
}

/** Files, on an export too where the operator says that it keeps no locks. */
const isPlain = (pool: Pool): boolean =>
  (pool.type === 'dir' || pool.type === 'nfs') && pool.lockStrategy === 'none';

/** Pools without locks between hosts, of one kind: the evidence alone decides. */
const poolDriver = (
  fleet: Fleet,
  kind: (pool: Pool) => boolean,
  storage: Pick<PoolDriver, 'volumes' | 'storageLocks'>,
): PoolDriver => ({
  serves: (id) => fleet.pools.some((p) => p.id === id && kind(p)),
  strategies: ['none'],
  volumes: storage.volumes,
  storageLocks: storage.storageLocks,
});

const hostsOfPools = (fleet: Fleet, kind: (pool: Pool) => boolean): Map<PoolId, HostId[]> => {
  const hosts = fleet.clusters.flatMap((c) => c.hosts);
  return new Map(
    fleet.pools.filter(kind).map((p) => [p.id, hosts.filter((h) => h.pools.includes(p.id)).map((h) => h.id)]),
  );
};

/** A password is read at each call: correcting the file is enough. */
function devicesOf(config: VmedicConfig, folder: string): FenceDeviceSetup[] {
  return hostsOf(config)
    .flatMap((host) => host.fencing ?? [])
    .flatMap((level) => level.devices)
    .map(({ id, agent, options, password }) => ({
      id: fenceDeviceId(id),
      agent,
      options: options ?? {},
      ...(password !== undefined && { password: () => secretOrThrow(password, folder) }),
    }));
}

const defaultOwnerFile = '/var/lib/vmedic/owner';

function commandsOf({ id, commands, ownerFile }: HostConfig): HostCommandsOptions['hosts'][number][] {
  if (commands.driver === 'simulated' || commands.driver === 'vsphere') return [];
  const kept = ownerFile ?? (commands.driver === 'ssh' ? defaultOwnerFile : undefined);
  return [{ id: hostId(id), ...wayIn(commands), ...(kept !== undefined && { ownerFile: kept }) }];
}
