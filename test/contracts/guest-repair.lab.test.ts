/**
 * The guest-repair driver on what it is for: file systems whose kernel died while it wrote, in libguestfs' own appliance; and snapshots of a real
 * kernel's LVM, kept and merged.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { hostId, poolId, vmId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import type { RunOnHost } from '../../drivers/child-processes';
import { createGuestRepair } from '../../drivers/host-commands';
import { asRootScript } from '../../drivers/lvm/activation-script';
import { fakeGuestfish } from '../support/fake-guestfish';
import { lvmHost, type LvmHost, lvmPool, openLvmHost, quoted, volumeDisk } from '../support/lvm-host';
import {
  changeExt4,
  logOf,
  openRealDisks,
  overwrite,
  type RealDisks,
  shell,
  sumOf,
} from '../support/real-disks';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';
import { eventually, notAborted, type Opened, runContract } from './contract';
import { guestRepairContract, type GuestRepairSubject } from './guest-repair.contract';

/** A boot of the appliance takes ten seconds on a quiet core, and each look is one. */
jest.setTimeout(20 * 60_000);

const here = hostId('hv-a');
const pool = poolId('images');
const order = (attempt: string, disks: readonly VmDisk[]) => ({
  ...{ attempt, name: 'web', disks },
  vmId: vmId('11111111-2222-4333-8444-555555555555'),
});
const disk = (device: string, path: string, format = 'raw'): VmDisk => ({
  ...{ device, path, format, poolId: pool, shareable: false },
});
const signal = notAborted();

const onThisMachine =
  (env: NodeJS.ProcessEnv): RunOnHost =>
  (_host, script, args) => {
    const end = spawnSync('sh', ['-c', script, 'sh', ...args], { encoding: 'utf8', env });
    return Promise.resolve({ code: end.status ?? 255, stdout: end.stdout, stderr: end.stderr });
  };

