/** What became of a logical volume that belongs to no VM: it is there before it is whole, so its being there proves nothing. */
import { hostId, poolId } from '../../../domain/ids';
import type { BeforeImage, MoveVerdict } from '../../../domain/volume-move';
import { createLooseMoves } from '../../../drivers/libvirt/loose-disks';
import type { MoveReach } from '../../../drivers/libvirt/move-reach';
import type { Place } from '../../../drivers/libvirt/places';
import type { FileSight } from '../../../drivers/libvirt/vm-disks';

const source = '/pools/a/old-db.raw';
const target = '/dev/vg/disk-old-db.raw-m1';
const volume = { group: 'vg', volume: 'disk-old-db.raw-m1' };

/** To a volume; `back`: from it to the file. */
function order(back: boolean): BeforeImage {
  const [from, to] = back ? [target, source] : [source, target];
  return {
    order: {
      ...{ attempt: 'm1', vmId: undefined, hostId: hostId('hv-a'), file: from },
      disks: [{ disk: 'old-db', to: poolId('b') }],
    },
    ...{ name: 'no VM', readAt: '2026-01-01T00:00:00.000Z', running: false, switches: 'by-itself' },
    own: { volumes: { disk: back ? { source: { ...volume, uuid: 'u' } } : { target: volume } } },
    disks: [
      {
        ...{ disk: 'disk', device: 'disk', bytes: 1 },
        at: { poolId: poolId('a'), path: from, format: 'raw' },
        wanted: { poolId: poolId('b'), path: to },
      },
    ],
  };
}

interface Seen {
  readonly source: FileSight;
  readonly target: FileSight;
  readonly copy: string;
  readonly theirs?: boolean;
}

function verdict(seen: Seen, back = false): Promise<MoveVerdict> {
  const before = order(back);
  const sight = (_host: unknown, { path }: Place) =>
    Promise.resolve(path === before.order.file ? seen.source : seen.target);
  const reach = {
    options: { poolOf: () => undefined },
    copyState: () => Promise.resolve([seen.copy, '']),
    places: {
      sight,
      mustStay: () => Promise.resolve(seen.theirs === true ? 'not made by VMedic' : undefined),
    },
  } as unknown as MoveReach;
  const signal = new AbortController().signal;
  return createLooseMoves(reach).classify(before, { proofs: [], switchAsked: false }, signal);
}

it.each<[why: string, seen: Seen, kind: MoveVerdict['kind'], leftovers: string[]]>([
  [
    'its copy is whole, and the old one is free',
    { source: 'free', target: 'free', copy: 'whole' },
    'MOVED',
    ['source'],
  ],
  [
    'its copy is whole, and the old one is gone',
    { source: 'absent', target: 'free', copy: 'whole' },
    'MOVED',
    [],
  ],
  ['it is being copied', { source: 'free', target: 'free', copy: 'running' }, 'IN_PROGRESS', []],
  [
    'its volume was made, and nothing is in it',
    { source: 'free', target: 'free', copy: 'none' },
    'NOT_MOVED',
    ['copy'],
  ],
  ['its copy failed', { source: 'free', target: 'free', copy: 'failed' }, 'NOT_MOVED', ['copy']],
  ['somebody has opened it since', { source: 'held', target: 'free', copy: 'whole' }, 'NOT_MOVED', ['copy']],
  [
    'the old one is gone, and nothing says that the copy is whole',
    { source: 'absent', target: 'free', copy: 'none' },
    'UNKNOWN',
    [],
  ],
  ['neither is there', { source: 'absent', target: 'absent', copy: 'none' }, 'DISK_MISSING', []],
])('moved to a volume: %s', async (_, seen, kind, leftovers) => {
  const said = await verdict(seen);
  expect(said.kind).toBe(kind);
  expect('leftovers' in said ? said.leftovers.map((l) => l.what) : []).toEqual(leftovers);
});

it('moved from a volume that VMedic has not made: that one stays, and the reason is told', async () => {
  const said = await verdict({ source: 'free', target: 'free', copy: 'whole', theirs: true }, true);
  expect(said).toMatchObject({
    kind: 'MOVED',
    leftovers: [{ path: target, what: 'source', stays: 'not made by VMedic' }],
  });
});
