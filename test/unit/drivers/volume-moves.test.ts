import { disksOf, withDiskAt } from '../../../drivers/libvirt/disk-state';
import type { FileSight, SeenVm } from '../../../drivers/libvirt/vm-disks';
import { judgeMove } from '../../../drivers/libvirt/volume-verdict';
import { hostId, poolId, vmId } from '../../../domain/ids';
import { type BeforeImage, type MoveVerdict, onePath } from '../../../domain/volume-move';

const source = '/pools/a/web & co.qcow2';
const target = '/pools/b/web-vda-m1.qcow2';
const id = vmId('11111111-2222-4333-8444-555555555555');
const hv = hostId('hv-a');

const definition = (path: string, more = ''): string => `<domain type='kvm'>
  <name>web</name><uuid>${id}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='${path.replace('&', '&amp;')}' index='1'/>
      ${more}
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'><source file='/pools/a/other.raw'/><target dev='vdb' bus='virtio'/></disk>
  </devices>
</domain>`;

const mirror = (ready: boolean): string =>
  `<mirror type='file' file='${target}' format='qcow2' job='copy'${ready ? " ready='yes'" : ''}><source file='${target}'/></mirror>`;

const before = {
  order: { attempt: 'm1', vmId: id, hostId: hv, disks: [{ disk: 'vda', to: poolId('b') }] },
  ...{ name: 'web', readAt: '2026-01-01T00:00:00.000Z', running: true, switches: 'by-order', own: {} },
  disks: [
    {
      disk: 'vda',
      device: 'vda',
      at: { poolId: poolId('a'), path: source, format: 'qcow2' },
      wanted: { poolId: poolId('b'), path: target },
      bytes: 1,
    },
  ],
} as const satisfies BeforeImage;

interface Case {
  readonly runs?: string;
  readonly next: string;
  readonly source: FileSight;
  readonly target: FileSight;
  readonly copying?: boolean;
}

function verdict({ runs, next, ...sights }: Case): MoveVerdict {
  const seen: SeenVm = {
    hostId: hv,
    observed: {
      vmId: id,
      name: 'web',
      state: runs === undefined ? 'shut-off' : 'running',
      reason: '',
      persistent: true,
    },
    live: runs === undefined ? undefined : disksOf(runs),
    next: disksOf(next),
    text: next,
  };
  const facts = { ...sights, part, copying: sights.copying === true, remains: false };
  return judgeMove(before, { seen, disks: [facts] }, poolOfPath);
}

const poolOfPath = (path: string) => poolId(path.split('/')[2] ?? '');
const file = (path: string, format = 'qcow2') => ({ path, format, volume: undefined, uuid: undefined });
const part = { device: 'vda', bytes: 1, source: file(source), target: file(target) };

const S = definition(source);
const D = definition(target);

describe('the verdict on a disk', () => {
  it.each<[string, Case, MoveVerdict['kind']]>([
    [
      'runs on the new file, the old one is there',
      { runs: D, next: D, source: 'free', target: 'held' },
      'MOVED',
    ],
    [
      'runs on the new file, the old one is gone',
      { runs: D, next: D, source: 'absent', target: 'held' },
      'MOVED',
    ],
    ['runs on the old file', { runs: S, next: S, source: 'held', target: 'absent' }, 'NOT_MOVED'],
    ['runs on the old file beside a copy', { runs: S, next: S, source: 'held', target: 'free' }, 'NOT_MOVED'],
    [
      'is being mirrored',
      { runs: definition(source, mirror(false)), next: S, source: 'held', target: 'held' },
      'IN_PROGRESS',
    ],
    [
      'is mirrored to a file that is gone',
      { runs: definition(source, mirror(true)), next: S, source: 'held', target: 'absent' },
      'IN_PROGRESS',
    ],
    [
      'runs on a file that is not at its path',
      { runs: D, next: D, source: 'free', target: 'absent' },
      'UNKNOWN',
    ],
    [
      'runs on a file that another one has replaced',
      { runs: D, next: D, source: 'free', target: 'free' },
      'UNKNOWN',
    ],
    [
      'runs on the new and would start from the old file',
      { runs: D, next: S, source: 'free', target: 'held' },
      'PARTIAL',
    ],
    ['is off and names the new file', { next: D, source: 'free', target: 'free' }, 'MOVED'],
    [
      'is off and names the old file beside a whole copy',
      { next: S, source: 'free', target: 'free' },
      'NOT_MOVED',
    ],
    [
      'is off and names a new file that is gone',
      { next: D, source: 'free', target: 'absent' },
      'DISK_MISSING',
    ],
    ['is off and somebody has its file open', { next: S, source: 'held', target: 'absent' }, 'UNKNOWN'],
    ['is off and being copied', { next: S, source: 'held', target: 'absent', copying: true }, 'IN_PROGRESS'],
    [
      'names a third file',
      { next: definition('/pools/c/strange.raw'), source: 'free', target: 'free' },
      'UNKNOWN',
    ],
  ])('of a VM that %s', (_, facts, kind) => {
    expect(verdict(facts).kind).toBe(kind);
  });

  it('names what is left: the old file after a move, our copy when there was none', () => {
    expect(verdict({ runs: D, next: D, source: 'free', target: 'held' })).toMatchObject({
      leftovers: [{ path: source, what: 'source' }],
    });
    expect(verdict({ next: S, source: 'free', target: 'free' })).toMatchObject({
      leftovers: [{ path: target, what: 'copy' }],
    });
  });
});