describeAtLengthOnStorageLab('the disks of a guest whose kernel died', () => {
  let disks: RealDisks;
  const repairOn = (more: NodeJS.ProcessEnv = {}) =>
    createGuestRepair({
      asRoot: onThisMachine({ ...disks.env, ...more }),
      pools: [{ id: pool, type: 'dir', path: disks.folder, lockStrategy: 'none' }],
      hostsOf: () => [here],
    });
  const filesOn = async (path: string, count: string): Promise<number> =>
    Number(
      await disks.fish('--ro', [path], ['mount-ro /dev/sda /', shell(`cd /sysroot; cat ${count} | wc -l`)]),
    );
  beforeAll(async () => {
    disks = await openRealDisks();
  });
  afterAll(() => disks.close());

  it('are refused before anything is touched where the appliance is not there, or does not boot', async () => {
    const web = order('r0', [disk('vda', disks.dirty.xfs)]);
    const before = sumOf(disks.dirty.xfs);
    const refusal = async (more: NodeJS.ProcessEnv): Promise<string> => {
      const said = await repairOn(more).preflight(here, web, signal);
      return said.kind === 'ready' ? 'ready' : said.why.join('; ');
    };
    const { PATH = '' } = process.env;
    expect(await refusal({ PATH })).toContain(`${here} lacks guestfish`);
    expect(await refusal({ LIBGUESTFS_PATH: '/nowhere' })).toMatch(/appliance of guestfish.*LIBGUESTFS_PATH/);
    expect(await refusal({})).toBe('ready');
    expect(sumOf(disks.dirty.xfs)).toBe(before);
  });

  it('have their journals replayed, and then every file that was synced; what was kept is as they were', async () => {
    const xfs = disks.copyOf(disks.dirty.xfs, 'replay-xfs.raw');
    const ext4 = disks.copyOf(disks.dirty.ext4, 'replay-ext4.raw');
    const qcow2 = ext4.replace('.raw', '.qcow2');
    expect(spawnSync('qemu-img', ['convert', '-O', 'qcow2', ext4, qcow2]).status).toBe(0);
    expect(await logOf(disks, xfs)).toMatchObject({ isDirty: true });
    const [before, beforeQcow2] = [sumOf(xfs), sumOf(qcow2)];
    const web = order('r1', [disk('vda', xfs), disk('vdb', qcow2, 'qcow2')]);
    const repair = repairOn();
    await repair.keep(here, web, signal);
    expect(await repair.mend(here, web, signal)).toEqual([
      { device: '/dev/sda', type: 'xfs', found: 'whole', said: '' },
      { device: '/dev/sdb', type: 'ext4', found: 'whole', said: '' },
    ]);
    expect(await logOf(disks, xfs)).toMatchObject({ isDirty: false });
    expect(spawnSync('qemu-img', ['convert', '-O', 'raw', qcow2, ext4]).status).toBe(0);
    expect(await filesOn(xfs, 'd*/f*')).toBe(300);
    expect(await filesOn(ext4, 'f* late')).toBe(301);
    expect([sumOf(`${xfs}.before-r1`), sumOf(`${qcow2}.before-r1`)]).toEqual([before, beforeQcow2]);
  });

  it('are mended where their own tools do so without a question, and are byte for byte as before when they go back', async () => {
    const xfs = disks.copyOf(disks.dirty.xfs, 'mend-xfs.raw');
    const ext4 = disks.copyOf(disks.dirty.ext4, 'mend-ext4.raw');
    await disks.fish(
      '--rw',
      [xfs, ext4],
      ['mount /dev/sda /', 'umount-all', 'mount /dev/sdb /', 'umount-all'],
    );
    changeExt4(ext4, 'set_super_value free_blocks_count 7');
    expect(freeBlocksOf(ext4)).toBe(7);
    overwrite(xfs, secondGroupOf(xfs) + 1, 1, 0);
    const before = [sumOf(xfs), sumOf(ext4)];
    const web = order('r2', [disk('vda', xfs), disk('vdb', ext4)]);
    const repair = repairOn();
    await repair.keep(here, web, signal);
    expect(await repair.mend(here, web, signal)).toEqual([
      { device: '/dev/sda', type: 'xfs', found: 'mended', said: '' },
      { device: '/dev/sdb', type: 'ext4', found: 'whole', said: '' },
    ]);
    expect(await filesOn(xfs, 'd*/f*')).toBe(300);
    expect(freeBlocksOf(ext4)).not.toBe(7);
    const after = [sumOf(xfs), sumOf(ext4)];
    expect(after.filter((sum, i) => sum === before[i])).toEqual([]);
    await repair.goBack(here, web, signal);
    expect([sumOf(xfs), sumOf(ext4)]).toEqual(before);
  });

  it('are damaged and go back where a journal cannot be replayed or only an answer would help: it is not thrown away', async () => {
    const xfs = disks.copyOf(disks.dirty.xfs, 'lost-xfs.raw');
    const ext4 = disks.copyOf(disks.dirty.ext4, 'lost-ext4.raw');
    const log = await logOf(disks, xfs);
    overwrite(xfs, log.start + log.tail + 3, 1, 0xa5);
    await disks.fish('--rw', [ext4], ['mount /dev/sda /', 'umount-all']);
    changeExt4(ext4, 'clri <2>');
    const before = [sumOf(xfs), sumOf(ext4)];
    const web = order('r3', [disk('vda', xfs), disk('vdb', ext4)]);
    const repair = repairOn();
    await repair.keep(here, web, signal);
    const found = await repair.mend(here, web, signal);
    expect(found).toMatchObject([
      { type: 'xfs', found: 'damaged', said: expect.stringContaining('mount') as string },
      { type: 'ext4', found: 'damaged' },
    ]);
    expect(await logOf(disks, xfs)).toMatchObject({ isDirty: true });
    for (let i = 0; i < 2; i += 1) await repair.goBack(here, web, signal);
    await repair.drop(here, web, signal);
    expect([sumOf(xfs), sumOf(ext4)]).toEqual(before);
    const left = spawnSync('ls', [dirname(xfs)], { encoding: 'utf8' }).stdout;
    expect(left).not.toMatch(/r3/);
  });
});

/** By the superblock. */
const freeBlocksOf = (path: string): number => readFileSync(path).readUInt32LE(1024 + 12);

/** In sectors, by the superblock: bytes of a block, and blocks of an allocation group. */
function secondGroupOf(path: string): number {
  const block = readFileSync(path).subarray(0, 512);
  return (block.readUInt32BE(4) * block.readUInt32BE(84)) / 512;
}

const path = '/dev/vmvg/vm2';
/** One for all: each is a boot. */
let opened: Promise<LvmHost> | undefined;
const theHost = (): Promise<LvmHost> => (opened ??= openLvmHost());

