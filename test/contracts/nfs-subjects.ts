/** What the storage suites need of a real NFS server and real clients of it, in the storage lab. */
import { hostId, poolId, type PoolId } from '../../domain/ids';
import type { LockStrategy } from '../../domain/fleet';
import type { VmDisk } from '../../domain/records';
import type { RunOnHost } from '../../drivers/child-processes';
import { createHostCommands, type HostCommands } from '../../drivers/host-commands';
import type { StorageAccessPort } from '../../activities/ports';
import { createNfsAccess, createNfsStorage, type NfsPool, type NfsStorage } from '../../drivers/nfs';
import {
  EXPORT_PATH,
  type NfsLab,
  type NfsLabOptions,
  POOL_PATH,
  SERVER,
  STRANGER,
} from '../../lab/storage/nfs-lab';
import { testGateway } from '../support/driver-lab';
import { nfsLabUp } from '../support/storage-lab';
import { type Opened, notAborted } from './contract';
import { evidenceAbout } from './permits';
import type { StorageAccessSubject } from './storage-access.contract';
import type { StorageLocksSubject } from './storage-locks.contract';

export const a = hostId('hv-a');
export const b = hostId('hv-b');
export const pool: PoolId = poolId('lab-nfs');

export class NfsWorld {
  private readonly gateway = testGateway();
  private commands: HostCommands;
  storage: NfsStorage;

  private constructor(
    readonly nfs: NfsLab,
    private readonly strategy: LockStrategy,
    private readonly closeLab: () => Promise<void>,
  ) {
    this.commands = this.openCommands();
    this.storage = this.openStorage();
  }

  static async open(options: Omit<NfsLabOptions, 'folder'>, strategy: LockStrategy): Promise<NfsWorld> {
    const { nfs, close } = await nfsLabUp(options);
    return new NfsWorld(nfs, strategy, close);
  }

  /** A driver that knows nothing of the case before. */
  async reset(): Promise<void> {
    await this.commands.close();
    await this.nfs.reset();
    this.commands = this.openCommands();
    this.storage = this.openStorage();
  }

  async close(): Promise<void> {
    await this.commands.close();
    await this.gateway.close();
    await this.closeLab();
  }

  /** The stranger opens the image as a hypervisor would, and keeps it until the lab is restored. */
  async lockByStranger(image: string): Promise<void> {
    const stranger = this.nfs.lab.guest(STRANGER);
    await stranger.run(
      `setsid flock -x ${image} sleep 600 >/dev/null 2>&1 </dev/null & sleep 1; ! flock -n -x ${image} true`,
    );
  }

  /** Whoever of the fleet holds it lets go: a living host's VM is ended, a dead host's locks are released. */
  async freeImage(image: string): Promise<void> {
    const vm = this.nfs.vms.find((v) => v.image === image);
    if (vm === undefined) throw new RangeError(`no VM of the lab has ${image}`);
    const home = this.nfs.lab.guest(vm.home);
    if ((await home.state()) === 'on') {
      await home.run(`virsh -q destroy ${vm.name}`);
      return;
    }
    const { storageLocks } = this.openStorage();
    const host = hostId(vm.home);
    const { locks } = await storageLocks.list(pool, [image], host, notAborted());
    await storageLocks.release(pool, locks, evidenceAbout(host), notAborted());
  }

  private openCommands(): HostCommands {
    const options = ['-F', this.nfs.lab.sshConfig];
    return createHostCommands({
      gateway: this.gateway,
      hosts: [SERVER, ...this.nfs.hosts].map((name) => ({
        id: hostId(name),
        transport: { driver: 'ssh', target: name, options },
      })),
    });
  }

  /** A driver whose config has other names for the hosts. */
  knowingHostsBy(nameOf: (host: string) => string): NfsStorage {
    return this.openStorage(nameOf);
  }

  private openStorage(nameOf?: (host: string) => string): NfsStorage {
    const { world, pools } = this.declared(nameOf);
    return createNfsStorage({ ...world, pools });
  }

