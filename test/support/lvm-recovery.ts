/** VMedic on a host whose VMs have logical volumes for disks: libvirt, QEMU and LVM of a machine with a kernel of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeBeatDisk } from '../../lab/guest/disk';
import { domainXml } from '../../lab/guest/domain-xml';
import type { Verdict } from '../../lab/oracle/judge';
import { judgeDiskFile } from '../../lab/oracle/read-disk';
import { hostOfGuest } from '../../lab/storage/config';
import { waitFor } from '../../lab/wait-for';
import { type LvmHost, openLvmHost } from './lvm-host';
import { RecoverySite, startParts } from './recovery-site';

export const VOLUME_HOST = 'lvm';
const POOL = 'volumes';
const TICKS = 18;
const BEAT_MS = 120_000;
const START_MS = 120_000;

/** One on a volume that lies on every disk; one on a qcow2 in a volume, whose backing image is a volume too. */
const vms = [
  { name: 'vm1', uuid: '00000000-0000-4000-8000-00000000b001', format: 'raw' },
  { name: 'vm2', uuid: '00000000-0000-4000-8000-00000000b002', format: 'qcow2' },
] as const;
type Name = (typeof vms)[number]['name'];

const consoleOf = (name: Name): string => `/keep/${name}.log`;

export class LvmRecovery extends RecoverySite {
  private constructor(
    readonly host: LvmHost,
    ...site: ConstructorParameters<typeof RecoverySite>
  ) {
    super(...site);
  }

  /** `others`: further hosts that see the same volumes and run nothing. */
  static async open(others: readonly string[] = []): Promise<LvmRecovery> {
    const host = await openLvmHost(others);
    const close = (): Promise<void> => host.close();
    try {
      const { lab } = host;
      for (const vm of vms) await make(host, vm);
      for (const name of others) await host.join(name);
      await lab.bmcsUp();
      const hosts = [VOLUME_HOST, ...others].map((name) => hostOfGuest(lab, name, [POOL]));
      const cluster = { id: 'lab', hosts };
      const pool = { id: POOL, type: 'lvm', path: '/dev/vmvg', lockStrategy: 'none' };
      const health = { default: { kind: 'console', pattern: 'VMEDIC-BEAT seq=', timeout: '120s' } };
      const config = { version: 1, clusters: [cluster], pools: [pool], health };
      const parts = await startParts(lab.folder, config, { policy: { storageDeadline: '20s' } });
      const site = new LvmRecovery(host, parts, (name) => lab.bmc(name), close);
      await site.discovered(vms.map((vm) => vm.name));
      // A volume is known by its identity once the watch has read it where its VM runs.
      await waitFor('both volumes to be known by what they are', BEAT_MS, async () =>
        (await site.inventory.vms()).every((vm) => vm.shape.disks.every((d) => d.volume !== undefined)),
      );
      return site;
    } catch (cause) {
      await close();
      throw cause;
    }
  }

  async beats(name: Name): Promise<number> {
    return Number((await this.host.run(`grep -ac VMEDIC-BEAT ${consoleOf(name)} || :`)).trim() || 0);
  }

  async running(): Promise<string[]> {
    const names = (await this.host.run('virsh -q list --name')).split('\n');
    return names.filter((n) => n !== '').sort();
  }

  /** Once it is stopped: what it has on its disk, beside what it had printed by now or by `printedBefore`. */
  async judge(name: Name, printedBefore: string): Promise<Verdict> {
    const folder = mkdtempSync(join(tmpdir(), 'vmedic-judge-'));
    try {
      const { guest } = this.host;
      const { uuid, format } = vms.find((vm) => vm.name === name) ?? vms[0];
      await guest.fetch(consoleOf(name), join(folder, 'serial'));
      await guest.run(`virsh -q destroy ${name}`, START_MS);
      const copy =
        format === 'raw'
          ? `dd if=/dev/vmvg/${name} of=/tmp/${name}.raw bs=1M count=4`
          : `qemu-img convert -f ${format} -O raw /dev/vmvg/${name} /tmp/${name}.raw`;
      await guest.run(copy, START_MS);
      await guest.fetch(`/tmp/${name}.raw`, join(folder, 'disk'));
      await guest.run(`rm /tmp/${name}.raw`);
      writeFileSync(join(folder, 'before'), printedBefore);
      const disk = { path: join(folder, 'disk'), format: 'raw' as const, vm: uuid };
      const before = await judgeDiskFile({ ...disk, serial: join(folder, 'before') });
      return before.verdict === 'CLEAN'
        ? await judgeDiskFile({ ...disk, serial: join(folder, 'serial') })
        : before;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** By hand, where it does not run. */
  async start(name: Name): Promise<void> {
    if ((await this.running()).includes(name)) return;
    const before = await this.beats(name);
    await this.host.guest.run(`virsh -q start ${name}`, START_MS);
    await waitFor(`${name} to beat`, BEAT_MS, async () => (await this.beats(name)) > before);
  }

  printed(name: Name): Promise<string> {
    return this.host.run(`cat ${consoleOf(name)}`);
  }
}

async function make(host: LvmHost, vm: (typeof vms)[number]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vmedic-make-'));
  try {
    await makeBeatDisk(join(folder, 'disk'), 'raw', { ticks: TICKS });
    await host.guest.put(join(folder, 'disk'), '/tmp/disk');
    const disk = `/dev/vmvg/${vm.name}`;
    writeFileSync(join(folder, 'xml'), domainXml({ ...vm, disk, serial: consoleOf(vm.name) }));
    await host.guest.put(join(folder, 'xml'), `/keep/${vm.name}.xml`);
    const under = vm.format === 'raw' ? disk : '/dev/vmvg/base';
    await host.run(
      `lvchange -ay ${disk} ${under} && dd if=/tmp/disk of=${under} bs=1M conv=fsync && rm /tmp/disk`,
    );
    if (under !== disk) await host.run(`qemu-img create -q -f qcow2 -b ${under} -F raw ${disk} 4M`);
    await host.run(`virsh -q define /keep/${vm.name}.xml`);
    await host.guest.run(`virsh -q start ${vm.name}`, START_MS);
    await waitFor(
      `${vm.name} to beat`,
      BEAT_MS,
      async () => (await host.run(`grep -ac VMEDIC-BEAT ${consoleOf(vm.name)} || :`)).trim() !== '0',
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
