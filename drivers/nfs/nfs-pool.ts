import type { HeldLock } from '../../activities/ports';
import type { FenceEvidence } from '../../domain/evidence';
import { DriverFault } from '../../domain/faults';
import type { CutAccess, LockStrategy } from '../../domain/fleet';
import type { HostId, PoolId } from '../../domain/ids';
import type { HostScriptEnd, RunOnHost } from '../child-processes';
import type { StatdPlace } from './statd';

/** One NFS pool as the operator declared it. */
export interface NfsPool {
  readonly id: PoolId;
  readonly lockStrategy: LockStrategy;
  /** Where its hosts mount it. */
  readonly path: string;
  /** What they mount: the server's name or address, and the folder as the server's own file system has it. */
  readonly server: string;
  readonly exportPath: string;
  /** A shell on the server, where there is one. */
  readonly shell: RunOnServer | undefined;
  /** Where `nfs-appliance` sends its notice. */
  readonly statd: StatdPlace;
  /** `nfs4-lease` without a shell: how long the server keeps a silent client's state. */
  readonly leaseMs: number | undefined;
  readonly cutAccess?: CutAccess;
}

export type RunOnServer = (
  script: string,
  args: readonly string[],
  deadlineMs: number,
  signal: AbortSignal,
) => Promise<HostScriptEnd>;

/** A host of the fleet, and every name and address under which NFS servers know it. */
export interface NfsClientHost {
  readonly id: HostId;
  readonly pools: readonly PoolId[];
  readonly names: readonly string[];
}

export interface NfsWorld {
  readonly hosts: readonly NfsClientHost[];
  readonly runOnHost: RunOnHost;
}

/** One way of freeing what a dead host holds on one server. */
export interface LockReleaser {
  readonly knows: 'locks' | 'probe-only';
  /** `suspect`: whom the record says these images ran on. */
  list(
    pool: NfsPool,
    images: readonly string[],
    suspect: HostId,
    signal: AbortSignal,
  ): Promise<readonly HeldLock[]>;
  /** Every lock is the evidence's host's. */
  release(
    pool: NfsPool,
    locks: readonly HeldLock[],
    evidence: FenceEvidence,
    signal: AbortSignal,
  ): Promise<void>;
}

export const namesOf = (world: NfsWorld, host: HostId): readonly string[] =>
  world.hosts.find((h) => h.id === host)?.names ?? [];

/** The image where the server keeps it. @throws when it does not lie in the pool. */
export function pathOnServer(pool: NfsPool, image: string): string {
  const root = `${pool.path.replace(/\/+$/, '')}/`;
  if (!image.startsWith(root)) throw unreadable(pool, `${image} does not lie below ${pool.path}`);
  return `${pool.exportPath.replace(/\/+$/, '')}/${image.slice(root.length)}`;
}

/** Runs a script on the server. @throws HOST_COMMAND_FAILED when there is none, it is silent, or the script fails. */
export async function onServer(
  pool: NfsPool,
  script: string,
  args: readonly string[],
  deadlineMs: number,
  signal: AbortSignal,
): Promise<string> {
  if (pool.shell === undefined) throw unreadable(pool, 'the config names no shell on it (pools: access)');
  const end = await pool.shell(script, args, deadlineMs, signal);
  if (end.code === 0) return end.stdout;
  throw unreadable(pool, `exit code ${end.code}: ${(end.stderr.trim() || end.stdout.trim()).slice(0, 300)}`);
}

/** Nothing is known, and asking again is safe. */
export const unreadable = (pool: NfsPool, detail: string, cause?: unknown): DriverFault =>
  new DriverFault(
    'HOST_COMMAND_FAILED',
    { host: `the NFS server of ${pool.id} (${pool.server})`, detail },
    { cause },
  );

/** A person has to see to it. */
export const notReleased = (pool: NfsPool, host: HostId, detail: string): DriverFault =>
  new DriverFault('LOCKS_NOT_RELEASED', { host, pool: pool.id, detail });

/** Parses what a server printed; what cannot be understood is a read that failed. */
export function understood<T>(pool: NfsPool, printed: string, parse: (text: string) => T): T {
  try {
    return parse(printed);
  } catch (cause) {
    throw unreadable(pool, cause instanceof Error ? cause.message : String(cause), cause);
  }
}
