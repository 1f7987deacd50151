/** What a config may not say of ESXi hosts and their vCenters. */
import { type ConfigProblem, type Path, type Places, wayOut } from './problems';
import type { HostConfig, VcenterConfig, VmedicConfig } from './types';

interface Placed<T> {
  readonly item: T;
  readonly path: Path;
}

export const placedVcenters = (config: VmedicConfig): Placed<VcenterConfig>[] =>
  (config.vcenters ?? []).map((item, v) => ({ item, path: ['vcenters', v] }));

const volumes = '/vmfs/volumes/';

export function vsphereProblems(
  hosts: readonly Placed<HostConfig>[],
  config: VmedicConfig,
  places: Places,
): ConfigProblem[] {
  const known = (config.vcenters ?? []).map((v) => v.id);
  const onVsphere = hosts.filter(({ item }) => item.hypervisor.driver === 'vsphere');
  return [
    ...hosts.flatMap((host) => hostProblems(host, known, places)),
    ...poolsOf(onVsphere, config).flatMap((pool) => poolProblems(pool, places)),
  ];
}

function hostProblems(
  { item, path }: Placed<HostConfig>,
  known: readonly string[],
  places: Places,
): ConfigProblem[] {
  const { id, hypervisor, commands } = item;
  if ((hypervisor.driver === 'vsphere') !== (commands.driver === 'vsphere'))
    return [
      places.problem(
        'error',
        [...path, 'commands'],
        `host ${id} is half on vSphere: hypervisor and commands are both vsphere, or neither is`,
      ),
    ];
  if (hypervisor.driver !== 'vsphere' || known.includes(hypervisor.vcenter)) return [];
  const { vcenter } = hypervisor;
  const sentence = `there is no vCenter ${vcenter}${known.length === 0 ? '; declare it under vcenters' : wayOut(vcenter, known)}`;
  return [places.problem('error', [...path, 'hypervisor', 'vcenter'], sentence)];
}

/** Pools that an ESXi host uses. */
function poolsOf(hosts: readonly Placed<HostConfig>[], config: VmedicConfig) {
  const used = new Set(hosts.flatMap(({ item }) => item.pools ?? []));
  return (config.pools ?? [])
    .map((item, p) => ({ item, path: ['pools', p] as Path }))
    .filter(({ item }) => used.has(item.id));
}

function poolProblems({ item, path }: ReturnType<typeof poolsOf>[number], places: Places): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (item.path !== undefined && !new RegExp(`^${volumes}[^/]+/?$`).test(item.path))
    problems.push(
      places.problem(
        'error',
        [...path, 'path'],
        `pool ${item.id} is used by an ESXi host: its path is ${volumes}DATASTORE`,
      ),
    );
  if (item.lockStrategy !== undefined && !['none', 'unsupported'].includes(item.lockStrategy))
    problems.push(
      places.problem(
        'error',
        [...path, 'lockStrategy'],
        `pool ${item.id} is used by an ESXi host, which keeps its locks in files of its own and not at the server: ${item.lockStrategy} would release nothing; write none`,
      ),
    );
  return problems;
}
