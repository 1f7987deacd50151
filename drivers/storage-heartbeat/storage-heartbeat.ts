/** The heartbeats port, by commands on the hosts. */
import type { HeartbeatsPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import type { RunOnHost } from '../child-processes';
import { keepScript, lookAnswers, lookScript } from './scripts';

export interface HeartbeatTimes {
  /** One small write to the pool for each host in so many seconds. */
  readonly everySeconds: number;
  /** How long is looked on: several beats, because a busy host or server may be late with one. */
  readonly lookSeconds: number;
  /** A host that nobody asks any more ends its writing after this. */
  readonly leaseMinutes: number;
}

export interface StorageHeartbeatOptions {
  readonly runScript: RunOnHost;
  readonly times?: Partial<HeartbeatTimes>;
}

const usual: HeartbeatTimes = { everySeconds: 1, lookSeconds: 4, leaseMinutes: 60 };
/** Beyond the look itself: the way in, and a pool that answers its first read late. */
const besidesMs = 4_000;

export function createStorageHeartbeats({ runScript, times }: StorageHeartbeatOptions): HeartbeatsPort {
  const { everySeconds, lookSeconds, leaseMinutes } = { ...usual, ...times };
  return {
    async keep(host, pool, signal) {
      const args = [folderOf(pool), nameOf(host), String(everySeconds), String(leaseMinutes)];
      const { code, stderr } = await runScript(host, keepScript, args, besidesMs, signal);
      if (code !== 0)
        throw new DriverFault('HOST_COMMAND_FAILED', {
          host,
          detail: `its heartbeat is not written to pool ${pool.id}: ${stderr.trim().slice(0, 300)}`,
        });
    },

    async look(via, of, pool, signal) {
      const args = [folderOf(pool), nameOf(of), String(lookSeconds)];
      try {
        const { code } = await runScript(via, lookScript, args, lookSeconds * 1_000 + besidesMs, signal);
        return lookAnswers[code] ?? 'not-known';
      } catch (error) {
        // The host that was to look is away itself, or hangs on the pool, or has no hand free: that says nothing of the other.
        if (!(error instanceof DriverFault)) throw error;
        return 'not-known';
      }
    },
  };
}

/** The config check has made sure that there is one. */
const folderOf = ({ path = '' }: Pool): string => path.replace(/\/+$/, '');

/** Part of a file's name. */
const nameOf = (host: HostId): string => host.replaceAll(/[^0-9A-Za-z._-]/g, '_');