/** `vm2` of a real host with LVM; guestfish is a script that writes to the volume, for an appliance in a guest of a guest takes minutes. */
async function openVolumes(): Promise<Opened<GuestRepairSubject>> {
  const host = await theHost();
  const isDamaged = async (): Promise<boolean> => (await host.run(`head -c 7 ${path}`)) === 'damaged';
  const subject: GuestRepairSubject = {
    port: repairOnLvm(host),
    ...{ a: lvmHost, patienceMs: 600_000 },
    order: (attempt) => order(attempt, [volumeDisk('vm2')]),
    world: {
      async start() {
        await host.run(`(exec 3<${path}; exec sleep 3600) >/dev/null 2>&1 & echo $! >/run/user-of-vm2`);
        const isOpen = async () =>
          (await host.run('lvs --noheadings -o lv_device_open vmvg/vm2')).includes('open');
        await eventually(60_000, isOpen);
      },
      isDamaged,
      powerOff: () => host.guest.powerOff(),
    },
  };
  return { subject, reset: () => damagedAgain(host), close: () => Promise.resolve() };
}

const repairOnLvm = (host: LvmHost) =>
  createGuestRepair({
    asRoot: (where, script, args, ms, abort) =>
      host.runScript(where, asRootScript, [script, ...args], ms, abort),
    pools: [{ id: lvmPool, type: 'lvm', path: '/dev/vmvg', lockStrategy: 'none' }],
    hostsOf: () => [lvmHost],
  });

async function damagedAgain(host: LvmHost): Promise<void> {
  if ((await host.guest.state()) === 'off') await host.rebootWith(['d1', 'd2', 'd3']);
  const lines = [
    '[ ! -f /run/user-of-vm2 ] || kill "$(cat /run/user-of-vm2)"; rm -f /run/user-of-vm2 /run/vmedic-repair-*',
    `printf %s ${quoted(fakeGuestfish)} >/usr/bin/guestfish && chmod +x /usr/bin/guestfish`,
    'for s in $(lvs --noheadings -o lv_name -S origin=vm2 vmvg); do lvremove -q -y vmvg/$s; done',
    'for t in $(lvs --noheadings -o lv_tags vmvg/vm2 | tr , " "); do lvchange -q --deltag $t vmvg/vm2; done',
    `lvchange -ay vmvg/vm2 && head -c 1M /dev/urandom >${path} && printf damaged | dd of=${path} conv=notrunc status=none && sync`,
  ];
  await host.run(lines.join('\n'));
}

describeAtLengthOnStorageLab('on volumes of a real kernel', () => {
  afterAll(async () => (await opened)?.close());

  runContract('guestRepair', 'host-commands (LVM)', guestRepairContract, openVolumes, 'suite');

  it('a volume is byte for byte as it was once its snapshot is merged, whatever was written meanwhile', async () => {
    const host = await theHost();
    await damagedAgain(host);
    const sum = (): Promise<string> => host.run(`sha256sum <${path}`);
    const [repair, web] = [repairOnLvm(host), order('r9', [volumeDisk('vm2')])];
    const before = await sum();
    await repair.keep(lvmHost, web, signal);
    expect((await repair.mend(lvmHost, web, signal)).map((f) => f.found)).toEqual(['mended', 'left']);
    await host.run(`dd if=/dev/urandom of=${path} bs=1M seek=3 count=20 conv=fsync status=none`);
    expect(await sum()).not.toBe(before);
    await repair.goBack(lvmHost, web, signal);
    expect(await sum()).toBe(before);
    await repair.drop(lvmHost, web, signal);
    const left = await host.run("lvs -a --noheadings --separator '|' -o lv_name,lv_tags vmvg");
    expect(left.split('\n').map((l) => l.trim())).toEqual(['base|', 'vm1|', 'vm2|', '']);
  });

  it('a volume is not touched where its group has no room to keep it', async () => {
    const host = await theHost();
    await damagedAgain(host);
    await host.run('lvcreate -q -y -an -Zn -Wn -n full -l 80%FREE vmvg');
    const said = await repairOnLvm(host).preflight(lvmHost, order('r8', [volumeDisk('vm2')]), signal);
    await host.run('lvremove -q -y vmvg/full');
    expect(said).toMatchObject({ kind: 'refused', why: [expect.stringContaining('are needed to keep')] });
  });
});
