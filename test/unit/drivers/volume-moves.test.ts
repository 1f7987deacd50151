import { disksOf, withDiskAt } from '../../../drivers/libvirt/disk-state';
import type { FileSight, SeenVm } from '../../../drivers/libvirt/vm-disks';
import { judgeMove } from '../../../drivers/libvirt/volume-verdict';
import { hostId, poolId, vmId } from '../../../domain/ids';
import type { BeforeImage, MoveVerdict } from '../../../domain/volume-move';

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
  const places = { hostId: hv, vmId: id, device: 'vda', source, target, format: 'qcow2' };
  const facts = {
    seen,
    source: sights.source,
    target: sights.target,
    copying: sights.copying === true,
    remains: false,
  };
  return judgeMove(before, places, facts, (path) => poolId(path.split('/')[2] ?? ''));
}

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

describe('a definition with its disk elsewhere', () => {
  it('differs in that one place and nowhere else', () => {
    const next = withDiskAt(S, 'vda', source, target);
    expect(disksOf(next ?? '').map((d) => d.path)).toEqual([target, '/pools/a/other.raw']);
    expect(next?.replace(target, source.replace('&', '&amp;'))).toBe(S);
  });

  it('is not made when the disk does not name the file that was to be replaced', () => {
    expect(withDiskAt(S, 'vdb', source, target)).toBeUndefined();
    expect(withDiskAt(D, 'vda', source, target)).toBeUndefined();
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
