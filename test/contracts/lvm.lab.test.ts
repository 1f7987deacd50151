/** The LVM driver against real LVM, and founding incident S4: a host comes back with its volumes inactive and its disks in another order. */
import { createLvmStorage } from '../../drivers/lvm';
import { vmId } from '../../domain/ids';
import type { VmDisk } from '../../domain/records';
import {
  describeOnLvmHost,
  elsewhere,
  lvmHost,
  type LvmHost,
  lvmPool,
  openLvmHost,
  volumeDisk,
} from '../support/lvm-host';
import { type Opened, notAborted, runContract } from './contract';
import { evidenceAbout, permitFor } from './permits';
import { volumesContract, type VolumesSubject } from './volumes.contract';

/** The image is built once per machine, and a boot takes ten seconds on quiet cores. */
jest.setTimeout(15 * 60_000);

const storageOf = (host: LvmHost) =>
  createLvmStorage({ runScript: host.runScript, pools: new Map([[lvmPool, [lvmHost, elsewhere]]]) });
const vm = vmId('00000000-0000-4000-8000-00000000a001');

/** One for all: each is a boot. */
let opened: Promise<LvmHost> | undefined;
const theHost = (): Promise<LvmHost> => (opened ??= openLvmHost());

/** On, with every volume at rest and nothing known of it. */
async function atRest(host: LvmHost): Promise<void> {
  if ((await host.guest.state()) === 'off') await host.rebootWith(['d1', 'd2', 'd3']);
  await host.run('lvchange -an vmvg/vm1 vmvg/vm2 vmvg/base; rm -rf /run/vmedic');
  await host.nothingElsewhere();
}

async function openVolumes(): Promise<Opened<VolumesSubject>> {
  const host = await theHost();
  const subject: VolumesSubject = {
    ...{ port: storageOf(host).volumes, vmId: vm, target: lvmHost, disks: [volumeDisk('vm2')] },
    missingDisk: volumeDisk('none'),
    world: {
      powerOffTarget: () => host.guest.powerOff(),
      exists: async (path) => (await host.guest.try(`lvs ${path}`)).code === 0,
      isActive: (path, where) => (where === lvmHost ? host.isActive(path) : Promise.resolve(true)),
      async activateByHand(path, where) {
        if (where === lvmHost) await host.run(`lvchange -ay ${path}`);
        else await host.activeElsewhere(path);
      },
      async replaceVolume(path) {
        await host.run(
          `lvremove -q -y ${path} && lvcreate -q -y -an -Zn -Wn -n ${path.split('/').at(-1)} -L 32M vmvg`,
        );
      },
      elsewhere,
    },
  };
  return { subject, reset: () => atRest(host), close: () => Promise.resolve() };
}

