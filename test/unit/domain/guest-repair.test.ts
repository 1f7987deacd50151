import { repairSteps } from '../../../domain/guest-repair';
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
