/** What the watch makes of what it sees. Pure: the same record and the same list always mean the same, whoever saw what before. */
import type { GuestShutdown } from './fleet';
import { millisOf, type ObservedVm } from './observations';
import type { IncidentRecord, VmRecord } from './records';

/**
 * `missing`: it is to run and does not, and nobody meant that. `shut-down`: its guest, or a person who saved it, ended it in order.
 * `started`: it runs, and was not to. `left-alone`: not well, and not ours to act on (paused by a person, on its way).
 */
export type VmFinding = 'well' | 'missing' | 'shut-down' | 'started' | 'left-alone';

/** A process that its hypervisor has stopped because its disk failed, or that has crashed and is kept: it does not go on by itself. */
export const stoppedByTrouble = (reason: string): boolean =>
  ['io-error', 'I/O error'].includes(reason) || hasCrashed(reason);

/** A process that runs, or that stands where trouble has stopped it: it holds its VM's disks, and is nobody's passing state. */
export const hasProcess = ({ state, reason }: Pick<VmRecord['observed'], 'state' | 'reason'>): boolean =>
  state === 'running' || (state === 'paused' && stoppedByTrouble(reason));

/** Kept as it crashed: its owner has asked for that, and nothing in it would go on. */
export const hasCrashed = (reason: string): boolean => reason.startsWith('crashed');

/** Of a VM that is shut off: its guest ended it, or a person did who saved it. */
export const endedInOrder = (reason: string): boolean => reason === 'shutdown' || reason === 'saved';

/** @param seen Its line in the complete list of the host that the record names; undefined when it has none. */
export function vmFinding(
  vm: Pick<VmRecord, 'desired' | 'protected'>,
  seen: Pick<ObservedVm, 'state' | 'reason'> | undefined,
  guestShutdown: GuestShutdown,
): VmFinding {
  if (vm.desired === 'stopped') return seen?.state === 'running' ? 'started' : 'well';
  if (!vm.protected || seen?.state === 'running') return 'well';
  if (seen === undefined || seen.state === 'crashed') return 'missing';
  if (seen.state === 'shut-off' && seen.reason === 'saved') return 'shut-down';
  if (seen.state === 'shut-off' && seen.reason === 'shutdown')
    return guestShutdown === 'respect' ? 'shut-down' : 'missing';
  if (seen.state === 'shut-off') return 'missing';
  return seen.state === 'paused' && stoppedByTrouble(seen.reason) ? 'missing' : 'left-alone';
}

/**
 * Most of a cluster silent at once says more about VMedic's own network than about the hosts. One host alone is never "most".
 *
 * @param silent Hosts that do not answer and that no fence device reads as off.
 */
export const isBlind = (silent: number, watched: number): boolean => silent >= 2 && silent * 2 > watched;

const againAfterMs = { first: 60_000, max: 1_800_000 } as const;

/**
 * Whether a VM that is missing now may be taken up again after its latest incidents (newest first). What a person has ended stays ended until
 * something about the VM has changed; what found no room or was refused is tried again with growing pauses.
 *
 * @param observedAt When what is seen of the VM now was seen first.
 * @param listedAtMs When the list that shows it missing was begun: an older one knows nothing of what an incident has done since.
 */
export function mayTakeUp(
  incidents: readonly Pick<IncidentRecord, 'outcome' | 'closedAt'>[],
  observedAt: string,
  listedAtMs: number,
  nowMs: number,
): boolean {
  const [latest] = incidents;
  if (latest?.closedAt === undefined) return true;
  const closedMs = millisOf(latest.closedAt);
  if (listedAtMs <= closedMs) return false;
  if (latest.outcome === 'aborted' || latest.outcome === 'stuck') return millisOf(observedAt) > closedMs;
  if (latest.outcome !== 'partially-recovered') return true;
  const others = incidents.findIndex((i) => i.outcome !== 'partially-recovered');
  const inARow = others < 0 ? incidents.length : others;
  return nowMs - closedMs >= Math.min(againAfterMs.first * 2 ** (inARow - 1), againAfterMs.max);
}

/**
 * Whether a person has stopped the recovery of a host that has not been heard since, and who need not say it again every minute: until it has,
 * only people ask for its recovery.
 *
 * @param heardMs When somebody heard it who has not written it down yet; 0 when nobody has.
 */
export function wasStopped(
  latest: Pick<IncidentRecord, 'outcome' | 'closedAt'> | undefined,
  lastSeenAt: string | undefined,
  heardMs = 0,
): boolean {
  if (latest?.outcome !== 'aborted' || latest.closedAt === undefined) return false;
  const seenMs = lastSeenAt === undefined ? 0 : millisOf(lastSeenAt);
  return Math.max(seenMs, heardMs) < millisOf(latest.closedAt);
}
