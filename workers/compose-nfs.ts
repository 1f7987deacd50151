/** Pools on NFS: who knows which host by what name there, and how a server's own shell is reached. */
import { hostId, poolId } from '../domain/ids';
import type { ChildGateway } from '../drivers/child-processes';
import { createHostCommands, type HostCommands, type HostTransport } from '../drivers/host-commands';
import {
  createNfsAccess,
  createNfsStorage,
  type NfsPool,
  nfsStrategies,
  type RunOnServer,
} from '../drivers/nfs';
import type { StorageAccessPort } from '../activities/ports';
import type { PoolConfig, VmedicConfig } from './config';
import { durationMs } from './config/duration';
import type { ShellConfig } from './config/types';
import type { PoolDriver } from './storage-of-pools';

export interface NfsSetup {
  readonly config: VmedicConfig;
  readonly gateway: ChildGateway;
  readonly hostCommands: HostCommands;
}

export function composeNfs({
  config,
  gateway,
  hostCommands,
}: NfsSetup): PoolDriver & { readonly storageAccess: StorageAccessPort; close(): Promise<void> } {
  const onNfs = (config.pools ?? []).filter(
    (p) => p.cutAccess !== undefined || (nfsStrategies as readonly unknown[]).includes(p.lockStrategy),
  );
  const servers = createHostCommands({
    gateway,
    hosts: onNfs.flatMap((p) => (p.access === undefined ? [] : [{ id: serverOf(p), ...wayIn(p.access) }])),
  });
  const pools = onNfs.map((p) => nfsPool(p, shellOf(p, servers)));
  const world = {
    hosts: config.clusters
      .flatMap((c) => c.hosts)
      .map((h) => ({ id: hostId(h.id), pools: (h.pools ?? []).map(poolId), names: h.storageNames ?? [] })),
    runOnHost: hostCommands.runScript,
  };
  return {
    ...createNfsStorage({ ...world, pools }),
    ...{ strategies: nfsStrategies, storageAccess: createNfsAccess(world, pools) },
    close: () => servers.close(),
  };
}

/** A server has a bulkhead of its own, like a host. */
const serverOf = (pool: PoolConfig) => hostId(`server-of-${pool.id}`);

function shellOf(pool: PoolConfig, servers: HostCommands): RunOnServer | undefined {
  if (pool.access === undefined) return undefined;
  const server = serverOf(pool);
  return (script, args, deadlineMs, signal) => servers.runScript(server, script, args, deadlineMs, signal);
}

/** The config check has made sure that what its strategy needs is there. */
function nfsPool(written: PoolConfig, shell: RunOnServer | undefined): NfsPool {
  const { id, path, server, lease, statd } = written;
  return {
    id: poolId(id),
    lockStrategy: written.lockStrategy ?? 'unsupported',
    path: path ?? '',
    server: server ?? '',
    exportPath: written.export ?? '',
    shell,
    statd: {
      address: statd?.address ?? server ?? '',
      ...(statd?.port !== undefined && { port: statd.port }),
    },
    leaseMs: lease === undefined ? undefined : durationMs(lease),
    ...(written.cutAccess !== undefined && { cutAccess: written.cutAccess }),
  };
}

/** How a command gets onto a host or a server. */
export function wayIn(commands: ShellConfig): {
  readonly transport: HostTransport;
  readonly bootIdCommand?: readonly string[];
} {
  const { bootIdCommand } = commands;
  const transport: HostTransport =
    commands.driver === 'namespace'
      ? { driver: 'namespace', enter: commands.enter }
      : {
          driver: 'ssh',
          target: commands.target,
          ...(commands.options !== undefined && { options: commands.options }),
        };
  return { transport, ...(bootIdCommand !== undefined && { bootIdCommand }) };
}
