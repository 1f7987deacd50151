/** Access to an NFS server that is cut and given back, on real kernels: what an administrator wrote stays his, and a host that wakes up writes nothing. */
import { SERVER } from '../../lab/storage/nfs-lab';
import { faultCode, notAborted } from '../contracts/contract';
import { a, b, NfsWorld, pool, tryToWrite } from '../contracts/nfs-subjects';
import { NfsRecovery } from '../support/nfs-recovery';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';

// Making the saved state, once, is a cold boot of the whole lab.
jest.setTimeout(600_000);

describeAtLengthOnStorageLab('an NFS server whose administrator exports to single hosts', () => {
  let world: NfsWorld;
  const server = (line: string): Promise<string> => world.nfs.lab.guest(SERVER).run(line);
  const writes = async (host: string): Promise<boolean> =>
    (await world.nfs.lab.guest(host).try(tryToWrite)).code === 0;
  const table = (): Promise<string> => server('exportfs -s | sort');
  const own = 'rw,sync,no_root_squash,no_subtree_check,insecure,fsid=0';

  beforeAll(async () => {
    world = await NfsWorld.open({ version: '3' }, 'nfs3-notify');
  });
  beforeEach(() => server('rm -rf /run/vmedic; exportfs -ra'));
  afterAll(() => world.close());

  it('gets the host’s own entry back as it was, and keeps everybody else’s', async () => {
    await server(`exportfs -i -o ${own} 10.77.0.99:/srv`);
    await server(`exportfs -i -o ${own} ${world.nfs.lab.guest('hv-a').address}:/srv`);
    const before = await table();
    await world.access.cut(pool, a, notAborted());
    expect(await writes('hv-a')).toBe(false);
    expect(await writes('hv-b')).toBe(true);
    await world.access.restore(pool, a, notAborted());
    expect(await table()).toBe(before);
    expect(await writes('hv-a')).toBe(true);
  });

  it('is not overruled where it is he who lets the host only read', async () => {
    const readOnly = own.replace('rw', 'ro');
    await server(`exportfs -i -o ${readOnly} ${world.nfs.lab.guest('hv-a').address}:/srv`);
    const before = await table();
    expect(await world.access.read(pool, a, notAborted())).toBe('cut');
    expect(await faultCode(world.access.restore(pool, a, notAborted()))).toBe('ACCESS_NOT_CHANGED');
    expect(await table()).toBe(before);
  });

  it('ends a cut when it reads its file anew, which is seen', async () => {
    await world.access.cut(pool, a, notAborted());
    await server('exportfs -ra');
    expect(await world.access.read(pool, a, notAborted())).toBe('open');
    await world.access.restore(pool, a, notAborted());
    expect(await server('ls -A /run/vmedic/exports')).toBe('');
    expect(await world.access.read(pool, b, notAborted())).toBe('open');
  });
});

describeAtLengthOnStorageLab(
  'a host hangs, no fence device answers, and a person attests that it is off',
  () => {
    let site: NfsRecovery;
    beforeAll(async () => {
      site = await NfsRecovery.open({ version: '3' }, undefined, { cutAccess: 'exportfs' });
    });
    afterAll(() => site.close());

    it('cannot write when it wakes up beside the copy that runs elsewhere', async () => {
      const { nfs } = site;
      await nfs.lab.bmc('hv-a').setFaults([{ kind: 'silent' }]);
      await nfs.lab.guest('hv-a').freeze();
      const run = await site.recover('hv-a');
      await site.untilPhase(run, 'blocked-unfenced');
      await site.told(run.incidentId, /takes no write of hv-a any more, read back/);
      await site.attest(run, 'the rack is dark');
      await site.endsAs(run, 'recovered');
      const beats = await nfs.beats('vm-a');
      expect(await nfs.running('hv-b')).toEqual(['vm-a', 'vm-b']);

      await nfs.lab.guest('hv-a').thaw();
      await nfs.lab.guest('hv-a').answers();
      expect(await nfs.running('hv-a')).toEqual(['vm-a']);
      expect((await nfs.lab.guest('hv-a').try(tryToWrite)).code).not.toBe(0);
      await nfs.beatsBeyond('vm-a', beats + 5, 120_000);
      expect(await nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });
      expect(await nfs.judge('vm-b')).toMatchObject({ verdict: 'CLEAN' });
    });
  },
);
