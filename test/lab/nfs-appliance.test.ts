/** The strategy that knows least, on a real kernel: NFSv3 on a server without a shell. */
import { SERVER } from '../../lab/storage/nfs-lab';
import { waitFor } from '../../lab/wait-for';
import { notAborted } from '../contracts/contract';
import { a, b, NfsWorld, pool } from '../contracts/nfs-subjects';
import { evidenceAbout } from '../contracts/permits';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';

// Making the saved state, once, is a cold boot of the whole lab.
jest.setTimeout(600_000);

describeAtLengthOnStorageLab('an NFSv3 server without a shell', () => {
  let world: NfsWorld;
  beforeAll(async () => {
    world = await NfsWorld.open({ version: '3' }, 'nfs-appliance');
  });
  afterAll(() => world.close());

  const locksOn = (name: string): Promise<string> =>
    world.nfs.lab
      .guest(SERVER)
      .run(`grep ":$(stat -c %i /srv/vm/${name}.qcow2) " /proc/locks | cut -d : -f 2- | sort`);

  it('is told over the network, by a stranger, and the target host finds out what became of it', async () => {
    const { storageLocks } = world.storage;
    const { image } = world.nfs.vm('vm-a');
    const healthy = await locksOn('vm-b');
    expect(healthy).not.toBe('');
    await world.nfs.lab.guest('hv-a').powerOff();
    expect(await storageLocks.list(pool, [image], a, notAborted())).toMatchObject({
      knows: 'probe-only',
      locks: [],
    });
    expect(await storageLocks.probe(pool, image, b, notAborted())).toBe('held');

    await storageLocks.release(pool, [], evidenceAbout(a), notAborted());
    await waitFor(
      'the image to be free',
      20_000,
      async () => (await storageLocks.probe(pool, image, b, notAborted())) === 'free',
    );
    expect(await locksOn('vm-b')).toBe(healthy);
  });
});
