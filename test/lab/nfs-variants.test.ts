/** What else may be the matter when a host died with locks on NFSv3: each on real kernels, one driver call at a time. */
import { hostId, vmId } from '../../domain/ids';
import { POOL_PATH, SERVER } from '../../lab/storage/nfs-lab';
import { waitFor } from '../../lab/wait-for';
import { faultCode, notAborted } from '../contracts/contract';
import { a, b, diskOf, NfsWorld, pool } from '../contracts/nfs-subjects';
import { evidenceAbout, permitFor } from '../contracts/permits';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';

// Making the saved state, once, is a cold boot of the whole lab.
jest.setTimeout(600_000);

describeAtLengthOnStorageLab('NFSv3 on a Linux server', () => {
  let world: NfsWorld;
  beforeAll(async () => {
    world = await NfsWorld.open({ version: '3' }, 'nfs3-notify');
  });
  beforeEach(() => world.reset());
  afterAll(() => world.close());

  const vm = () => world.nfs.vm('vm-a');
  const guest = (name: string) => world.nfs.lab.guest(name);
  const locksOnA = () => world.storage.storageLocks.list(pool, [vm().image], a, notAborted());
  const readyOnB = () =>
    world.storage.volumes.makeReady(permitFor(vmId(vm().uuid), b), [diskOf(vm().image)], notAborted());

  it('says by whom else an image is locked once the dead host’s own locks are released', async () => {
    await guest('hv-a').powerOff();
    const { locks } = await locksOnA();
    await world.storage.storageLocks.release(pool, locks, evidenceAbout(a), notAborted());
    await world.lockByStranger(vm().image);
    expect((await locksOnA()).locks).toMatchObject([
      { owner: { foreign: expect.stringContaining('stranger') } },
    ]);
    expect(await readyOnB()).toMatchObject({
      ready: false,
      fault: { sentence: expect.stringContaining('is locked by somebody') },
    });
  });

  it('does not take an answered notice for a release', async () => {
    // statd takes the notice, and finds nobody to hand it to: the kernel's lock manager is not registered.
    for (const version of [1, 3, 4]) await guest(SERVER).try(`rpcinfo -d 100021 ${version}`);
    await guest('hv-a').powerOff();
    const { locks } = await locksOnA();
    await world.storage.storageLocks.release(pool, locks, evidenceAbout(a), notAborted());
    expect((await locksOnA()).locks).toHaveLength(1);
    expect(await world.storage.storageLocks.probe(pool, vm().image, b, notAborted())).toBe('held');
  });

  it('names the names that the server knows when the config has another one', async () => {
    await guest('hv-a').powerOff();
    const misnamed = world.knowingHostsBy((name) => (name === 'hv-a' ? '10.77.9.9' : guest(name).address));
    const { locks } = await misnamed.storageLocks.list(pool, [vm().image], a, notAborted());
    const release = misnamed.storageLocks.release(pool, locks, evidenceAbout(a), notAborted());
    expect(await faultCode(release)).toBe('LOCKS_NOT_RELEASED');
    await expect(misnamed.storageLocks.release(pool, locks, evidenceAbout(a), notAborted())).rejects.toThrow(
      /10\.77\.9\.9.*hv-a/,
    );
    expect((await locksOnA()).locks).toHaveLength(1);
  });

  it('goes on when the server reboots in the middle, and no healthy VM loses its locks', async () => {
    await guest('hv-a').powerOff();
    await locksOnA();
    await guest(SERVER).powerOff();
    expect(await faultCode(locksOnA())).toBe('HOST_COMMAND_FAILED');
    await guest(SERVER).powerOn();
    await guest(SERVER).ready();
    const { storageLocks } = world.storage;
    const images = [vm().image, world.nfs.vm('vm-b').image];
    // A server that comes back has its clients take their locks anew; a dead one does not.
    const after = await waitFor('the healthy host to have its locks again', 120_000, async () => {
      const listed = await storageLocks.list(pool, images, a, notAborted());
      return listed.locks.some((l) => l.owner === b) && listed;
    });
    expect(after.locks.map((l) => l.owner)).toEqual([b]);
    await waitFor('the image to be free', 120_000, async () => (await readyOnB()).ready);
  });

  it('refuses a host that mounts without locks, where the old cure makes two writers', async () => {
    await guest('hv-b').run('virsh -q destroy vm-b');
    const nolock = `mount -t nfs -o vers=3,nolock ${SERVER}:/srv/vm ${POOL_PATH}`;
    await guest('hv-b').run(`umount ${POOL_PATH} && ${nolock}`);
    expect(await readyOnB()).toMatchObject({
      ready: false,
      fault: { code: 'STORAGE_NOT_READY', sentence: expect.stringContaining('"nolock"') },
    });
    expect(await world.nfs.judge('vm-a')).toMatchObject({ verdict: 'CLEAN' });

    // What somebody does who follows the old advice while hv-a is not dead at all.
    await world.nfs.define('vm-a', 'hv-b');
    await world.nfs.start('vm-a', 'hv-b');
    expect(await world.nfs.running('hv-a')).toEqual(['vm-a']);
    expect(await world.nfs.running('hv-b')).toEqual(['vm-a']);
    const seen = await waitFor('the oracle to see two writers', 180_000, async () => {
      const verdict = await world.nfs.judge('vm-a');
      return verdict.verdict !== 'CLEAN' && verdict;
    });
    expect(seen).toMatchObject({ verdict: 'VIOLATION' });
  });

  it('takes a pool that does not answer for one that hangs, not for a free one', async () => {
    await guest(SERVER).freeze();
    expect(await readyOnB()).toMatchObject({
      ready: false,
      fault: { sentence: expect.stringContaining('hangs') },
    });
    await guest(SERVER).thaw();
  });

  it('is told by the host itself whose a lock is, whatever the record says', async () => {
    const { locks } = await world.storage.storageLocks.list(
      pool,
      [world.nfs.vm('vm-b').image],
      a,
      notAborted(),
    );
    expect(locks).toMatchObject([{ owner: hostId('hv-b') }]);
  });
});
