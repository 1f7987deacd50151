import type { SurveyPort } from '../../../activities/ports';
import type { HostId } from '../../../domain/ids';
import type { HostSurvey, LockTest, MountFact, VolumeGroupFact } from '../../../domain/readiness';
import type { Served } from '../call-context';
import type { World } from '../world';
import type { PoolSpec } from '../world-spec';
import { reach } from './host-commands';

const commands = {
  ...{ virsh: '9.0.0', qemu: '7.2.22', 'qemu-img': '7.2.22', 'qemu-io': '7.2.22' },
  ...{ findmnt: '2.38.1', flock: '2.38.1' },
} as const;

export function surveyBody(world: World): Served<SurveyPort> {
  return {
    async survey(host, pools, context) {
      await reach(world, host, context);
      const { oddities } = world.host(host);
      const own = pools.flatMap(({ id }) => world.storage.pool(id) ?? []);
      const lvm = own.filter((p) => p.type === 'lvm');
      const usual = Object.entries(commands).map(([name, version]) => ({ name, version }));
      return {
        commands: usual.map((c) => oddities.commands?.find((o) => o.name === c.name) ?? c),
        rivals: oddities.rivals ?? [],
        statd: oddities.statd ?? true,
        mounts: own.filter((p) => p.type !== 'lvm').map((p) => mountOf(world, host, p)),
        lvm: lvm.length === 0 ? undefined : lvmOf(world, host, lvm),
      };
    },

    async testLocks(pool, holder, asker, context) {
      await reach(world, holder, context);
      await reach(world, asker, context);
      const spec = world.storage.pool(pool.id);
      const local = [holder, asker].find((h) => spec !== undefined && locksStayOn(world, h, spec));
      const said = (says: LockTest['says'], detail: string): LockTest => ({ says, holder, asker, detail });
      if (spec === undefined) return said('not-known', 'there is no such pool');
      if (local !== undefined) return said('does-not-guard', `locks stay on ${local}`);
      return world.storage.isLockless(pool.id)
        ? said('does-not-guard', 'the image was opened')
        : said('guards', 'refused');
    },
  };
}

function mountOf(world: World, host: HostId, { id, type, path, lockStrategy }: PoolSpec): MountFact {
  const version = lockStrategy.startsWith('nfs4') ? 'vers=4.2' : 'vers=3';
  const nfs = type === 'nfs';
  return {
    ...{ poolId: id, path, kind: nfs ? 'mount' : 'folder', source: nfs ? 'server:/vm' : '' },
    fileSystem: nfs ? 'nfs' : 'ext4',
    options: nfs ? ['rw', version, 'hard', 'local_lock=none'] : ['rw'],
    fstabOptions: nfs ? ['defaults', '_netdev'] : undefined,
    ...world.host(host).oddities.mounts?.[id],
  };
}

const locksStayOn = (world: World, host: HostId, spec: PoolSpec): boolean =>
  mountOf(world, host, spec).options.some((o) => o === 'nolock' || /^local_lock=(?!none)/.test(o));

function lvmOf(world: World, host: HostId, pools: readonly PoolSpec[]): HostSurvey['lvm'] {
  const detail = world.host(host).oddities.lvmSilent;
  return detail === undefined
    ? { kind: 'read', value: groupsOf(world, host, pools) }
    : { kind: 'not-read', detail };
}

function groupsOf(world: World, host: HostId, pools: readonly PoolSpec[]): VolumeGroupFact[] {
  const { groups, moreGroups } = world.host(host).oddities;
  const own = pools.map((pool): VolumeGroupFact => ({
    uuid: `uuid-of-${pool.id}`,
    name: pool.path.split('/').at(-1) ?? '',
    missingPvs: 0,
    autoActivation: false,
    clustered: false,
    volumes: [...world.storage.disks.values()]
      .filter((d) => d.poolId === pool.id)
      .map((d) => ({ path: d.path, active: d.activeOn.has(host) })),
    ...groups?.[pool.id],
  }));
  return [...own, ...(moreGroups ?? [])];
}
