/**
 * NFSv3 on a Linux server with a shell. Theory of operation: the server's kernel keeps a dead client's NLM locks for ever, because NLM has no
 * lease. Its statd, told by SM_NOTIFY that this one client has rebooted, has the kernel drop exactly that client's locks, within a second and
 * without a word to any other (measured). The call is made on the server itself, from its loopback: statd also drops the locks of whoever
 * *sends* the notice, so that the sender must be no client.
 *
 * The kernel's lock table names no holders. A lock is ascribed to a host that says it holds it; else to the host that the record says ran
 * the VM, as long as statd watches it; and once that host's locks were released here and one is still there, to somebody else: to a host that
 * could not be asked, or to nobody of the fleet.
 */
import type { HeldLock } from '../../activities/ports';
import type { FenceEvidence } from '../../domain/evidence';
import type { HostId } from '../../domain/ids';
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
import { type MonitoredClient, sameFile, type ServerTable, tableFrom, tableScript } from './lock-table';
import { asRecord, fromRecord, rpcCall, rpcResult } from './rpc';
import { newState, notifyBody, smNotify } from './statd';

const readMs = 8_000;
const notifyMs = 12_000;
/** statd tells the kernel by a call of its own, which took a second at most. */
const goneWithinMs = 10_000;
const lookEveryMs = 300;
/** Long enough for the lists of one incident, too short for a host to come back and die again. */
const releasedCountsMs = 60_000;

/** Hands one record to statd's TCP port and prints the 28 bytes of a reply without results. Nothing but bash and rpcinfo is needed there. */
const notifyScript = `
port=$(rpcinfo -p 127.0.0.1 | awk '$1 == 100024 && $2 == 1 && $3 == "tcp" { print $4; exit }')
[ -n "$port" ] || { echo 'no statd is registered there' >&2; exit 3; }
exec timeout 8 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf %s "$2" | base64 -d >&3 && head -c 28 <&3 | base64' - "$port" "$1"
`;

export class Nfs3Notify implements LockReleaser {
  readonly knows = 'locks';
  private readonly released = new Map<string, number>();

  constructor(private readonly world: NfsWorld) {}

  async list(
    pool: NfsPool,
    images: readonly string[],
    suspect: HostId,
    signal: AbortSignal,
  ): Promise<readonly HeldLock[]> {
    const table = await readTable(pool, images, signal);
    const locked = images.flatMap((path, at) => {
      const ranges = table.locks.filter((l) => sameFile(table.files[at], l.file)).map((l) => l.range);
      const file = table.files[at];
      if (file === undefined || ranges.length === 0) return [];
      return [{ path, lockId: `${file.device}:${file.inode} ${ranges.sort().join(', ')}` }];
    });
    if (locked.length === 0) return [];
    const { claims, silent } = await this.claims(
      pool,
      locked.map((l) => l.path),
      signal,
    );
    const answers = claims.has(suspect);
    if (answers) this.released.delete(`${pool.id} ${suspect}`);
    const unheard = silent.filter((h) => h !== suspect);
    const stranger = this.stranger(table, unheard);
    const otherwise = answers || this.wereReleased(pool, suspect) ? stranger : suspect;
    return locked.map(({ path, lockId }) => {
      const living = [...claims].find(([, held]) => held.has(path))?.[0];
      return { poolId: pool.id, path, lockId, owner: living ?? otherwise };
    });
  }

