/** The survey port: scripts on the hosts, through the way in that all host commands take. */
import { randomUUID } from 'node:crypto';
import type { SurveyPort } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import type { Pool } from '../../domain/fleet';
import type { HostId } from '../../domain/ids';
import type { HostSurvey, VolumeGroupFact } from '../../domain/readiness';
import type { RunOnHost } from '../child-processes';
import { askScript, holdScript, releaseScript, verdictOf } from './lock-test';
import { surveyFrom, surveyScript } from './survey-script';

export interface SurveyOptions {
  readonly runScript: RunOnHost;
  /** What LVM says on a host. Throws `HOST_COMMAND_FAILED`. */
  readonly volumeGroups: (host: HostId, signal: AbortSignal) => Promise<readonly VolumeGroupFact[]>;
  readonly deadlines?: Partial<SurveyDeadlines>;
}

export interface SurveyDeadlines {
  /** Five programs are started to be asked for their versions: half a second, more than 10 s on an overloaded host. Nobody waits for it. */
  readonly surveyMs: number;
  /** Twice this must be less than the time for which the lock is held. */
  readonly lockMs: number;
}

export const surveyDeadlines: SurveyDeadlines = { surveyMs: 40_000, lockMs: 20_000 };

export function createSurvey({ runScript, volumeGroups, deadlines }: SurveyOptions): SurveyPort {
  const { surveyMs, lockMs } = { ...surveyDeadlines, ...deadlines };

  async function lvmOf(
    host: HostId,
    pools: readonly Pool[],
    signal: AbortSignal,
  ): Promise<HostSurvey['lvm']> {
    if (!pools.some((p) => p.type === 'lvm')) return undefined;
    try {
      return { kind: 'read', value: await volumeGroups(host, signal) };
    } catch (error) {
      if (!(error instanceof DriverFault)) throw error;
      return { kind: 'not-read', detail: error.fault.facts['detail'] ?? error.message };
    }
  }

  return {
    async survey(host, pools, signal) {
      const folders = pools.flatMap((p) => (p.path === undefined || p.type === 'lvm' ? [] : [p.path]));
      // By a person's command it is asked for when it is needed; what is to happen by itself must be there before.
      const repairs = pools.some((p) => p.guestRepair === 'automatic');
      const [end, lvm] = await Promise.all([
        runScript(host, surveyScript, [repairs ? 'guestfish' : '', ...folders], surveyMs, signal),
        lvmOf(host, pools, signal),
      ]);
      const survey = surveyFrom(end.stdout, pools, lvm);
      if (survey !== undefined) return survey;
      const detail = `it was not looked at to the end: ${lastLine(end.stderr)}`;
      throw new DriverFault('HOST_COMMAND_FAILED', { host, detail });
    },

    async testLocks(pool, holder, asker, signal) {
      const path = `${pool.path ?? ''}/.vmedic-lock-test-${randomUUID()}`;
      const base = { holder, asker };
      try {
        const held = await runScript(holder, holdScript, [path], lockMs, signal);
        if (held.code !== 0)
          return { ...base, says: 'not-known', detail: `${holder}: ${lastLine(held.stderr)}` };
        const asked = await runScript(asker, askScript, [path], lockMs, signal);
        return { ...base, ...verdictOf(held.stdout, asked.stdout, path) };
      } catch (error) {
        if (!(error instanceof DriverFault)) throw error;
        return { ...base, says: 'not-known', detail: error.message };
      } finally {
        await letGo(runScript, holder, path, lockMs, signal);
      }
    },
  };
}

/** A holder that cannot be told lets go by itself soon, and takes its file with it. */
async function letGo(
  runScript: RunOnHost,
  host: HostId,
  path: string,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await runScript(host, releaseScript, [path], deadlineMs, signal);
  } catch (error) {
    if (!(error instanceof DriverFault)) throw error;
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
