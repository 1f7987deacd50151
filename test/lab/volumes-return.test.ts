/** S4 end to end: a host with its VMs on logical volumes loses its power and comes back with its disks in another order. */
import { waitFor } from '../../lab/wait-for';
import { LvmRecovery, VOLUME_HOST } from '../support/lvm-recovery';
import { describeAtLengthOnStorageLab, describeOnStorageLab, itAtLength } from '../support/storage-lab';

// A boot of the host takes ten seconds on quiet cores, and minutes on busy ones; this takes three.
jest.setTimeout(600_000);

describeOnStorageLab('a host returns whose VMs are on logical volumes', () => {
  let site: LvmRecovery;
  beforeAll(async () => {
    site = await LvmRecovery.open();
  });
  afterAll(() => site.close());

  it('starts them once their volumes are active, found on disks that bear other names, with all that was written', async () => {
    const { host } = site;
    const printed = [await site.printed('vm1'), await site.printed('vm2')] as const;
    await site.cutPower(VOLUME_HOST);
    await host.rebootWith(['d3', 'd1', 'd2']);
    expect(await host.activeVolumes()).toEqual([]);
    expect(await site.running()).toEqual([]);

    const run = await site.recover(VOLUME_HOST);
    await site.endsAs(run, 'recovered');
    expect(await site.running()).toEqual(['vm1', 'vm2']);
    expect(await host.activeVolumes()).toEqual(['base', 'vm1', 'vm2']);
    expect(await site.story(run.incidentId)).not.toContain('"off" is sent');
    const clean = { verdict: 'CLEAN', runs: [expect.anything(), expect.anything()] };
    expect(await site.judge('vm1', printed[0])).toMatchObject(clean);
    expect(await site.judge('vm2', printed[1])).toMatchObject(clean);
  });

  itAtLength(
    'leaves a dirty journal on their volumes to their guests, which then have every file that was synced',
    async () => {
      const { host } = site;
      await site.start('vm1');
      await site.start('vm2');
      // In the place of the guest's own kernel, which would have its file system behind its boot sector: a kernel that writes, and dies.
      await host.run(
        [
          'losetup -o 16777216 /dev/loop0 /dev/vmvg/vm1 && mkfs.xfs -q -f /dev/loop0 && mkdir -p /mnt/x',
          'mount /dev/loop0 /mnt/x',
          'for f in $(seq 80); do echo "$f" >/mnt/x/f$f; done; sync -f /mnt/x',
        ].join(' && '),
      );
      await host.run('(while :; do echo again >>/mnt/x/busy; done >/dev/null 2>&1 &) ; sleep 1');
      await site.cutPower(VOLUME_HOST);
      await host.rebootWith(['d1', 'd2', 'd3']);

      await site.endsAs(await site.recover(VOLUME_HOST), 'recovered');
      expect(await site.running()).toEqual(['vm1', 'vm2']);
      await host.run('virsh -q destroy vm1 && losetup -r -o 16777216 /dev/loop0 /dev/vmvg/vm1');
      expect(await host.run('xfs_logprint -t /dev/loop0')).toContain('<DIRTY>');
      // The guest's kernel, at its start.
      await host.run(
        'losetup -d /dev/loop0; losetup -o 16777216 /dev/loop0 /dev/vmvg/vm1; mkdir -p /mnt/x; mount /dev/loop0 /mnt/x',
      );
      const synced = Array.from({ length: 80 }, (_, i) => String(i + 1)).join('\n');
      expect((await host.run('cat /mnt/x/f[0-9]* | sort -n')).trim()).toBe(synced);
      await host.run('umount /mnt/x; losetup -d /dev/loop0; virsh -q destroy vm2');
    },
  );

  itAtLength(
    'holds up only the VM that lies on a disk that is missing, says which, and makes nothing in its place',
    async () => {
      const { host } = site;
      const uuids = (await host.run('pvs --noheadings -o pv_uuid -S lv_name=vm1')).trim().split(/\s+/);
      await site.cutPower(VOLUME_HOST);
      await host.rebootWith(['d1', undefined, 'd3']);

      const run = await site.recover(VOLUME_HOST);
      await site.endsAs(run, 'partially-recovered');
      const story = await site.story(run.incidentId);
      expect(story).toContain('/dev/vmvg/vm1 is partial');
      expect(uuids.filter((uuid) => story.includes(uuid))).toHaveLength(1);
      expect({ running: await site.running(), story }).toEqual({ running: ['vm2'], story });
      expect(await host.activeVolumes()).toEqual(['base', 'vm2']);
    },
  );
});

