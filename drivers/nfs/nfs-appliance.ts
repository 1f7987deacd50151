/**
 * NFSv3 on a server without a shell. The notice goes over the network, from here; nobody can read the server's lock table, so that all that
 * is known afterwards is what the target host finds when it asks for the lock itself.
 */
import { readFileSync } from 'node:fs';
import type { HeldLock } from '../../activities/ports';
import type { FenceEvidence } from '../../domain/evidence';
import type { HostId } from '../../domain/ids';
import { type LockReleaser, namesOf, type NfsPool, type NfsWorld, notReleased, unreadable } from './nfs-pool';
import { newState, notifyOverNetwork } from './statd';

export class NfsAppliance implements LockReleaser {
  readonly knows = 'probe-only';

  constructor(
    private readonly world: NfsWorld,
    /** What this machine has mounted. */
    private readonly mounts: () => string = () => readFileSync('/proc/self/mounts', 'utf8'),
  ) {}

  list(): Promise<readonly HeldLock[]> {
    return Promise.resolve([]);
  }

  /** Repeatable. Every name is sent: which of them the appliance stored cannot be read. All of them mean this one host. */
  async release(
    pool: NfsPool,
    _: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void> {
    const names = namesOf(this.world, evidence.hostId);
    if (names.length === 0)
      throw this.refused(pool, evidence.hostId, 'the config names no storageNames of it');
    if (isMountedHere(pool, this.mounts()))
      throw this.refused(
        pool,
        evidence.hostId,
        `this machine has ${pool.server} mounted itself, and a notice sent from here would drop its own locks too; run the worker elsewhere`,
      );
    for (const name of names) {
      try {
        await notifyOverNetwork(pool.statd, name, newState(Date.now()), signal);
      } catch (cause) {
        throw unreadable(pool, cause instanceof Error ? cause.message : String(cause), cause);
      }
    }
  }

  private refused(pool: NfsPool, host: HostId, detail: string): Error {
    return notReleased(pool, host, detail);
  }
}

/** `nfs:/srv/vm /mnt nfs rw,...,addr=10.0.0.5 0 0`: the server by the name it was mounted by, or by its address. */
export function isMountedHere(pool: NfsPool, mounts: string): boolean {
  const server = [pool.server, pool.statd.address];
  return mounts.split('\n').some((line) => {
    const [source, , type, options] = line.split(' ');
    if (type !== 'nfs' && type !== 'nfs4') return false;
    const address = /(?:^|,)addr=([^,]+)/.exec(options ?? '')?.[1];
    return server.some((name) => source?.startsWith(`${name}:`) === true || address === name);
  });
}