describe('the verdict on several disks', () => {
  const second = {
    device: 'vdb',
    bytes: 1,
    source: file('/pools/a/other.raw', 'raw'),
    target: file('/pools/b/other.raw', 'raw'),
  };
  const both = (vda: string, vdb: string): string => definition(vda).replace('/pools/a/other.raw', vdb);
  const judged = (runs: string | undefined, next: string): MoveVerdict => {
    const state = runs === undefined ? 'shut-off' : 'running';
    const sight = (path: string): FileSight => (runs?.includes(path) === true ? 'held' : 'free');
    const factsOf = (p: typeof second) => ({
      ...{ part: p, source: sight(p.source.path.replace('&', '&amp;')), target: sight(p.target.path) },
      ...{ copying: false, remains: false },
    });
    const seen: SeenVm = {
      ...{
        hostId: hv,
        text: next,
        next: disksOf(next),
        live: runs === undefined ? undefined : disksOf(runs),
      },
      observed: { vmId: id, name: 'web', state, reason: '', persistent: true },
    };
    return judgeMove(before, { seen, disks: [factsOf(part), factsOf(second)] }, poolOfPath);
  };

  it.each([
    ['both are at their new places', target, second.target.path, 'MOVED'],
    ['neither is', source, second.source.path, 'NOT_MOVED'],
    ['one is', target, second.source.path, 'PARTIAL'],
  ] as const)('is of all together: %s', (_, vda, vdb, kind) => {
    expect(judged(both(vda, vdb), both(vda, vdb)).kind).toBe(kind);
    expect(judged(undefined, both(vda, vdb)).kind).toBe(kind);
  });

  it('says which one moved, and leaves what each of them uses', () => {
    expect(judged(both(target, second.source.path), both(target, second.source.path))).toMatchObject({
      detail: 'vda moved, vdb did not',
      leftovers: [
        { path: source, what: 'source' },
        { path: second.target.path, what: 'copy' },
      ],
    });
  });
});

describe('a move to and from a logical volume', () => {
  const names = { group: 'vg', volume: 'vm-web-vda-m1' };
  const volume = { path: '/dev/vg/vm-web-vda-m1', format: 'raw', volume: names, uuid: undefined };

  it('changes the kind of the disk, its attribute and its format, and back again', () => {
    const there = withDiskAt(S, 'vda', file(source), volume) ?? '';
    expect(disksOf(there)[0]).toMatchObject({ kind: 'block', path: volume.path, format: 'raw' });
    expect(there).toContain(`<disk type='block' device='disk'>`);
    expect(there).toContain(`<source dev='${volume.path}' index='1'/>`);
    const back = withDiskAt(there, 'vda', volume, file(target, 'raw')) ?? '';
    expect(disksOf(back)[0]).toMatchObject({ kind: 'file', path: target, format: 'raw' });
    expect(disksOf(back)[1]).toEqual(disksOf(S)[1]);
  });

  it('is no definition where the format cannot be written down: a guest could choose how its raw disk is read', () => {
    const typeless = S.replace(" type='qcow2'/>", '/>');
    expect(withDiskAt(typeless, 'vda', file(source), { ...volume, format: 'qcow2' })).toBeUndefined();
  });

  it('has not moved whole while the definition names the volume in the format of the file', () => {
    const wrong = S.replace(`file='${source.replace('&', '&amp;')}'`, `dev='${volume.path}'`).replace(
      "type='file' device",
      "type='block' device",
    );
    const seen: SeenVm = {
      ...{ hostId: hv, text: wrong, next: disksOf(wrong), live: undefined },
      observed: { vmId: id, name: 'web', state: 'shut-off', reason: '', persistent: true },
    };
    const facts = { part: { ...part, target: volume }, source: 'free', target: 'free' } as const;
    const said = judgeMove(
      before,
      { seen, disks: [{ ...facts, copying: false, remains: false }] },
      poolOfPath,
    );
    expect(said).toMatchObject({ kind: 'PARTIAL', detail: expect.stringContaining('as qcow2') });
  });

  it.each([
    ['/dev/mapper/vg-vm--web--vda--m1', '/dev/vg/vm-web-vda-m1'],
    ['/dev/disk/by-id/dm-name-vg-vm1', '/dev/vg/vm1'],
    ['/dev/vg/vm1', '/dev/vg/vm1'],
    ['/pools/a/web.raw', '/pools/a/web.raw'],
  ])('%s and %s are one place', (path, one) => {
    expect(onePath(path)).toBe(one);
  });
});

describe('a definition with its disk elsewhere', () => {
  it('differs in that one place and nowhere else', () => {
    const next = withDiskAt(S, 'vda', file(source), file(target));
    expect(disksOf(next ?? '').map((d) => d.path)).toEqual([target, '/pools/a/other.raw']);
    expect(next?.replace(target, source.replace('&', '&amp;'))).toBe(S);
  });

  it('is not made when the disk does not name the file that was to be replaced', () => {
    expect(withDiskAt(S, 'vdb', file(source), file(target))).toBeUndefined();
    expect(withDiskAt(D, 'vda', file(source), file(target))).toBeUndefined();
  });
});

it('reads a mirror, whether it is ready, and what makes a disk unfit to be moved', () => {
  const text = definition(
    source,
    `${mirror(true)}<shareable/><backingStore type='file'><source file='/base'/></backingStore>`,
  );
  expect(disksOf(text)[0]).toMatchObject({
    mirror: { path: target, ready: true },
    shareable: true,
    hasBacking: true,
    kind: 'file',
  });
  expect(disksOf(definition(source, mirror(false)))[0]?.mirror?.ready).toBe(false);
  expect(disksOf(S)[0]).toMatchObject({ mirror: undefined, shareable: false, hasBacking: false });
});
