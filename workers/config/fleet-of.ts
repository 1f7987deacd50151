import {
  type Cluster,
  type ClusterPolicy,
  type Fleet,
  type HealthCheck,
  type Host,
  type Pool,
  type VmPolicy,
  type WatchPolicy,
} from '../../domain/fleet';
import { clusterId, fenceDeviceId, hostId, poolId } from '../../domain/ids';
import { defaultPolicy } from '../../domain/limits';
import { durationMs } from './duration';
import type {
  ClusterConfig,
  HealthConfig,
  HostConfig,
  PolicyConfig,
  PoolConfig,
  VmConfig,
  VmedicConfig,
  WatchConfig,
} from './types';

/** A guest that prints or answers nothing for this long after its start is called degraded. */
const healthTimeoutMs = 60_000;

/** What the config declares, with every default filled in and every duration in milliseconds. Pure. */
export function fleetOf(config: VmedicConfig): Fleet {
  return {
    clusters: config.clusters.map((c) => clusterOf(c, config.health?.default)),
    pools: (config.pools ?? []).map(poolOf),
  };
}

export function policyOf(written: PolicyConfig | undefined, health: HealthConfig | undefined): ClusterPolicy {
  const { blastRadius, concurrency, fenceRetry } = written ?? {};
  const own = written?.health ?? health;
  return {
    blastRadius: {
      hosts: blastRadius?.hosts ?? defaultPolicy.blastRadius.hosts,
      percent: blastRadius?.percent ?? defaultPolicy.blastRadius.percent,
    },
    fenceDegraded: written?.fenceDegraded ?? defaultPolicy.fenceDegraded,
    concurrency: {
      window: concurrency?.window ?? defaultPolicy.concurrency.window,
      perHost: concurrency?.perHost ?? defaultPolicy.concurrency.perHost,
    },
    confirmEveryMs: msOr(written?.confirmEvery, defaultPolicy.confirmEveryMs),
    fenceRetryMs: {
      first: msOr(fenceRetry?.first, defaultPolicy.fenceRetryMs.first),
      max: msOr(fenceRetry?.max, defaultPolicy.fenceRetryMs.max),
    },
    storageDeadlineMs: msOr(written?.storageDeadline, defaultPolicy.storageDeadlineMs),
    readBackDeadlineMs: msOr(written?.readBackDeadline, defaultPolicy.readBackDeadlineMs),
    headroomPercent: written?.headroomPercent ?? defaultPolicy.headroomPercent,
    health: own === undefined ? defaultPolicy.health : healthOf(own),
    watch: watchOf(written?.watch),
  };
}

function watchOf(written: WatchConfig | undefined): WatchPolicy {
  const { watch } = defaultPolicy;
  return {
    suspectAfterMs: msOr(written?.suspectAfter, watch.suspectAfterMs),
    vmGraceMs: msOr(written?.vmGrace, watch.vmGraceMs),
    guestShutdown: written?.guestShutdown ?? watch.guestShutdown,
    onIoError: written?.onIoError ?? watch.onIoError,
    missingVms: written?.missingVms ?? watch.missingVms,
    readinessEveryMs: msOr(written?.readinessEvery, watch.readinessEveryMs),
    restartBudget: {
      restarts: written?.restartBudget?.restarts ?? watch.restartBudget.restarts,
      perMs: msOr(written?.restartBudget?.per, watch.restartBudget.perMs),
    },
  };
}

