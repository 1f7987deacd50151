/** Readiness on real hosts: what is wrong with them is not found before it is, is found with its cure while it is, and not after. */
import type { ReadinessCheck } from '../../domain/readiness';
import { EXPORT_PATH, POOL_PATH, SERVER } from '../../lab/storage/nfs-lab';
import { NfsRecovery } from '../support/nfs-recovery';
import { describeAtLengthOnStorageLab } from '../support/storage-lab';

// Making the saved state, once, is a cold boot of the whole lab.
jest.setTimeout(600_000);

const mountedWith = (options: string): string =>
  `umount ${POOL_PATH} && mount -t nfs -o vers=3${options} ${SERVER}:${EXPORT_PATH} ${POOL_PATH}`;

describeAtLengthOnStorageLab('readiness of hosts on an NFSv3 server', () => {
  let site: NfsRecovery;
  beforeAll(async () => {
    site = await NfsRecovery.open({ version: '3' });
    // What runs from a mount keeps it from being made anew.
    await site.nfs.lab.guest('hv-b').run('virsh -q destroy vm-b');
  });
  afterAll(() => site.close());

  const onB = (line: string): Promise<string> => site.nfs.lab.guest('hv-b').run(line);
  const found = async (): Promise<ReadinessCheck[]> =>
    [...new Set((await site.findings()).map((f) => f.check))].sort();

  it('finds nothing where nothing is wrong', async () => {
    expect(await found()).toEqual([]);
  });

  it('finds what keeps locks from guarding, guests from storage, and two managers from each other', async () => {
    await site.nfs.lab.bmc('hv-b').setFaults([{ kind: 'silent' }]);
    await onB(mountedWith(',nolock,soft'));
    await onB(
      `cp /etc/fstab /tmp/fstab; echo '${SERVER}:${EXPORT_PATH} ${POOL_PATH} nfs vers=3 0 0' >>/etc/fstab`,
    );
    await onB('mv "$(command -v qemu-io)" /tmp/qemu-io.aside && virsh -q autostart vm-b');
    await onB(`bash -c 'exec -a pacemakerd sleep 3000' >/dev/null 2>&1 </dev/null & echo $! >/tmp/rival`);
    expect(await found()).toEqual([
      ...(['autostart', 'command-missing', 'fence-silent', 'lock-test-broken'] as const),
      ...(['mount-no-netdev', 'mount-nolock', 'mount-soft', 'rival-manager'] as const),
    ]);

    await site.nfs.lab.bmc('hv-b').setFaults([]);
    await onB('kill "$(cat /tmp/rival)"; mv /tmp/qemu-io.aside /usr/bin/qemu-io; cp /tmp/fstab /etc/fstab');
    await onB('virsh -q autostart --disable vm-b');
    await onB(mountedWith(''));
    expect(await found()).toEqual([]);
  });

  it('finds locks that stay on a host, and those that nobody could release', async () => {
    await onB(mountedWith(',local_lock=all'));
    await onB('pkill -x rpc.statd');
    expect(await found()).toEqual(
      expect.arrayContaining(['lock-test-broken', 'mount-local-lock', 'mount-no-statd']),
    );
    await onB('rpc.statd');
    await onB(mountedWith(''));
    expect(await found()).toEqual([]);
  });

  it('finds a pool that is not mounted, and whose images cannot be opened for it', async () => {
    await onB(`umount ${POOL_PATH}`);
    const all = await site.findings();
    expect(all.map((f) => f.check)).toEqual(
      expect.arrayContaining(['mount-missing', 'image-unreadable', 'no-target']),
    );
    expect(all.find((f) => f.check === 'no-target')?.sentence).toMatch(
      /no host could take vm-a: hv-b cannot open/,
    );
    await onB(`mount -t nfs -o vers=3 ${SERVER}:${EXPORT_PATH} ${POOL_PATH}`);
    expect(await found()).toEqual([]);
  });
});
