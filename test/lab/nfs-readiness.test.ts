/** Readiness on real hosts: what is wrong with them is not found before it is, is found with its cure while it is, and not after. */
import type { ReadinessCheck } from '../../domain/readiness';
import { EXPORT_PATH, POOL_PATH, SERVER } from '../../lab/storage/nfs-lab';
import { waitFor } from '../../lab/wait-for';
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

  it('finds a login that is refused and programs that are too old, and asks the device again only once it is told to', async () => {
    await site.nfs.lab.bmc('hv-b').setFaults([{ kind: 'refuse-login' }]);
    await onB(
      `mkdir -p /usr/local/bin && printf '#!/bin/sh\\necho 2.2.0\\n' >/usr/local/bin/virsh && chmod +x /usr/local/bin/virsh`,
    );
    const all = await site.findings();
    expect(all.map((f) => f.check).sort()).toEqual(['command-old', 'fence-login-refused']);
    expect(all.find((f) => f.check === 'command-old')?.sentence).toBe(
      'virsh on hv-b is 2.2.0; VMedic needs 2.3.0',
    );
    await site.nfs.lab.bmc('hv-b').setFaults([]);
    await onB('rm /usr/local/bin/virsh');
    expect(await found()).toContain('fence-login-refused');
    // A host on a busy machine may be too slow for one look.
    const isWell = async (): Promise<boolean> => (await site.findings({ retryLogins: true })).length === 0;
    await waitFor('nothing to be found', 120_000, isWell);
  });

  it('finds a server that lets nobody in, so that the locks of a dead host would stay', async () => {
    const server = site.nfs.lab.guest(SERVER);
    // The way in is closed for this test too: it opens by itself.
    const close =
      'cd; mv .ssh/authorized_keys keys; pkill -f "sshd: [r]oot"; sleep 60; mv keys .ssh/authorized_keys';
    await server.run(`setsid sh -c 'sleep 1; ${close}' </dev/null >/dev/null 2>&1 &`);
    await waitFor('nobody to get in', 30_000, async () => (await server.try('true', 5_000)).code !== 0);
    const [found1] = (await site.findings()).filter((f) => f.check === 'strategy-unreachable');
    expect(found1).toMatchObject({
      severity: 'blocks',
      sentence: expect.stringContaining('could not be released by nfs3-notify now') as string,
    });
    await waitFor('the way in to open', 120_000, async () => (await server.try('true', 5_000)).code === 0);
    expect(await found()).toEqual([]);
  });

  it('finds a VM that no host has room for, before one of them fails', async () => {
    const define = (kib: number): Promise<string> =>
      onB(
        `virsh -q dumpxml --inactive vm-b | sed -E "s,(<(memory|currentMemory)[^>]*>)[0-9]+,\\1${kib}," >/tmp/b.xml && virsh -q define /tmp/b.xml`,
      );
    const seen = async (kib: number): Promise<boolean> =>
      (await site.inventory.vms()).some((vm) => vm.name === 'vm-b' && vm.shape.memoryMiB === kib / 1024);
    await define(130_048);
    await waitFor('the new size to be known', 120_000, () => seen(130_048));
    const all = await site.findings();
    expect(all.filter((f) => f.check === 'no-target').map((f) => f.sentence)).toContainEqual(
      expect.stringMatching(/no host could take vm-b: hv-a has \d+ MiB free of the 127 MiB needed/),
    );
    await define(4_096);
    await waitFor('the old size to be known', 120_000, () => seen(4_096));
    expect(await found()).toEqual([]);
  });

  it('finds a VM whose definition is not stored while its host cannot be asked for it', async () => {
    await onB('pkill -STOP -x libvirtd');
    await site.tamper(`delete from definitions where vm_id in (select vm_id from vms where name = 'vm-b')`);
    expect(await found()).toEqual(expect.arrayContaining(['definition-not-stored', 'host-unread']));
    await onB('pkill -CONT -x libvirtd');
    await waitFor('it to be stored again', 120_000, async () => (await found()).length === 0);
  });
});