const msOr = (text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : durationMs(text);

function clusterOf(written: ClusterConfig, health: HealthConfig | undefined): Cluster {
  const id = clusterId(written.id);
  // vSphere HA restarts a VM by itself; two that do so at once would be one too many. Said in so many words, it is VMedic's matter.
  const hasVcenter = written.hosts.some((h) => h.hypervisor.driver === 'vsphere');
  const missingVms = written.policy?.watch?.missingVms ?? (hasVcenter ? 'leave' : undefined);
  const watch = { ...written.policy?.watch, missingVms };
  return {
    id,
    mode: written.mode ?? 'observe',
    hosts: written.hosts.map((h) => hostOf(h, id)),
    policy: policyOf({ ...written.policy, watch }, health),
    vms: Object.fromEntries(Object.entries(written.vms ?? {}).map(([name, vm]) => [name, vmPolicyOf(vm)])),
  };
}

function hostOf(written: HostConfig, cluster: Cluster['id']): Host {
  const management = managementOf(written);
  return {
    id: hostId(written.id),
    clusterId: cluster,
    capacity: written.capacity,
    pools: (written.pools ?? []).map(poolId),
    networks: written.networks ?? [],
    ...(written.hypervisor.driver === 'vsphere' &&
      written.hypervisor.name !== undefined && { managedAs: written.hypervisor.name }),
    ...(management !== undefined && { management }),
    ...(written.hypervisor.driver === 'vsphere' && { vcenter: written.hypervisor.vcenter }),
    fenceLevels: (written.fencing ?? []).map((level) => ({
      name: level.name,
      devices: level.devices.map((d) => ({ id: fenceDeviceId(d.id), agent: d.agent })),
    })),
  };
}

/** Where VMedic itself reaches it by ssh, unless the config says otherwise: a link of VMedic's own that is dead must not look like a dead host. */
function managementOf({ management, commands, hypervisor }: HostConfig): Host['management'] {
  if (management !== undefined) return { address: management.address, port: management.port ?? 22 };
  const bySsh = commands.driver === 'ssh' ? sshAddress(commands.target, commands.options) : undefined;
  if (bySsh !== undefined || hypervisor.driver !== 'libvirt') return bySsh;
  const uri = /^[a-z]+\+(?:ssh|libssh2?):\/\/([^/]+)/.exec(hypervisor.uri)?.[1];
  return uri === undefined ? undefined : sshAddress(uri, []);
}

const sshPort = 22;

/** Undefined of an address that each of its neighbours would take for itself. */
function sshAddress(target: string, options: readonly string[] = []): Host['management'] {
  const place = target.replace(/^ssh:\/\//, '').replace(/^.*@/, '');
  const [, address, port] = /^(\[[0-9a-f:.]+\]|[^:]+)(?::(\d+))?$/i.exec(place) ?? [undefined, place];
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  if (bare === '' || bare === 'localhost' || bare === '::1' || bare.startsWith('127.')) return undefined;
  return { address: bare, port: Number(port ?? portIn(options) ?? sshPort) };
}

function portIn(options: readonly string[]): string | undefined {
  const after = options[options.indexOf('-p') + 1];
  if (options.includes('-p') && after !== undefined && /^\d+$/.test(after)) return after;
  return options.map((o) => /^(?:-p|-oPort=|Port=)(\d+)$/i.exec(o)?.[1]).find((p) => p !== undefined);
}

function poolOf(written: PoolConfig): Pool {
  return {
    id: poolId(written.id),
    type: written.type,
    lockStrategy: written.lockStrategy ?? 'unsupported',
    ...(written.path !== undefined && { path: written.path }),
    ...(written.cutAccess !== undefined && { cutAccess: written.cutAccess }),
    ...(written.heartbeat === true && { heartbeat: true }),
    ...(written.guestRepair !== undefined && { guestRepair: written.guestRepair }),
  };
}

function vmPolicyOf(written: VmConfig): VmPolicy {
  return {
    ...(written.protect !== undefined && { protect: written.protect }),
    ...(written.priority !== undefined && { priority: written.priority }),
    ...(written.antiAffinity !== undefined && { antiAffinity: written.antiAffinity }),
    ...(written.health !== undefined && { health: healthOf(written.health) }),
    ...(written.guestShutdown !== undefined && { guestShutdown: written.guestShutdown }),
    ...(written.onIoError !== undefined && { onIoError: written.onIoError }),
  };
}

function healthOf({ timeout, ...check }: HealthConfig): HealthCheck {
  return { ...check, timeoutMs: msOr(timeout, healthTimeoutMs) };
}
