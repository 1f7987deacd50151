import type { FenceLevelConfig, HostConfig, PoolConfig, VcenterConfig, VmedicConfig } from './types';

type Group = Readonly<Record<string, unknown>>;
const group = (value: unknown): Group =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Group) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

/**
 * As much of a config with mistakes in it as the relations need, so that all problems are reported at once and not one layer after the
 * other. Nothing is left out of a list: places are found by index. What does not hold is replaced by something no relation objects to.
 *
 * @param isWhole whether the part at this path has no problem of its own.
 */
export function lenientView(
  value: unknown,
  isWhole: (path: readonly (string | number)[]) => boolean,
): VmedicConfig {
  const root = group(value);
  const whole = (key: string): unknown => (isWhole([key]) ? root[key] : undefined);
  return {
    version: 1,
    clusters: list(root['clusters']).map((cluster, c) => ({
      id: textOr(group(cluster)['id'], `cluster ${c}`),
      hosts: list(group(cluster)['hosts']).map((host, h) => lenientHost(host, `${c}.${h}`)),
      policy: Object.fromEntries(
        Object.entries(group(group(cluster)['policy'])).filter(([key]) =>
          isWhole(['clusters', c, 'policy', key]),
        ),
      ),
    })),
    vcenters: list(root['vcenters']).map((vcenter, v) => lenientVcenter(vcenter, v)),
    pools: list(root['pools']).map((pool, p) => lenientPool(pool, p)),
    health: whole('health') as VmedicConfig['health'],
    inventory: whole('inventory') as VmedicConfig['inventory'],
    temporal: whole('temporal') as VmedicConfig['temporal'],
    api: whole('api') as VmedicConfig['api'],
    notify: whole('notify') as VmedicConfig['notify'],
    alerts: whole('alerts') as VmedicConfig['alerts'],
    // Any world will do: a mistake in its own keys is reported as such.
    simulated: root['simulated'] === undefined ? undefined : { socket: '' },
  };
}

function lenientHost(host: unknown, place: string): HostConfig {
  const { id, hypervisor, commands, pools, fencing, storageNames } = group(host);
  const simulated = group(hypervisor)['driver'] === 'simulated';
  const vcenter = group(hypervisor)['driver'] === 'vsphere' ? group(hypervisor)['vcenter'] : undefined;
  const known = group(commands)['driver'] !== undefined && group(hypervisor)['driver'] !== undefined;
  const commandsSimulated = known ? group(commands)['driver'] === 'simulated' : simulated;
  return {
    id: textOr(id, `host ${place}`),
    hypervisor: simulated
      ? { driver: 'simulated' }
      : typeof vcenter === 'string'
        ? { driver: 'vsphere', vcenter }
        : { driver: 'libvirt', uri: '' },
    commands:
      group(commands)['driver'] === 'vsphere'
        ? { driver: 'vsphere' }
        : commandsSimulated
          ? { driver: 'simulated' }
          : { driver: 'namespace', enter: [] },
    capacity: { memoryMiB: 1, vcpus: 1 },
    pools: list(pools)
      .map((pool) => (typeof pool === 'string' ? pool : ''))
      .filter((pool) => pool !== ''),
    storageNames: list(storageNames).filter((name) => typeof name === 'string'),
    fencing: list(fencing).map((level, l) => lenientLevel(level, `${place}.${l}`)),
  };
}

function lenientLevel(level: unknown, place: string): FenceLevelConfig {
  return {
    name: textOr(group(level)['name'], `level ${place}`),
    devices: list(group(level)['devices']).map((device, d) => ({
      id: textOr(group(device)['id'], `device ${place}.${d}`),
      agent: textOr(group(device)['agent'], 'simulated'),
      options: textsOf(group(group(device)['options'])),
      ...passwordOf(group(device)['password']),
    })),
  };
}

function lenientVcenter(vcenter: unknown, place: number): VcenterConfig {
  const { id, password } = group(vcenter);
  return {
    ...{ id: textOr(id, `vcenter ${place}`), url: '', username: '' },
    password: typeof password === 'string' ? password : '',
  };
}

function lenientPool(pool: unknown, place: number): PoolConfig {
  const { id, type, lockStrategy, path, server, access, lease } = group(pool);
  const told = (value: unknown): string | undefined => (value === undefined ? undefined : textOr(value, '/'));
  return {
    id: textOr(id, `pool ${place}`),
    type: textOr(type, 'dir') as PoolConfig['type'],
    lockStrategy: typeof lockStrategy === 'string' ? (lockStrategy as PoolConfig['lockStrategy']) : undefined,
    path: told(path),
    server: told(server),
    export: told(group(pool)['export']),
    version: told(group(pool)['version']) as PoolConfig['version'],
    access: access === undefined ? undefined : { driver: 'ssh', target: '' },
    lease: told(lease),
  };
}

const textsOf = (options: Group): Record<string, string> =>
  Object.fromEntries(
    Object.entries(options).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );

const passwordOf = (password: unknown): { password?: string } =>
  typeof password === 'string' ? { password } : {};

const textOr = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
