/** A whole recovery on a real NFS server: the storage lab and VMedic's own processes on it; one for all tests of a version. */
import { nfsLabConfig } from '../../lab/storage/config';
import { type NfsLab, type NfsLabOptions, SERVER } from '../../lab/storage/nfs-lab';
import { RecoverySite, startParts } from './recovery-site';
import { nfsLabUp } from './storage-lab';

export class NfsRecovery extends RecoverySite {
  private constructor(
    readonly nfs: NfsLab,
    ...site: ConstructorParameters<typeof RecoverySite>
  ) {
    super(...site);
  }

  static async open(
    options: Omit<NfsLabOptions, 'folder'>,
    mode?: 'observe' | 'automatic',
    pool: { readonly cutAccess?: 'exportfs' } = {},
  ): Promise<NfsRecovery> {
    const { nfs, close } = await nfsLabUp(options);
    try {
      const config = nfsLabConfig(nfs, undefined, pool);
      const parts = await startParts(nfs.lab.folder, config, mode === undefined ? {} : { mode });
      const site = new NfsRecovery(nfs, parts, (host) => nfs.lab.bmc(host), close);
      await site.discovered(nfs.vms.map((vm) => vm.name));
      return site;
    } catch (cause) {
      await close();
      throw cause;
    }
  }

  /** The server's own lines about the images of these VMs, without whose numbering changes. */
  async serverLocks(...names: readonly string[]): Promise<string[]> {
    const images = names.map((name) => `/srv/vm/${name}.qcow2`).join(' ');
    const line = `for f in ${images}; do grep ":$(stat -c %i $f) " /proc/locks | cut -d : -f 2-; done | sort`;
    return (await this.nfs.lab.guest(SERVER).run(line)).split('\n').filter((l) => l !== '');
  }
}