describeOnLvmHost('on a real host with LVM', () => {
  afterAll(async () => (await opened)?.close());

  runContract('volumes', 'lvm', volumesContract, openVolumes, 'suite');

  describe('after its power was cut', () => {
    let host: LvmHost;
    let known: VmDisk[];
    const storage = () => storageOf(host).volumes;
    const makeReady = (disks: readonly VmDisk[]) =>
      storage().makeReady(permitFor(vm, lvmHost), disks, notAborted());
    const detailOf = async (disks: readonly VmDisk[]): Promise<string> => {
      const said = await makeReady(disks);
      return said.ready ? 'ready' : said.fault.sentence;
    };

    beforeAll(async () => {
      host = await theHost();
      await atRest(host);
      known = await storage().identify(lvmHost, [volumeDisk('vm1')], notAborted());
      await host.run(
        [
          'lvchange -ay vmvg/vm1 && mkfs.xfs -q -f /dev/vmvg/vm1 && mkdir -p /mnt/x && mount /dev/vmvg/vm1 /mnt/x',
          'for f in $(seq 60); do echo "$f" >/mnt/x/f$f; done; sync -f /mnt/x',
        ].join(' && '),
      );
      await host.run('(while :; do echo again >>/mnt/x/busy; done >/dev/null 2>&1 &) ; sleep 1');
    });

    it('finds the volume on swapped disks, activates it alone, leaves its dirty journal to the guest, and loses nothing that was synced', async () => {
      await host.rebootWith(['d3', 'd1', 'd2']);
      expect(await host.activeVolumes()).toEqual([]);
      expect(await makeReady(known)).toEqual({ ready: true, activated: ['/dev/vmvg/vm1'] });
      expect(await host.activeVolumes()).toEqual(['vm1']);
      expect(await host.run('xfs_logprint -t /dev/vmvg/vm1')).toContain('<DIRTY>');
      // The guest's own kernel, at its start.
      await host.run('mkdir -p /mnt/x && mount /dev/vmvg/vm1 /mnt/x');
      expect(
        (await host.run('cat /mnt/x/f[0-9]* | sort -n | tail -n 1; ls /mnt/x/f* | wc -l')).split('\n'),
      ).toEqual(expect.arrayContaining(['60', '60']));
      await host.run('umount /mnt/x');
    });

    it('takes back what it activated, refuses to while it is open, and says so', async () => {
      await host.run('mount /dev/vmvg/vm1 /mnt/x');
      await expect(storage().standDown(lvmHost, ['/dev/vmvg/vm1'], notAborted())).rejects.toMatchObject({
        fault: { code: 'HOST_COMMAND_FAILED' },
      });
      expect(await host.activeVolumes()).toEqual(['vm1']);
      await host.run('umount /mnt/x');
      await storage().standDown(lvmHost, ['/dev/vmvg/vm1'], notAborted());
      expect(await host.activeVolumes()).toEqual([]);
    });

    it('believes the record of LVM and not the return code, which is 0 also where activation is forbidden', async () => {
      await host.run('printf \'activation {\\n volume_list = [ "other" ]\\n}\\n\' >/etc/lvm/lvmlocal.conf');
      expect(await detailOf(known)).toContain('/dev/vmvg/vm1 stays inactive');
      await host.run('rm /etc/lvm/lvmlocal.conf');
      expect(await detailOf(known)).toBe('ready');
      await storage().standDown(lvmHost, ['/dev/vmvg/vm1'], notAborted());
    });

    it('activates the image behind a qcow2 with it, and leaves that one active for others', async () => {
      await host.run(
        [
          'lvchange -ay vmvg/vm2 vmvg/base',
          'qemu-img create -q -f qcow2 /dev/vmvg/base 16M',
          'qemu-img create -q -f qcow2 -b /dev/vmvg/base -F qcow2 /dev/vmvg/vm2 16M',
          'lvchange -an vmvg/vm2 vmvg/base',
        ].join(' && '),
      );
      expect(await makeReady([volumeDisk('vm2', 'qcow2')])).toEqual({
        ready: true,
        activated: ['/dev/vmvg/vm2'],
      });
      expect(await host.activeVolumes()).toEqual(['base', 'vm2']);
      await storage().standDown(lvmHost, ['/dev/vmvg/vm2'], notAborted());
      expect(await host.activeVolumes()).toEqual(['base']);
      await host.run('lvchange -an vmvg/base; rm -rf /run/vmedic');
    });

    it('is not ready while a disk of the volume is missing, and names it by its uuid', async () => {
      const uuid = (await host.run('pvs --noheadings -o pv_uuid -S lv_name=vm1')).trim().split(/\s+/);
      await host.rebootWith(['d1', undefined, 'd3']);
      const why = await detailOf(known);
      expect(why).toContain('/dev/vmvg/vm1 is partial');
      expect(uuid.some((u) => why.includes(u))).toBe(true);
      expect(await host.activeVolumes()).toEqual([]);
      await host.guest.powerOff();
    });

    it('has no locks to release, and says so', async () => {
      const { storageLocks } = storageOf(host);
      expect(await storageLocks.list(lvmPool, ['/dev/vmvg/vm1'], elsewhere, notAborted())).toMatchObject({
        knows: 'none',
      });
      await expect(
        storageLocks.release(lvmPool, [], evidenceAbout(elsewhere), notAborted()),
      ).resolves.toBeUndefined();
    });
  });
});
