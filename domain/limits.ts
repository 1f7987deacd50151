/**
 * Every number that bounds something, with its unit in its name and the reason beside it. `limitProblems` holds the relations between
 * them and the operator's policy; a config that breaks one is refused with the sum spelled out.
 */
import type { ClusterPolicy } from './fleet';

export const limits = {
  /** A power reading older than this is read again before anything rests on it: a person may have pressed the button since. */
  evidenceAgeMsMax: 60_000,
  /** A host's own list older than this says nothing about where a VM runs now. */
  listAgeMsMax: 30_000,
  /** Clocks of hosts and workers may differ by this much before ages are nonsense. */
  clockSkewMsMax: 5_000,
  /** Wrong passwords sent to one BMC before it is left alone: BMCs lock accounts, most after 3 to 5. */
  fenceLoginRefusalsMax: 2,
  /** Targets tried for one VM before it waits for a person. */
  startTargetsMax: 3,
  /** VMs handled by one run of `recoverHost` before it continues as new: history stays far below 10,240 events. */
  vmsPerRunMax: 500,
  /** Triggers kept per incident; later ones are counted only. */
  triggersKeptMax: 50,
  /** Lines of a timeline shown in Temporal's current details. */
  detailLinesMax: 40,
  /** How long a guest may take to shut down before whoever asked is told that it did not; and after how long it is asked again. */
  shutDownMsMax: 180_000,
  shutDownAgainMs: 15_000,
  /** How long a guest that is to be repaired is asked to shut down before its process is ended: it is unwell, and may not hear. */
  repairStopMsMax: 60_000,
  /** After a watch has begun, readiness is surveyed no sooner than this: by then every host was looked at many times. */
  readinessFirstMs: 300_000,
  /** An installation that has not been heard of for this long no longer owns its fleet: several times what a restart of it takes. */
  ownerSilentMsMax: 60_000,
  /** Its mark on each host is written anew this often: two may be lost before another takes the host for its own. */
  ownerMarkEveryMs: 20_000,
  /** An activity that waits for storage is cut off after this: the storage deadline and what is under way at its end lie well below. */
  storageWaitMsMax: 1_800_000,
  /** Doublings of a VM's grace, one for each restart of its budget: 2 to the power of 6 is a minute's grace grown to an hour. */
  graceDoublingsMax: 6,
  /** Characters of an activity summary that the timeline shows (facts: cut at 120). */
  summaryCharsMax: 120,
} as const;

/**
 * The pace of a volume's move, in milliseconds. A round of following grows to a minute, so that a day's copy stays below 10,240 events of history;
 * two readings that must agree lie further apart than a task takes to appear; ten minutes of not knowing are a person's matter.
 */
export const movePace = {
  preflightMs: 30_000,
  roundMs: { first: 2_000, max: 60_000 },
  settleMs: 10_000,
  readBackMs: 600_000,
  standStillMs: 1_800_000,
} as const;

/** Problems of a cluster policy, each a full sentence; empty when it is sound. */
export function limitProblems(policy: ClusterPolicy): string[] {
  const problems: string[] = [];
  const { window, perHost } = policy.concurrency;
  if (perHost > window)
    problems.push(
      `concurrency.perHost (${perHost}) is above concurrency.window (${window}): it could never be reached`,
    );
  if (policy.fenceRetryMs.first > policy.fenceRetryMs.max)
    problems.push(
      `fenceRetry.first (${policy.fenceRetryMs.first} ms) is above fenceRetry.max (${policy.fenceRetryMs.max} ms)`,
    );
  const floor = limits.listAgeMsMax + limits.clockSkewMsMax;
  if (policy.readBackDeadlineMs < floor)
    problems.push(
      `readBackDeadline (${policy.readBackDeadlineMs} ms) is below ${floor} ms: the age limit of a host's list ` +
        `(${limits.listAgeMsMax} ms) plus clock skew (${limits.clockSkewMsMax} ms); a start could be called stuck before one fresh list was read`,
    );
  if (policy.storageDeadlineMs > limits.storageWaitMsMax / 2)
    problems.push(
      `storageDeadline (${policy.storageDeadlineMs} ms) is above ${limits.storageWaitMsMax / 2} ms: what waits for storage would be cut off and begun anew for ever, ` +
        'and nobody would be told',
    );
  if (policy.blastRadius.hosts < 1)
    problems.push('blastRadius.hosts is below 1: no single host could ever be recovered');
  return problems;
}

export const defaultPolicy: ClusterPolicy = {
  blastRadius: { hosts: 1, percent: 30 },
  fenceDegraded: false,
  concurrency: { window: 30, perHost: 15 },
  confirmEveryMs: 2_000,
  fenceRetryMs: { first: 5_000, max: 120_000 },
  storageDeadlineMs: 120_000,
  readBackDeadlineMs: 120_000,
  headroomPercent: 0,
  health: { kind: 'running', timeoutMs: 60_000 },
  watch: {
    suspectAfterMs: 30_000,
    vmGraceMs: 10_000,
    guestShutdown: 'respect',
    onIoError: 'resume',
    missingVms: 'restart',
    readinessEveryMs: 1_800_000,
    restartBudget: { restarts: 5, perMs: 3_600_000 },
  },
};
