import { keptDisk, mendedWords, repairsByItself, repairSteps } from '../../../domain/guest-repair';
import { hostId, poolId } from '../../../domain/ids';
import type { VmDisk } from '../../../domain/records';

const disk = (path: string, format = 'raw'): VmDisk => ({
  ...{ device: 'vda', path, format, poolId: poolId('p'), shareable: false },
});
const stepsFor = (path: string, name = 'web-1'): string[] =>
  repairSteps(
    { name, shape: { memoryMiB: 4, vcpus: 1, disks: [disk(path)], networks: [], consolePath: undefined } },
    hostId('hv-a'),
  );
const at = (steps: readonly string[], what: string): number => steps.findIndex((s) => s.includes(what));

it('keeps a logical volume in a snapshot that cannot run full, before anybody looks at it', () => {
  const steps = stepsFor('/dev/vmvg/web');
  const keep = at(steps, 'lvcreate -s -l 100%ORIGIN -n web-before vmvg/web');
  const look = at(steps, 'guestfish --ro --format=raw -a /dev/vmvg/web');
  const back = at(steps, 'lvconvert --merge vmvg/web-before');
  expect(keep).toBeGreaterThan(-1);
  expect([keep, look, back]).toEqual([keep, look, back].sort((a, b) => a - b));
});

it('keeps a file in a copy of it, whatever it is called', () => {
  const steps = stepsFor("/pool/it's one.qcow2");
  expect(steps.join('\n')).toContain(
    `cp -a --sparse=always '/pool/it'"'"'s one.qcow2' '/pool/it'"'"'s one.qcow2.before'`,
  );
});

it('leaves a disk without a path on the host to whoever manages it', () => {
  const steps = stepsFor('[fast] web-1/web-1.vmdk');
  expect(
    at(steps, 'take a snapshot of web-1 where its disk [fast] web-1/web-1.vmdk is managed'),
  ).toBeGreaterThan(-1);
  expect(at(steps, 'guestfish')).toBe(-1);
});

it('has the VM left alone before it is stopped, and protected again last: a protected one is started in the middle of it', () => {
  const steps = stepsFor('/dev/vmvg/web');
  expect(steps[0]).toContain('vmedic vm unprotect web-1');
  expect(at(steps, 'virsh destroy')).toBe(1);
  expect(steps.at(-1)).toMatch(/vmedic vm restart web-1 .*vmedic vm protect web-1/);
});

it('tells nobody to throw a journal away', () => {
  expect(stepsFor('/dev/vmvg/web').filter((s) => s.includes('-L'))).toEqual([
    expect.stringContaining('never xfs_repair -L before the snapshot'),
  ]);
});

const pool = (type: 'dir' | 'nfs' | 'lvm' | 'rbd', guestRepair?: 'by-hand' | 'automatic') => ({
  ...{ id: poolId('p'), type, path: '/pool', lockStrategy: 'none' as const },
  ...(guestRepair !== undefined && { guestRepair }),
});

it('keeps a disk beside itself, under the name of the attempt, and says what removes it', () => {
  expect(keptDisk(disk('/pool/web 1.raw'), 'r1', pool('nfs'))).toMatchObject({
    kept: '/pool/web 1.raw.before-r1',
    remove: "rm '/pool/web 1.raw.before-r1' '/pool/web 1.raw.repair-r1'",
  });
  expect(keptDisk(disk('/dev/vmvg/web'), 'r1', pool('lvm'))).toMatchObject({
    ...{ kept: 'vmvg/web-before-r1', remove: 'lvremove vmvg/web-before-r1' },
  });
});

it.each([
  ['lies in no declared pool', '/pool/web.raw', undefined],
  ['is of a kind that no command on a host keeps', 'rbd:pool/web', pool('rbd')],
  ['is no logical volume by name', '/dev/mapper/vmvg-web', pool('lvm')],
])('keeps no disk that %s', (_, path, of) => {
  expect(keptDisk(disk(path), 'r1', of)).toBeUndefined();
});

it('repairs by itself only where that is switched on for every pool of the VM, which it is not by default', () => {
  const elsewhere = { ...disk('/other/data.raw'), poolId: poolId('q') };
  expect(repairsByItself([disk('/pool/a')], [pool('dir')])).toBe(false);
  expect(repairsByItself([disk('/pool/a')], [pool('dir', 'by-hand')])).toBe(false);
  expect(repairsByItself([disk('/pool/a')], [pool('dir', 'automatic')])).toBe(true);
  expect(repairsByItself([disk('/pool/a'), elsewhere], [pool('dir', 'automatic')])).toBe(false);
  expect(repairsByItself([{ ...disk('/pool/a'), poolId: undefined }], [pool('dir', 'automatic')])).toBe(
    false,
  );
  expect(repairsByItself([], [pool('dir', 'automatic')])).toBe(false);
});

it('says of each file system what was found, and of none that there was none', () => {
  expect(mendedWords([{ device: '/dev/sda1', type: 'xfs', found: 'mended', said: '' }])).toBe(
    '/dev/sda1 (xfs) mended',
  );
  expect(mendedWords([])).toBe('no file system was found on its disks');
});
