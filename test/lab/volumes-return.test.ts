/** S4 end to end: a host with its VMs on logical volumes loses its power and comes back with its disks in another order. */
import { LvmRecovery, VOLUME_HOST } from '../support/lvm-recovery';
import { describeOnStorageLab, itAtLength } from '../support/storage-lab';

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
      expect(await site.running()).toEqual(['vm2']);
      expect(await host.activeVolumes()).toEqual(['base', 'vm2']);
    },
  );
});
