/** Disks that belong to no VM, in the simulated datacenter: copied, then the old file is removed; nothing is switched. */
import type { Preflight, Submitted } from '../../../activities/ports';
import { type Fault, fault } from '../../../domain/faults';
import { poolOf } from '../../../domain/fleet';
import {
  type BeforeImage,
  type Leftover,
  looseKey,
  looseName,
  type MoveOrder,
  type MoveVerdict,
} from '../../../domain/volume-move';
import { diskBytes, noVm } from '../volume-works';
import type { World } from '../world';

export function preflightLoose(world: World, order: MoveOrder): Preflight {
  const path = order.file ?? '';
  const [want] = order.disks;
  const faults: Fault[] = [];
  const not = (detail: string): void =>
    void faults.push(fault('DISK_NOT_MOVABLE', { vm: 'no VM', disk: path, detail }));
  const disk = world.storage.disks.get(path);
  const [from, to] = [
    poolOf(world.spec.pools)(path),
    want === undefined ? undefined : world.storage.pool(want.to),
  ];
  if (disk === undefined) not(`${order.hostId} does not see it`);
  if (world.storage.lockOn(path) !== undefined) not('somebody has it open');
  if (from === to?.id) not(`it lies on ${from ?? 'no pool'} already`);
  if (to === undefined || to.type === 'vmfs')
    faults.push(
      fault('POOL_NOT_USABLE', { pool: want?.to ?? '', vm: 'no VM', detail: 'it is no pool of files' }),
    );
  if (faults.length > 0 || to === undefined) return { kind: 'refused', faults };
  const wanted = { poolId: to.id, path: `${to.path}/${looseKey(path)}-${order.attempt}` };
  const at = { poolId: from, path, format: 'raw' };
  const key = looseKey(path);
  return {
    kind: 'ready',
    before: {
      ...{
        order,
        name: looseName(path),
        running: false,
        readAt: world.now(),
        own: {},
        switches: 'by-itself',
      },
      disks: [{ disk: key, device: key, at, wanted, bytes: diskBytes }],
    },
  };
}

export function submitLoose(world: World, before: BeforeImage): Submitted {
  const { attempt, hostId } = before.order;
  const mine = world.volumeWorks.known((w) => w.attempt === attempt);
  if (mine !== undefined) return { kind: 'accepted', task: { id: mine.id } };
  const disks = before.disks.flatMap(({ device, at, wanted }) =>
    at.poolId === undefined || wanted?.path === undefined
      ? []
      : [
          {
            device,
            from: { device, path: at.path, poolId: at.poolId },
            to: { device, path: wanted.path, poolId: wanted.poolId },
          },
        ],
  );
  const of = { attempt, direction: 'there', vmId: noVm, hostId, disks, switches: 'by-itself' } as const;
  return { kind: 'accepted', task: { id: world.volumeWorks.begin(of).id } };
}

/** A copy gets its name when it was compared: then it is whole. */
export function looseVerdict(world: World, before: BeforeImage): MoveVerdict {
  const { attempt } = before.order;
  const work = world.volumeWorks.underWay(noVm).find((w) => w.attempt === attempt);
  if (work !== undefined) return { kind: 'IN_PROGRESS', detail: `${work.id} is ${work.state}` };
  const [disk] = before.disks;
  if (disk?.wanted?.path === undefined) throw new Error('it names no disk');
  const { at, wanted } = disk;
  const target = { poolId: wanted.poolId, path: disk.wanted.path, format: at.format };
  const [source, copy] = [world.storage.disks.get(at.path), world.storage.disks.get(target.path)];
  const said = world.volumeWorks.known((w) => w.attempt === attempt)?.says;
  const left = (path: string, what: Leftover['what']): Leftover[] => [{ poolId: undefined, path, what }];
  const found = (place: typeof at) => ({ disks: [{ disk: disk.disk, at: place }], vm: undefined });
  if (source === undefined && copy === undefined)
    return { kind: 'DISK_MISSING', paths: [at.path], detail: 'neither it nor its copy is there' };
  if (copy !== undefined && said === 'done' && world.storage.lockOn(at.path) === undefined) {
    const leftovers = source === undefined ? [] : left(at.path, 'source');
    return { kind: 'MOVED', ...found(target), leftovers };
  }
  return { kind: 'NOT_MOVED', ...found(at), leftovers: copy === undefined ? [] : left(target.path, 'copy') };
}

export function whyLooseStays(world: World, before: BeforeImage, what: Leftover['what']): string | undefined {
  const [disk] = before.disks;
  const [source, target] = [disk?.at.path ?? '', disk?.wanted?.path ?? ''];
  if (what === 'copy')
    return world.storage.disks.has(source) ? undefined : 'this may be the only one that is left';
  return world.volumeWorks.equal(source, target) ? undefined : 'it is not equal to its copy any more';
}
