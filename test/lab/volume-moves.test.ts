/**
 * Disks moved on real hosts, while the guest writes and while it is off, and by a VMedic that is killed in between. The oracle judges the disk at the
 * place that libvirt names: one boot, no gap, nothing printed that is not on the disk.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Ending } from '../../client/answers';
import { vmId } from '../../domain/ids';
import { mulberry32 } from '../../drivers/simulated/sample-world';
import type { LabVm } from '../../lab/lab-vm';
import { judgeDiskFile } from '../../lab/oracle/read-disk';
import { run, sessionOn } from '../support/command-line';
import { describeOnRealHosts } from '../support/real-hosts';
import { RealRecovery } from '../support/real-recovery';
import { sampleSeed } from '../support/seeded-sample';

const kills = process.env['VMEDIC_SOAK'] === 'true' ? 20 : 2;
/** From the order to the end of a move of so small a disk on a quiet machine. */
const wholeMoveMs = 2_500;

describeOnRealHosts('a disk on real hosts', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open({ hosts: 2, vms: 3, vmConfig: { 'vm-02': { protect: false } } });
  }, 180_000);
  afterAll(() => real.close(), 60_000);

  /** As libvirt has it, for the next start. */
  async function fileOf(vm: LabVm): Promise<string> {
    const text = await vm.home.virshOrThrow(['domblklist', vm.name, '--inactive', '--details']);
    return /\sdisk\s+vda\s+(\/.*\S)/.exec(text)?.[1] ?? '';
  }

  async function isClean(vm: LabVm, boots: number): Promise<void> {
    const { serial, uuid, format } = vm.entry;
    const verdict = await judgeDiskFile({ path: await fileOf(vm), format, serial, vm: uuid, boots });
    expect(verdict).toMatchObject({ verdict: 'CLEAN' });
  }

  async function recordNames(vm: LabVm): Promise<string[]> {
    return (await real.inventory.vm(vmId(vm.uuid)))?.shape.disks.map((d) => d.path) ?? [];
  }

  const move = async (vm: LabVm, to: string): Promise<Ending> => {
    const answer = await real.recoveries.migrateVolume(vm.name, 'vda', to, {
      by: 'tester',
      reason: 'room',
      source: 'operator',
    });
    if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
    return real.ending(answer);
  };

  it('moves by one command while its guest writes, and the guest goes on without a gap', async () => {
    const vm = real.lab.vm('vm-01');
    const source = await fileOf(vm);
    const { inventory, fleet, client } = real;
    const command = ['vm', 'migrate-volume', vm.name, '--disk', 'vda', '--to', 'lab-second', '--wait'];
    const { exit, stdout, stderr } = await run(command, { open: sessionOn({ inventory, fleet, client }) });
    expect({ exit, stdout, stderr }).toEqual({
      exit: 0,
      stdout: expect.stringMatching(/moved; read back: moved \(vda at /) as string,
      stderr: expect.stringMatching(/copying[^]*switch to the copy[^]*recorded as read back/) as string,
    });
    await vm.beats(3);
    const target = await fileOf(vm);
    expect(target).toContain('/disks-2/');
    expect(existsSync(source)).toBe(false);
    expect(await recordNames(vm)).toEqual([target]);
    await isClean(vm, 1);
  });

  it('moves while its guest is off, and the guest starts from the new place', async () => {
    const vm = real.lab.vm('vm-02');
    const source = await fileOf(vm);
    await vm.destroy();
    expect(await move(vm, 'lab-second')).toMatchObject({ kind: 'finished', result: { phase: 'moved' } });
    expect(await vm.state()).toBe('shut off');
    expect(existsSync(source)).toBe(false);
    const target = await fileOf(vm);
    expect(await recordNames(vm)).toEqual([target]);
    await vm.start();
    await vm.beats(2);
    await isClean(vm, 2);
  });

  it('that belongs to no VM stays while an image is built on it, and moves byte for byte once none is', async () => {
    const folder = dirname(await fileOf(real.lab.vm('vm-03')));
    const [path, over] = [join(folder, 'old-web.qcow2'), join(folder, 'over.qcow2')];
    const image = (...args: string[]): string => execFileSync('qemu-img', args, { encoding: 'utf8' });
    const asked = { by: 'tester', reason: 'room', source: 'operator' } as const;
    const moved = async (): Promise<Ending> => {
      const answer = await real.recoveries.moveFile(path, 'lab-second', asked);
      if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
      return real.ending(answer);
    };
    image('create', '-q', '-f', 'qcow2', path, '4M');
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -q -P 0x5a 1M 1M', path]);
    image('create', '-q', '-f', 'qcow2', '-b', path, '-F', 'qcow2', over);
    expect(await moved()).toMatchObject({
      kind: 'failed',
      sentence: expect.stringContaining(`${over} is built on it`),
    });
    expect(existsSync(path)).toBe(true);
    rmSync(over);
    const ending = await moved();
    const result = ending.kind === 'finished' ? ending.result : undefined;
    const now = result !== undefined && 'disks' in result ? (result.disks[0]?.at.path ?? '') : '';
    expect(now).toMatch(/\/disks-2\/old-web-m[0-9a-f]{12}\.qcow2$/);
    expect(existsSync(path)).toBe(false);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -q -P 0x5a 1M 1M', '-c', 'read -q -P 0 0 1M', now]);
    expect(image('check', '-q', now)).toBe('');
  });

  const random = mulberry32(sampleSeed);
  const moments = Array.from(
    { length: kills },
    (_, i) => [i + 1, Math.floor(random() * wholeMoveMs)] as const,
  );
  it.each(moments)(
    'survives kill %i, %i ms after the order, with the disk clean wherever it is',
    async (_n, ms) => {
      const vm = real.lab.vm('vm-03');
      const to = (await fileOf(vm)).includes('/disks-2/') ? 'lab-shared' : 'lab-second';
      const source = await fileOf(vm);
      const moving = move(vm, to);
      await new Promise((resolve) => setTimeout(resolve, ms));
      await real.system.kill('worker');
      const ending = await moving;
      const made = ending.kind === 'finished';
      await vm.beats(3);
      const now = await fileOf(vm);
      expect(now === source).toBe(!made);
      expect(await recordNames(vm)).toEqual([now]);
      if (made) expect(existsSync(source)).toBe(false);
      await isClean(vm, 1);
    },
  );
});
