/**
 * NFSv4: the server knows what each client holds, and forgets a client that has not renewed its lease. `nfs4-expire` has a Linux server forget
 * exactly the dead host's clients at once; `nfs4-lease` waits the lease out, knowing how long: read from the server where there is a shell,
 * else declared.
 */
import type { HeldLock } from '../../activities/ports';
import { type FenceEvidence, offSince } from '../../domain/evidence';
import type { HostId } from '../../domain/ids';
import { millisOf } from '../../domain/observations';
import { clientsFrom, clientsScript, type ClientTable, expireScript, type NfsClient } from './clients';
import { type LockedRange, sameFile } from './lock-table';
import {
  type LockReleaser,
  namesOf,
  type NfsPool,
  type NfsWorld,
  notReleased,
  onServer,
  pathOnServer,
  understood,
  unreadable,
} from './nfs-pool';

const readMs = 8_000;
const goneWithinMs = 10_000;
const lookEveryMs = 300;
/** Within one attempt of the activity, which has a minute. What is longer is tried again. */
const waitAtOnceMsMax = 30_000;
/** Clocks differ, and a server looks for silent clients every few seconds only. */
const leaseMarginMs = 5_000;

export class Nfs4Expire implements LockReleaser {
  readonly knows = 'locks';

  constructor(private readonly world: NfsWorld) {}

  async list(pool: NfsPool, images: readonly string[], _: HostId, signal: AbortSignal): Promise<HeldLock[]> {
    return heldOf(this.world, pool, images, await readClients(pool, images, signal));
  }

  async release(
    pool: NfsPool,
    locks: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void> {
    if (locks.length === 0) return;
    const names = namesOf(this.world, evidence.hostId);
    const table = await readClients(pool, [], signal);
    const dead = table.clients.filter((c) => names.includes(c.address));
    if (dead.length === 0) return;
    for (const address of new Set(dead.map((c) => c.address))) {
      const ids = dead.filter((c) => c.address === address).map((c) => c.id);
      await onServer(pool, expireScript, [address, ...ids], readMs, signal);
    }
    await untilNoLocks(this.world, pool, locks, signal, Date.now() + goneWithinMs);
  }
}

export class Nfs4Lease implements LockReleaser {
  readonly knows = 'locks';

  constructor(private readonly world: NfsWorld) {}

  async list(pool: NfsPool, images: readonly string[], _: HostId, signal: AbortSignal): Promise<HeldLock[]> {
    if (pool.shell === undefined) return [];
    return heldOf(this.world, pool, images, await readClients(pool, images, signal));
  }

  /** Releases nothing: returns once the host's lease is over, counted from the moment at which it was first seen off. */
  async release(
    pool: NfsPool,
    locks: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void> {
    if (pool.shell !== undefined && locks.length === 0) return;
    const leaseMs =
      pool.shell === undefined ? pool.leaseMs : (await readClients(pool, [], signal)).leaseSeconds * 1_000;
    if (leaseMs === undefined)
      throw notReleased(pool, evidence.hostId, 'neither a shell on its server nor "lease" is in the config');
    const over = millisOf(offSince(evidence)) + leaseMs + leaseMarginMs;
    const until = Math.min(over, Date.now() + waitAtOnceMsMax);
    if (pool.shell !== undefined && (await untilNoLocks(this.world, pool, locks, signal, until))) return;
    if (pool.shell === undefined) await sleep(Math.max(0, until - Date.now()), signal);
    const left = Math.ceil((over - Date.now()) / 1_000);
    if (left > 0)
      throw unreadable(pool, `the lease of ${evidence.hostId} is over in ${left} s at the latest`);
  }
}

async function readClients(
  pool: NfsPool,
  images: readonly string[],
  signal: AbortSignal,
): Promise<ClientTable> {
  const paths = images.map((image) => pathOnServer(pool, image));
  const table = understood(pool, await onServer(pool, clientsScript, paths, readMs, signal), clientsFrom);
  if (paths.length > 0 && table.files.every((file) => file === undefined))
    throw unreadable(pool, `there is no ${paths[0] ?? ''} on it: is "export" right in the config?`);
  return table;
}

/** A client whose lease is over keeps its locks by courtesy: until somebody asks for one of them. */
const stillHolds = (client: NfsClient): boolean => !['courtesy', 'expirable'].includes(client.status);

function heldOf(world: NfsWorld, pool: NfsPool, images: readonly string[], table: ClientTable): HeldLock[] {
  return images.flatMap((path, at) => {
    const ranges = table.locked.filter((l) => sameFile(table.files[at], l.file));
    if (ranges.length === 0) return [];
    const lockIds = (client: NfsClient): string[] =>
      client.locks.filter((l) => sameFile(table.files[at], l.file)).map((l) => l.lockId);
    const holders = table.clients.filter((client) => lockIds(client).length > 0);
    if (holders.length === 0) return [{ poolId: pool.id, path, ...byNoClient(ranges) }];
    return holders.filter(stillHolds).map((client): HeldLock => {
      const host = world.hosts.find((h) => h.names.includes(client.address))?.id;
      const owner = host ?? { foreign: `${client.name || 'an NFSv4 client'} at ${client.address}` };
      return {
        poolId: pool.id,
        path,
        lockId: `client ${client.id}: ${lockIds(client).sort().join(', ')}`,
        owner,
      };
    });
  });
}

/** The kernel says that it is locked, and no NFSv4 client says that it holds it. */
function byNoClient(ranges: readonly LockedRange[]): Pick<HeldLock, 'lockId' | 'owner'> {
  const pids = [...new Set(ranges.map((r) => r.pid))].join(', ');
  return {
    lockId: ranges
      .map((r) => r.range)
      .sort()
      .join(', '),
    owner: { foreign: `process ${pids} on the server itself, or a client that mounts it by NFSv3` },
  };
}

/** Whether none of these locks is left by then. */
async function untilNoLocks(
  world: NfsWorld,
  pool: NfsPool,
  locks: readonly HeldLock[],
  signal: AbortSignal,
  until: number,
): Promise<boolean> {
  const images = [...new Set(locks.map((l) => l.path))];
  for (;;) {
    const left = heldOf(world, pool, images, await readClients(pool, images, signal));
    if (!left.some((l) => locks.some((lock) => lock.lockId === l.lockId))) return true;
    if (Date.now() > until || signal.aborted) return false;
    await sleep(lookEveryMs, signal);
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