  async release(
    pool: NfsPool,
    locks: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void> {
    if (locks.length === 0) return;
    const host = evidence.hostId;
    const table = await readTable(pool, [], signal);
    const records = recordsOf(table.monitored, namesOf(this.world, host));
    if (records.length === 0) throw notReleased(pool, host, this.nobodyOfThatName(host, table));
    const itself = recordsOf(table.monitored, ['127.0.0.1', '::1', 'localhost']);
    if (itself.length > 0)
      throw notReleased(
        pool,
        host,
        `${pool.server} is an NFS client of itself, and a notice sent there would drop its own locks too`,
      );
    for (const { monName } of records) await notify(pool, monName, signal);
    this.released.set(`${pool.id} ${host}`, Date.now());
    await untilGone(pool, locks, signal);
  }

  /** What each host that answers says its own kernel holds, and who does not answer: that one makes no claim, and may hold any of them. */
  private async claims(
    pool: NfsPool,
    images: readonly string[],
    signal: AbortSignal,
  ): Promise<{ claims: Map<HostId, ReadonlySet<string>>; silent: HostId[] }> {
    const claims = new Map<HostId, ReadonlySet<string>>();
    const ask = async (host: HostId): Promise<void> => {
      try {
        const end = await this.world.runOnHost(host, tableScript, images, readMs, signal);
        if (end.code !== 0) return;
        const table = tableFrom(end.stdout);
        const held = images.filter((_, at) => table.locks.some((l) => sameFile(table.files[at], l.file)));
        claims.set(host, new Set(held));
      } catch {
        // Silent, or cut short: named as such below. Whether an image is free is read from the server's own table alone.
        return;
      }
    };
    const hosts = this.world.hosts.filter((h) => h.pools.includes(pool.id)).map((h) => h.id);
    await Promise.all(hosts.map(ask));
    return { claims, silent: hosts.filter((h) => !claims.has(h)) };
  }

  private wereReleased(pool: NfsPool, suspect: HostId): boolean {
    const releasedAt = this.released.get(`${pool.id} ${suspect}`);
    return releasedAt !== undefined && Date.now() - releasedAt < releasedCountsMs;
  }

  /** `unheard`: hosts of the fleet that could not be asked what they hold. */
  private stranger(table: ServerTable, unheard: readonly HostId[]): { readonly foreign: string } {
    const known = this.world.hosts.flatMap((h) => h.names);
    const others = table.monitored.filter((m) => !known.includes(m.file) && !known.includes(m.monName));
    const named = others.map((m) => (m.file === m.monName ? m.file : `${m.file} (${m.monName})`));
    const outside =
      named.length === 0
        ? 'a client that no host of the fleet is'
        : `a client outside of the fleet: ${named.join(' or ')}`;
    if (unheard.length === 0) return { foreign: outside };
    return { foreign: `${unheard.join(' or ')}, which could not be asked what it holds, or ${outside}` };
  }

  private nobodyOfThatName(host: HostId, { monitored }: ServerTable): string {
    const names = namesOf(this.world, host).join(', ') || 'no name at all';
    const there = monitored.map((m) => m.file).join(', ') || 'nobody';
    return `the server's statd watches nobody called ${names}, but ${there}: correct storageNames of ${host} in the config`;
  }
}

const recordsOf = (monitored: readonly MonitoredClient[], names: readonly string[]): MonitoredClient[] =>
  monitored.filter((m) => names.includes(m.file) || names.includes(m.monName));

async function readTable(
  pool: NfsPool,
  images: readonly string[],
  signal: AbortSignal,
): Promise<ServerTable> {
  const paths = images.map((image) => pathOnServer(pool, image));
  const printed = await onServer(pool, tableScript, paths, readMs, signal);
  const table = understood(pool, printed, tableFrom);
  const missing = paths.filter((_, at) => table.files[at] === undefined);
  // Were one image of several missing, it may have been deleted; were all, the path is wrong and nothing was looked at.
  if (paths.length > 0 && missing.length === paths.length)
    throw unreadable(pool, `there is no ${missing[0] ?? ''} on it: is "export" right in the config?`);
  return table;
}

async function notify(pool: NfsPool, monName: string, signal: AbortSignal): Promise<void> {
  const { xid, message } = rpcCall(smNotify, notifyBody(monName, newState(Date.now())));
  const record = asRecord(message).toString('base64');
  const printed = await onServer(pool, notifyScript, [record], notifyMs, signal);
  // That it was heard, no more: whether the locks are gone is read from the lock table.
  understood(pool, printed, (text) => rpcResult(fromRecord(Buffer.from(text, 'base64')), xid));
}

async function untilGone(pool: NfsPool, locks: readonly HeldLock[], signal: AbortSignal): Promise<void> {
  const until = Date.now() + goneWithinMs;
  const images = [...new Set(locks.map((l) => l.path))];
  for (;;) {
    const table = await readTable(pool, images, signal);
    const left = images.some((_, at) => table.locks.some((l) => sameFile(table.files[at], l.file)));
    // What is left after that is listed by the caller, who says whose it is.
    if (!left || Date.now() > until || signal.aborted) return;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