  get access(): StorageAccessPort {
    const { world, pools } = this.declared();
    return createNfsAccess(world, pools);
  }

  private declared(nameOf = (host: string): string => this.nfs.lab.guest(host).address) {
    const { lab, hosts } = this.nfs;
    const shell: NfsPool['shell'] =
      this.strategy === 'nfs-appliance'
        ? undefined
        : (...call) => this.commands.runScript(hostId(SERVER), ...call);
    const port = lab.guest(SERVER).statdPort;
    const world = {
      hosts: hosts.map((name) => ({ id: hostId(name), pools: [pool], names: [nameOf(name)] })),
      runOnHost: ((...call) => this.commands.runScript(...call)) as RunOnHost,
    };
    const pools: readonly NfsPool[] = [
      {
        ...{ id: pool, lockStrategy: this.strategy, path: POOL_PATH },
        ...{ server: SERVER, exportPath: EXPORT_PATH, cutAccess: 'exportfs' as const },
        ...{ shell, leaseMs: undefined },
        statd: { address: '127.0.0.1', ...(port !== undefined && { port }) },
      },
    ];
    return { world, pools };
  }
}

export const openNfsLocks =
  (options: Omit<NfsLabOptions, 'folder'>, strategy: LockStrategy) =>
  async (): Promise<Opened<StorageLocksSubject>> => {
    const world = await NfsWorld.open(options, strategy);
    // A case that only asked leaves everybody as they were; bringing them back takes ten seconds.
    let changed = false;
    const changing = (act: () => Promise<void>): Promise<void> => {
      changed = true;
      return act();
    };
    const subject: StorageLocksSubject = {
      ...{ pool, strategy, a, b },
      get port() {
        return world.storage.storageLocks;
      },
      imageOfA: world.nfs.vm('vm-a').image,
      imageOfB: world.nfs.vm('vm-b').image,
      world: {
        powerOff: (host) => changing(() => world.nfs.lab.guest(host).powerOff()),
        lockByStranger: (image) => changing(() => world.lockByStranger(image)),
        freeImage: (image) => changing(() => world.freeImage(image)),
      },
    };
    const reset = async (): Promise<void> => {
      if (changed) await world.reset();
      changed = false;
    };
    return { subject, reset, close: () => world.close() };
  };

export const openNfsAccess =
  (options: Omit<NfsLabOptions, 'folder'>, strategy: LockStrategy) =>
  async (): Promise<Opened<StorageAccessSubject>> => {
    const world = await NfsWorld.open(options, strategy);
    const server = world.nfs.lab.guest(SERVER);
    let powerWasCut = false;
    const subject: StorageAccessSubject = {
      ...{ pool, a, b },
      get port() {
        return world.access;
      },
      world: {
        async powerOff(host) {
          powerWasCut = true;
          await world.nfs.lab.guest(host).powerOff();
        },
        canWrite: async (host) => (await world.nfs.lab.guest(host).try(tryToWrite)).code === 0,
        rights: () => server.run('exportfs -s | sort; ls -A /run/vmedic/exports 2>/dev/null || :'),
      },
    };
    const reset = async (): Promise<void> => {
      if (powerWasCut) await world.reset();
      else await server.run('rm -rf /run/vmedic && exportfs -ra');
      powerWasCut = false;
    };
    return { subject, reset, close: () => world.close() };
  };

/** A client of NFSv3 remembers for up to a minute what it was allowed (nfs(5), acdirmax): here it is asked anew. */
export const tryToWrite = `sync; echo 2 >/proc/sys/vm/drop_caches; sh -c 'dd if=/dev/zero of=${POOL_PATH}/try.$(hostname) bs=512 count=1 conv=fsync status=none'`;

export const diskOf = (path: string): VmDisk => ({
  ...{ device: 'vda', path, format: 'qcow2', shareable: false, poolId: pool },
});
