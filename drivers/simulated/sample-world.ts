import { clusterId, fenceDeviceId, hostId, type HostId, poolId, vmId, type VmId } from '../../domain/ids';
import type { ClusterMode, ClusterPolicy, Fleet, GuestRepair, VmPolicy } from '../../domain/fleet';
import { defaultPolicy } from '../../domain/limits';
import type { Costs, DeviceSpec, HostSpec, PoolSpec, VmSpec, WorldSpec } from './world-spec';

export interface SampleOptions {
  readonly hosts: number;
  readonly vmsPerHost: number;
  /** Before every host's name, so that several worlds can share one Temporal server. */
  readonly prefix?: string;
  readonly clusterId?: string;
  /** The same seed makes the same UUIDs. */
  readonly seed?: number;
  readonly memoryMiBPerVm?: number;
  /** Every n-th VM is transient: it vanishes from its host when it stops. */
  readonly transientEvery?: number;
  /** `dir`: locks end with their holder. `nfs`: they outlive a power cut. `lvm`: no locks, volumes to activate. `vmfs`: a manager moves volumes by itself. */
  readonly storage?: 'dir' | 'nfs' | 'lvm' | 'vmfs';
  /** A second shared pool of the same kind, `second`, that no disk lies on yet. */
  readonly secondPool?: boolean;
  /** Hosts write heartbeats to the first pool, once they were asked to. */
  readonly heartbeat?: boolean;
  /** Disks of every VM, all on the first pool. */
  readonly disksPerVm?: number;
  /** Every pool's server can be told to take no write of one host. */
  readonly cutAccess?: true;
  /** Guests on every pool that do not get well are repaired without a person. */
  readonly guestRepair?: GuestRepair;
  readonly mode?: ClusterMode;
  readonly policy?: Partial<ClusterPolicy>;
  readonly vms?: Readonly<Record<string, VmPolicy>>;
  readonly costs?: Partial<Costs>;
  readonly journal?: 'full' | 'effects';
}

const pools: Readonly<Record<NonNullable<SampleOptions['storage']>, PoolSpec>> = {
  dir: { id: poolId('shared'), type: 'dir', path: '/simulated/shared', lockStrategy: 'none' },
  nfs: { id: poolId('shared'), type: 'nfs', path: '/simulated/shared', lockStrategy: 'nfs3-notify' },
  lvm: {
    ...{ id: poolId('shared'), type: 'lvm', path: '/dev/shared', lockStrategy: 'none' },
    ...{ lockless: true, needsActivation: true },
  },
  vmfs: { id: poolId('shared'), type: 'vmfs', path: '/vmfs/shared', lockStrategy: 'none' },
};

/** Hosts `hv-a`, `hv-b`, … with a BMC each, VMs `vm-001`, … spread over them, one shared pool; room for all VMs on any two hosts. */
export function sampleWorld(options: SampleOptions): WorldSpec {
  const cluster = clusterId(options.clusterId ?? 'sim');
  const memoryMiB = options.memoryMiBPerVm ?? 4;
  const total = options.hosts * options.vmsPerHost;
  const pool: PoolSpec = {
    ...pools[options.storage ?? 'dir'],
    id: poolId(`${options.prefix ?? ''}shared`),
    ...(options.cutAccess === true && { cutAccess: 'exportfs' as const }),
    ...(options.heartbeat === true && { heartbeat: true }),
    ...(options.guestRepair !== undefined && { guestRepair: options.guestRepair }),
  };
  const second: PoolSpec = {
    ...pool,
    id: poolId(`${options.prefix ?? ''}second`),
    path: pool.path.replace('shared', 'second'),
  };
  const allPools = options.secondPool === true ? [pool, second] : [pool];
  const names = Array.from({ length: options.hosts }, (_, i) => (options.prefix ?? '') + hostName(i));
  const hosts = names.map((name): HostSpec => ({
    id: hostId(name),
    clusterId: cluster,
    capacity: { memoryMiB: memoryMiB * Math.max(total, 1), vcpus: Math.max(total, 1) },
    pools: allPools.map((p) => p.id),
    networks: ['lan'],
    management: { address: name, port: 22 },
    fenceLevels: [{ name: 'bmc', devices: [fenceDeviceId(`${name}-bmc`)] }],
  }));
  const devices = names.map((name): DeviceSpec => ({
    id: fenceDeviceId(`${name}-bmc`),
    wiredTo: hostId(name),
    kind: 'bmc',
  }));
  const random = mulberry32(options.seed ?? 1);
  const vms = Array.from({ length: total }, (_, i): VmSpec => {
    const name = `vm-${String(i + 1).padStart(3, '0')}`;
    return {
      id: uuid(random),
      name,
      hostId: hostId(names[i % options.hosts] as string),
      memoryMiB,
      vcpus: 1,
      disks: Array.from({ length: options.disksPerVm ?? 1 }, (_unused, n) => ({
        device: `vd${String.fromCharCode(97 + n)}`,
        path: `${pool.path}/${name}${n === 0 ? '' : `-${n + 1}`}.raw`,
        poolId: pool.id,
      })),
      networks: ['lan'],
      persistent: options.transientEvery === undefined || (i + 1) % options.transientEvery !== 0,
      autostart: false,
      running: true,
      health: { afterMs: 0 },
    };
  });
  return {
    clusters: [
      {
        id: cluster,
        mode: options.mode ?? 'automatic',
        policy: options.policy ?? {},
        vms: options.vms ?? {},
      },
    ],
    ...{ pools: allPools, hosts, devices, vms },
    costs: options.costs ?? {},
    journal: options.journal ?? 'full',
  };
}

/** The declared side of the same datacenter: what an operator would write into the config. */
export function fleetOf(spec: WorldSpec): Fleet {
  return {
    pools: spec.pools.map(({ id, type, path, lockStrategy, cutAccess, heartbeat, guestRepair }) => ({
      ...{ id, type, path, lockStrategy },
      ...(cutAccess !== undefined && { cutAccess, heartbeat }),
      ...(heartbeat === true && { heartbeat }),
      ...(guestRepair !== undefined && { guestRepair }),
    })),
    clusters: spec.clusters.map((c) => ({
      id: c.id,
      mode: c.mode,
      policy: { ...defaultPolicy, ...c.policy },
      vms: c.vms ?? {},
      hosts: spec.hosts
        .filter((h) => h.clusterId === c.id)
        .map((h) => ({
          ...h,
          fenceLevels: h.fenceLevels.map((l) => ({
            name: l.name,
            devices: l.devices.map((id) => ({ id, agent: 'simulated' })),
          })),
        })),
    })),
  };
}

/** `hv-a` to `hv-z`, then `hv-27` and on. */
const hostName = (index: number): string =>
  `hv-${index < 26 ? String.fromCharCode(97 + index) : String(index + 1)}`;

export const vmsOn = (spec: WorldSpec, host: HostId): VmSpec[] => spec.vms.filter((v) => v.hostId === host);

/** A small seeded generator (mulberry32, public domain): good enough for names, and the same everywhere. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function uuid(random: () => number): VmId {
  const digits = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16));
  digits[12] = '4';
  digits[16] = '8';
  const parts = [8, 12, 16, 20, 32].map((end, i) => digits.slice([0, 8, 12, 16, 20][i], end).join(''));
  return vmId(parts.join('-'));
}
