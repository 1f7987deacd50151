/** A host with LVM of its own, a small machine of the storage lab: what a driver does there is done by a real kernel. */
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DriverFault } from '../../domain/faults';
import { hostId, poolId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import type { RunOnHost } from '../../drivers/child-processes';
import { reportScript } from '../../drivers/lvm/report';
import { imageIsBuilt } from '../../lab/storage/image';
import { createStorageLab, type StorageGuest, type StorageLab } from '../../lab/storage/storage-lab';
import { describeIf } from './optional';
import { describeOnRealHosts } from './real-hosts';

export const lvmHost = hostId('hv-l');
/** A second host of the pool that exists on paper: it says of LVM what a real host said a moment ago. */
export const elsewhere = hostId('hv-x');
export const lvmPool = poolId('volumes');

/** Under emulation, on a busy machine, everything takes longer than drivers allow for. */
const patience = 6;
const sshNoAnswer = 255;

export const volumeDisk = (name: string, format = 'raw'): VmDisk => ({
  ...{ device: 'vda', path: `/dev/vmvg/${name}`, format, poolId: lvmPool, shareable: false },
});

export class LvmHost {
  private says = '';

  constructor(
    readonly lab: StorageLab,
    readonly guest: StorageGuest,
    private readonly folder: string,
  ) {}

  readonly runScript: RunOnHost = async (host, script, args, deadlineMs) => {
    if (host === elsewhere && args[0] === reportScript) return { code: 0, stdout: this.says, stderr: '' };
    const line = ['sh', '-c', script, 'sh', ...args].map(quoted).join(' ');
    const ran = await this.guest.try(line, deadlineMs * patience);
    if (ran.code === undefined || ran.code === sshNoAnswer)
      throw new DriverFault('HOST_COMMAND_FAILED', { host, detail: ran.stderr.trim() });
    return { code: ran.code, stdout: ran.stdout, stderr: ran.stderr };
  };

  run(line: string): Promise<string> {
    return this.guest.run(line, 120_000);
  }

  async activeVolumes(): Promise<string[]> {
    const said = await this.run("lvs --noheadings -o lv_name -S 'lv_active=active' vmvg");
    return said
      .split('\n')
      .map((l) => l.trim())
      .filter((l) => l !== '')
      .sort();
  }

  async isActive(path: string): Promise<boolean> {
    return (await this.activeVolumes()).includes(path.split('/').at(-1) ?? '');
  }

  /** From now on the other host says that the volume is active there. */
  async activeElsewhere(path: string): Promise<void> {
    await this.run(`lvchange -ay ${path}`);
    this.says = await this.run(`sh -c ${quoted(reportScript)}`);
    await this.run(`lvchange -an ${path}`);
  }

  async nothingElsewhere(): Promise<void> {
    this.says = await this.run(`sh -c ${quoted(reportScript)}`);
  }

  /** Pulls the plug, then powers on with the disks in another order; a disk that is left out is an empty one. */
  async rebootWith(order: readonly (string | undefined)[]): Promise<void> {
    await this.guest.powerOff();
    const file = (name: string): string => join(this.guest.folder, `${name}.raw`);
    const slots = this.guest.spec.disks?.map((d) => d.name) ?? [];
    for (const name of slots) renameSync(file(name), file(`${name}.aside`));
    for (const [at, slot] of slots.entries()) {
      const wanted = order[at];
      if (wanted === undefined) writeFileSync(file(slot), Buffer.alloc(1024 * 1024));
      else renameSync(file(`${wanted}.aside`), file(slot));
    }
    await this.guest.powerOn();
    await this.guest.ready();
  }

  /**
   * Powers another host on with disks that bear what these bear now: the same group and the same volumes to LVM, as if both were cabled to them.
   * What is written afterwards only the one has that wrote it.
   */
  async join(name: string): Promise<StorageGuest> {
    const other = this.lab.guest(name);
    await this.run('sync');
    for (const slot of slots)
      copyFileSync(join(this.guest.folder, `${slot}.raw`), join(other.folder, `${slot}.raw`));
    await this.lab.up([name]);
    return other;
  }

  async close(): Promise<void> {
    await this.lab.down();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const slots = ['d1', 'd2', 'd3'] as const;

/**
 * Group `vmvg` over three disks, nothing activated at boot; `vm1` lies on all of them. `others`: further hosts that stay off until `join`.
 */
export async function openLvmHost(others: readonly string[] = []): Promise<LvmHost> {
  const folder = mkdtempSync('/tmp/vml-');
  const disks = slots.map((name) => ({ name, mebibytes: 160 }));
  const lab = await createStorageLab({
    folder: join(folder, 'l'),
    guests: ['lvm', ...others].map((name) => ({ ...{ name, role: 'lvm' }, disks })),
  });
  await lab.up(['lvm']);
  const host = new LvmHost(lab, lab.guest('lvm'), folder);
  await host.run(
    [
      'pvcreate -q /dev/vdc /dev/vdd /dev/vde',
      'vgcreate -q vmvg /dev/vdc /dev/vdd /dev/vde',
      'vgchange -q --setautoactivation n vmvg',
      'lvcreate -q -y -an -Zn -Wn -n vm1 -L 330M vmvg',
      'lvcreate -q -y -an -Zn -Wn -n vm2 -L 32M vmvg',
      'lvcreate -q -y -an -Zn -Wn -n base -L 32M vmvg',
    ].join(' && '),
  );
  await host.nothingElsewhere();
  return host;
}

export const quoted = (text: string): string => `'${text.replaceAll("'", `'"'"'`)}'`;

/** `describe` for tests on such a host. Building its image takes minutes and the network: whoever wants it built for this sets VMEDIC_SOAK. */
export const describeOnLvmHost: jest.Describe =
  imageIsBuilt() || process.env['VMEDIC_SOAK'] === 'true'
    ? describeOnRealHosts
    : describeIf(
        false,
        'the image of the storage lab is not built yet; VMEDIC_SOAK=true builds it',
        'beyond-ci',
      );
