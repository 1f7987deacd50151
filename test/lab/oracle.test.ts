import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { Lab } from '../../lab/lab';
import type { LabVm } from '../../lab/lab-vm';
import type { Verdict } from '../../lab/oracle/judge';
import { describeOnRealHosts } from '../support/real-hosts';
import { labUp } from './real-lab';

const rulesOf = (verdict: Verdict): string[] =>
  verdict.verdict === 'VIOLATION' ? [...new Set(verdict.violations.map(({ rule }) => rule))] : [];

describeOnRealHosts('the oracle, on disks that real guests wrote to', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await labUp({ hosts: 2, vms: 0 });
  }, 120_000);
  afterAll(() => lab.down());

  const a = () => lab.host('hv-a');
  const b = () => lab.host('hv-b');

  async function vmOnA(
    name: string,
    more: { shareable?: boolean; format?: 'raw' | 'qcow2' } = {},
  ): Promise<LabVm> {
    const vm = await lab.addVm({ name, ticks: 2, ...more });
    for (const host of lab.hosts) await vm.define(host);
    await vm.start(a());
    await vm.beats(3);
    return vm;
  }

  it.each(['raw', 'qcow2'] as const)(
    'finds a %s disk clean while its guest runs, and after three boots',
    async (format) => {
      const vm = await vmOnA(`ok-${format}`, { format });
      expect(await vm.judge(1)).toMatchObject({ verdict: 'CLEAN' });
      await vm.destroy(a());
      for (const host of [b(), a()]) {
        const printed = vm.printed().length;
        await vm.start(host);
        await vm.beatsBeyond(printed + 2);
        await vm.destroy(host);
      }
      expect(await vm.judge(3)).toMatchObject({ verdict: 'CLEAN' });
      expect(await vm.judge(2)).toMatchObject({ verdict: 'VIOLATION' });
    },
  );

  it('finds a disk clean whose second start was refused by its lock', async () => {
    const vm = await vmOnA('refused');
    await expect(vm.start(b())).rejects.toThrow(/Failed to get "write" lock/);
    await vm.beats(2);
    await vm.destroy(a());
    expect(await vm.judge(1)).toMatchObject({ verdict: 'CLEAN' });
  });

  it('sees two writers on a disk that two hosts share', async () => {
    const vm = await vmOnA('shared', { shareable: true });
    await vm.start(b());
    await vm.beats(12);
    for (const host of lab.hosts) await vm.destroy(host);
    expect(rulesOf(await vm.judge())).toEqual(expect.arrayContaining(['interleaved', 'foreign-head']));
  });

  it('sees the writes of a frozen host that wakes up after its VM ran elsewhere, and not before', async () => {
    const vm = await vmOnA('zombie', { shareable: true });
    await a().freeze();
    const printed = vm.printed().length;
    await vm.start(b());
    await vm.beatsBeyond(printed + 5);
    await vm.destroy(b());
    expect(await vm.judge(2)).toMatchObject({ verdict: 'CLEAN' });
    await a().thaw();
    await vm.beats(2);
    await vm.destroy(a());
    expect(rulesOf(await vm.judge())).toEqual(expect.arrayContaining(['interleaved', 'foreign-head']));
  });

  it('sees that a VM was started by an old definition on the old copy of a disk that had moved', async () => {
    const vm = await vmOnA('moved');
    await vm.destroy(a());
    const { disk, xmlFile } = vm.entry;
    const moved = disk.replace('moved', 'moved-2');
    copyFileSync(disk, moved);
    const newXml = xmlFile.replace('moved', 'moved-2');
    writeFileSync(newXml, readFileSync(xmlFile, 'utf8').replace(disk, moved));
    await a().virshOrThrow(['define', newXml]);
    await vm.start(a());
    await vm.beats(4);
    await a().powerOff();
    const printed = vm.printed().length;
    await vm.start(b());
    await vm.beatsBeyond(printed);
    await vm.destroy(b());
    expect(rulesOf(await vm.judge())).toEqual(
      expect.arrayContaining(['printed-not-on-disk', 'printed-twice']),
    );
    await a().powerOn();
  });

  it('sees that a disk was put back to what it was a moment ago', async () => {
    const vm = await vmOnA('restored', { format: 'raw' });
    const old = readFileSync(vm.entry.disk);
    await vm.beats(4);
    await vm.destroy(a());
    writeFileSync(vm.entry.disk, old);
    expect(rulesOf(await vm.judge())).toEqual(['printed-not-on-disk']);
  });

  it('sees that a disk belongs to another machine', async () => {
    const vm = await vmOnA('own');
    const other = await vmOnA('other');
    await vm.destroy(a());
    await other.destroy(a());
    copyFileSync(other.entry.disk, vm.entry.disk);
    expect(rulesOf(await vm.judge())).toContain('wrong-machine');
  });

  it('does not know about a VM that was never started', async () => {
    const vm = await lab.addVm({ name: 'never' });
    expect(await vm.judge()).toMatchObject({
      verdict: 'UNKNOWN',
      why: expect.stringContaining('never written') as string,
    });
  });
});
