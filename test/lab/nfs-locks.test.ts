/** S1 on real kernels: a host dies and leaves its locks at the NFS server. */
import { SERVER } from '../../lab/storage/nfs-lab';
import { waitFor } from '../../lab/wait-for';
import { NfsRecovery } from '../support/nfs-recovery';
import { describeAtLengthOnStorageLab, describeOnStorageLab } from '../support/storage-lab';

// Making the saved state of a version, once, is a cold boot of the whole lab.
jest.setTimeout(600_000);

for (const version of ['3', '4.2'] as const)
  describeOnStorageLab(`a host dies with locks on NFS version ${version}`, () => {
    let site: NfsRecovery;
    beforeAll(async () => {
      site = await NfsRecovery.open({ version });
    });
    afterAll(() => site.close());

    it('runs its VM elsewhere, once, after exactly its locks were released', async () => {
      const { nfs } = site;
      const healthy = await site.serverLocks('vm-b');
      const dead = await site.serverLocks('vm-a');
      const beatsOfB = await nfs.beats('vm-b');
      const cutAt = Date.now();
      await site.cutPower('hv-a');
      expect(await site.serverLocks('vm-a')).toEqual(dead);
      expect(dead.length).toBeGreaterThan(0);
      expect((await nfs.lab.guest('hv-b').try(`qemu-img info ${nfs.vm('vm-a').image}`)).stderr).toContain(
        'Failed to get shared "write" lock',
      );
      const beatsOfA = await nfs.beats('vm-a');

      const run = await site.recover('hv-a');
      await nfs.beatsBeyond('vm-a', beatsOfA, 240_000);
      const beatsAt = Date.now();
      await site.endsAs(run, 'recovered');
      const freeAt = await site.told(run.incidentId, /released, read back as gone/);

      expect(await nfs.running('hv-b')).toEqual(['vm-a', 'vm-b']);
      expect(await site.serverLocks('vm-b')).toEqual(healthy);
      expect(await nfs.beats('vm-b')).toBeGreaterThan(beatsOfB);
      expect(await nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });
      expect(await nfs.judge('vm-b')).toMatchObject({ verdict: 'CLEAN' });
      await expect(site.releaseLocks('hv-b')).rejects.toThrow('Nothing proves that hv-b is off');
      expect(await site.releaseLocks('hv-a')).toMatchObject({ answer: 'released', result: { kind: 'free' } });
      const seconds = (to: number): string => ((to - cutAt) / 1_000).toFixed(1);
      process.stderr.write(
        `  NFSv${version}: power cut -> lock free ${seconds(freeAt)} s -> VM beats ${seconds(beatsAt)} s\n`,
      );
    });
  });

describeAtLengthOnStorageLab('a host hangs with locks on NFS version 3', () => {
  let site: NfsRecovery;
  beforeAll(async () => {
    site = await NfsRecovery.open({ version: '3' });
  });
  afterAll(() => site.close());

  it('keeps its locks, and its VM stays where it is, until it is read as off', async () => {
    const { nfs } = site;
    const held = await site.serverLocks('vm-a', 'vm-b');
    // It takes the order and does nothing, and the host, frozen, is about to write on.
    await nfs.lab.bmc('hv-a').setFaults([{ kind: 'lying' }]);
    await nfs.lab.guest('hv-a').freeze();
    const run = await site.recover('hv-a');
    await site.untilPhase(run, 'blocked-unfenced');
    expect(await site.serverLocks('vm-a', 'vm-b')).toEqual(held);
    expect(await nfs.running('hv-b')).toEqual(['vm-b']);

    await nfs.lab.bmc('hv-a').setFaults([]);
    await site.endsAs(run, 'recovered');
    const [off, free] = [
      await site.told(run.incidentId, /is off/),
      await site.told(run.incidentId, /read back as gone/),
    ];
    expect(off).toBeLessThan(free);
    expect(await nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });
  });
});

describeAtLengthOnStorageLab('a host dies while its NFSv3 server answers every lock test with "free"', () => {
  let site: NfsRecovery;
  beforeAll(async () => {
    site = await NfsRecovery.open({ version: '3', serverKernel: 'stock' });
  });
  afterAll(() => site.close());

  it('has been named by readiness, and starts nothing before the proof, because no lock is what it relies on', async () => {
    const { nfs } = site;
    const broken = (await site.findings()).find((f) => f.check === 'lock-test-broken');
    expect(broken).toMatchObject({ about: { kind: 'pool', id: 'lab-nfs' }, severity: 'risks' });

    // It hangs with its image open; its lock, which stands at the server, keeps nobody out.
    await nfs.lab.bmc('hv-a').setFaults([{ kind: 'silent' }]);
    await nfs.lab.guest('hv-a').freeze();
    expect(await site.serverLocks('vm-a')).not.toEqual([]);
    await nfs.lab.guest('hv-b').run(`qemu-img info ${nfs.vm('vm-a').image}`);
    const run = await site.recover('hv-a');
    await site.untilPhase(run, 'blocked-unfenced');
    expect(await nfs.running('hv-b')).toEqual(['vm-b']);

    await nfs.lab.bmc('hv-a').setFaults([]);
    await site.endsAs(run, 'recovered');
    expect(await site.told(run.incidentId, /is off/)).toBeLessThan(
      await site.told(run.incidentId, /read back as gone/),
    );
    expect(await nfs.running('hv-b')).toEqual(['vm-a', 'vm-b']);
    expect(await nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });
  });
});

describeAtLengthOnStorageLab('a pool hangs, and the hosts whose VMs stand still for it answer', () => {
  let site: NfsRecovery;
  beforeAll(async () => {
    site = await NfsRecovery.open({ version: '3' }, 'automatic');
  });
  afterAll(() => site.close());

  it('fences nobody for it: its VMs wait, also one that is to be started, and go on once it answers', async () => {
    const { nfs, inventory } = site;
    const server = nfs.lab.guest(SERVER);
    const beats = await nfs.beats('vm-a');
    await nfs.lab.guest('hv-b').run('virsh -q destroy vm-b');
    await server.freeze();
    const hungAt = Date.now();
    await waitFor('the watch to have seen both hosts alive for a minute of it', 240_000, async () =>
      (await inventory.hosts()).every((h) => Date.parse(h.lastSeenAt ?? '') > hungAt + 60_000),
    );
    const lost = { kind: 'vm', vmId: nfs.vm('vm-b').uuid };
    const ofVmB = await waitFor('the lost VM to be missed', 120_000, async () =>
      (await inventory.incidents({})).find((i) => i.target.kind === 'vm'),
    );
    expect(ofVmB.target).toEqual(lost);
    expect(await nfs.running('hv-b')).toEqual([]);
    await server.thaw();
    await nfs.beatsBeyond('vm-a', beats + 3, 120_000);
    await waitFor('the lost VM to run again', 240_000, async () =>
      [...(await nfs.running('hv-a')), ...(await nfs.running('hv-b'))].includes('vm-b'),
    );

    const incidents = await inventory.incidents({});
    expect(incidents.map((i) => i.target)).toEqual(incidents.map(() => lost));
    expect((await inventory.hosts()).map((h) => h.standing)).toEqual(['in-service', 'in-service']);
    expect(await nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });
    expect(await nfs.judge('vm-b')).toMatchObject({ verdict: 'CLEAN' });
  });
});