describeAtLengthOnStorageLab('a host returns, and a volume of its VMs is active on another one', () => {
  const OTHER = 'lvm2';
  let site: LvmRecovery;
  beforeAll(async () => {
    site = await LvmRecovery.open([OTHER]);
  });
  afterAll(() => site.close());
  const host = () => site.host;

  it('is told before what LVM would do there: whom it would wake at boot, and which disks and groups it takes for whose', async () => {
    const other = host().lab.guest(OTHER);
    const found = async (): Promise<string[]> => [
      ...new Set((await site.findings()).map((f) => f.check).filter((c) => c.startsWith('lvm-'))),
    ];
    const onlyWith = (rules: string): Promise<string> =>
      other.run(`printf 'devices { global_filter = [ ${rules} ] }\\n' >/etc/lvm/lvmlocal.conf`);
    const planted = {
      'lvm-autoactivation': [
        'vgchange -q --setautoactivation y vmvg',
        'vgchange -q --setautoactivation n vmvg',
      ],
      'lvm-duplicate-name': [
        `truncate -s 16M /tmp/d && losetup /dev/loop7 /tmp/d && vgcreate -q --config 'devices { filter = [ "a|/dev/loop7|", "r|.*|" ] }' vmvg /dev/loop7`,
        'wipefs -qa /dev/loop7; losetup -d /dev/loop7; rm /tmp/d',
      ],
      'lvm-unread': ['mv "$(command -v lvm)" /tmp/lvm', 'mv /tmp/lvm /usr/sbin/lvm'],
    } as const;
    expect(await found()).toEqual([]);
    for (const [check, [plant, cure]] of Object.entries(planted)) {
      await other.run(plant, 60_000);
      expect(await found()).toEqual([check]);
      await other.run(cure, 60_000);
    }
    // A device is taken by any of its names, so the others are named and all the rest refused.
    await onlyWith('"a|^/dev/vdc$|", "a|^/dev/vde$|", "r|.*|"');
    expect(await found()).toEqual(['lvm-missing-pv']);
    await onlyWith('"r|.*|"');
    expect(await found()).toEqual(['lvm-not-seen']);
    await other.run('rm /etc/lvm/lvmlocal.conf');
    expect(await found()).toEqual([]);
  });

  it('is told of a disk that QEMU takes no lock on', async () => {
    const shareable = async (): Promise<boolean> =>
      (await site.findings()).some((f) => f.check === 'disk-shareable');
    expect(await shareable()).toBe(false);
    const defineAs = (edit: string): Promise<string> =>
      host().run(`virsh -q dumpxml --inactive vm1 | sed "${edit}" >/tmp/1.xml && virsh -q define /tmp/1.xml`);
    await defineAs('s,</disk>,<shareable/></disk>,');
    await waitFor('it to be found', 180_000, shareable);
    await defineAs('/<shareable/d');
    await waitFor('it to be gone', 180_000, async () => !(await shareable()));
  });

  it('holds up that VM alone, says where its volume is active, and starts it once it is not', async () => {
    const other = host().lab.guest(OTHER);
    expect((await site.findings()).map((f) => f.check)).not.toContain('lvm-active-elsewhere');
    await other.run('lvchange -ay vmvg/vm1');
    const [found] = (await site.findings()).filter((f) => f.check === 'lvm-active-elsewhere');
    expect(found).toMatchObject({ severity: 'blocks', sentence: expect.stringContaining(OTHER) });

    await site.cutPower(VOLUME_HOST);
    await host().rebootWith(['d1', 'd2', 'd3']);
    const run = await site.recover(VOLUME_HOST);
    await site.endsAs(run, 'partially-recovered');
    expect(await site.story(run.incidentId)).toContain(`/dev/vmvg/vm1 is active on ${OTHER}`);
    expect(await site.running()).toEqual(['vm2']);
    expect(await host().activeVolumes()).toEqual(['base', 'vm2']);

    await other.run('lvchange -an vmvg/vm1');
    await site.endsAs(await site.restart('vm1', VOLUME_HOST), 'running');
    expect(await site.running()).toEqual(['vm1', 'vm2']);
    expect((await site.findings()).map((f) => f.check)).not.toContain('lvm-active-elsewhere');
  });
});
