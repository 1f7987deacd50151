/** The strategy that only waits, on a real kernel. */
import { hostId } from '../../domain/ids';
import { SERVER } from '../../lab/storage/nfs-lab';
import { faultCode, notAborted } from '../contracts/contract';
import { a, b, NfsWorld, pool } from '../contracts/nfs-subjects';
import { evidenceAbout } from '../contracts/permits';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';

// Making the saved state, once, is a cold boot of the whole lab; a lease is 90 s.
jest.setTimeout(600_000);

const locksOn = async (world: NfsWorld, name: string): Promise<string> => {
  const line = `grep ":$(stat -c %i /srv/vm/${name}.qcow2) " /proc/locks | cut -d : -f 2- | sort`;
  return world.nfs.lab.guest(SERVER).run(line);
};

describeAtLengthOnStorageLab('an NFSv4 server whose lease is waited out', () => {
  let world: NfsWorld;
  beforeAll(async () => {
    world = await NfsWorld.open({ version: '4.2' }, 'nfs4-lease');
  });
  afterAll(() => world.close());

  it('says how long, releases nothing itself, and is done when the server has let go', async () => {
    const { storageLocks } = world.storage;
    const { image } = world.nfs.vm('vm-a');
    const healthy = await locksOn(world, 'vm-b');
    await world.nfs.lab.guest('hv-a').powerOff();
    const evidence = evidenceAbout(a);
    const { locks } = await storageLocks.list(pool, [image], a, notAborted());
    expect(locks).toMatchObject([{ owner: hostId('hv-a') }]);

    const first = storageLocks.release(pool, locks, evidence, notAborted());
    await expect(first).rejects.toThrow(/the lease of hv-a is over in \d+ s/);
    expect((await storageLocks.list(pool, [image], a, notAborted())).locks).toHaveLength(1);
    let code: string | undefined = 'HOST_COMMAND_FAILED';
    for (let tries = 0; tries < 6 && code === 'HOST_COMMAND_FAILED'; tries++)
      code = await storageLocks.release(pool, locks, evidence, notAborted()).then(
        () => undefined,
        (error: unknown) => faultCode(Promise.reject(error as Error)),
      );
    expect(code).toBeUndefined();
    expect((await storageLocks.list(pool, [image], a, notAborted())).locks).toEqual([]);
    expect(await storageLocks.probe(pool, image, b, notAborted())).toBe('free');
    expect(await locksOn(world, 'vm-b')).toBe(healthy);
  });
});
