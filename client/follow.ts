/** Follows a run to its end, or to where it asks for a person; through outages of anything that it reads. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { isFaultCode } from '../domain/faults';
import type { VmResult } from '../domain/recovery-state';
import type { IncidentRecord, TimelineEntry } from '../domain/records';
import { failureTypes } from '../workflows/inputs';
import type { Ending, RunRef, RunResult } from './answers';
import { isUnanswered, Refusal } from './errors';
import type { InventoryReader } from './starts';

export interface FollowOptions {
  /** New timeline entries, in order. */
  readonly onEntry?: (entry: TimelineEntry) => void;
  /** The incident as it stands, at every look. */
  readonly onIncident?: (incident: IncidentRecord) => void;
  /** Something that was read does not answer, or answers again. */
  readonly onOutage?: (sentence: string) => void;
  readonly signal?: AbortSignal;
  /** How long nobody may answer before following is given up. The run itself goes on. */
  readonly patienceMs?: number;
  readonly everyMs?: number;
  /** Goes on following while a person is waited for. */
  readonly throughWaiting?: boolean;
}

interface Source {
  readonly client: Client;
  readonly inventory: InventoryReader;
}

/** A question to a person must stand this long: some are answered by the next look at the world. */
const waitsForMs = 1_500;

export async function follow(from: Source, run: RunRef, options: FollowOptions = {}): Promise<Ending> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const cursor: Cursor = { seq: -1 };
  try {
    return await Promise.race([
      endOf(from, run, signal, options, cursor),
      watchIncident(from, run, signal, options, cursor),
    ]);
  } finally {
    stop.abort();
  }
}

async function endOf(
  from: Source,
  run: RunRef,
  signal: AbortSignal,
  options: FollowOptions,
  cursor: Cursor,
): Promise<Ending> {
  const handle = from.client.workflow.getHandle(run.workflowId, undefined, { followRuns: true });
  const ending = await patiently('Temporal', options, signal, async () => {
    try {
      const result = (await from.client.withAbortSignal(signal, () => handle.result())) as RunResult;
      return { kind: 'finished', result } as const;
    } catch (error) {
      if (error instanceof WorkflowFailedError) return endingOfFailure(error);
      throw error;
    }
  });
  await flushTimeline(from, run, options, cursor);
  return ending;
}

function endingOfFailure(error: WorkflowFailedError): Ending {
  const cause = error.cause;
  if (!(cause instanceof ApplicationFailure))
    return {
      kind: 'failed',
      type: cause?.name ?? error.name,
      sentence: cause?.message ?? error.message,
      vm: undefined,
    };
  const ours = isFaultCode(cause.type) || Object.values<string>(failureTypes).includes(cause.type ?? '');
  const vm = ours && !isFaultCode(cause.type) ? (cause.details?.[0] as VmResult | undefined) : undefined;
  return { kind: 'failed', type: cause.type ?? 'unknown', sentence: cause.message, vm };
}

/** Up to where the timeline has been shown. */
interface Cursor {
  seq: number;
}

/** Shows what is new since the last look; returns the incident as it stands. */
async function look(
  from: Source,
  run: RunRef,
  options: FollowOptions,
  cursor: Cursor,
): Promise<IncidentRecord | undefined> {
  const incident = await from.inventory.incident(run.incidentId);
  if (incident === undefined) return incident;
  await showNew(from, run, options, cursor);
  options.onIncident?.(incident);
  return incident;
}

async function showNew(from: Source, run: RunRef, options: FollowOptions, cursor: Cursor): Promise<void> {
  if (options.onEntry === undefined) return;
  const entries = await from.inventory.timeline(run.incidentId);
  for (const entry of entries) {
    if (entry.seq <= cursor.seq) continue;
    cursor.seq = entry.seq;
    options.onEntry(entry);
  }
}

/** The last lines are written just before the run ends. */
async function flushTimeline(
  from: Source,
  run: RunRef,
  options: FollowOptions,
  cursor: Cursor,
): Promise<void> {
  try {
    await look(from, run, options, cursor);
  } catch (error) {
    // The run's own result is what counts; its timeline can be read later.
    if (!isUnanswered(error)) throw error;
  }
}

async function watchIncident(
  from: Source,
  run: RunRef,
  signal: AbortSignal,
  options: FollowOptions,
  cursor: Cursor,
): Promise<Ending> {
  let asksSince: number | undefined;
  for (;;) {
    const incident = await patiently('The inventory', options, signal, () =>
      look(from, run, options, cursor),
    );
    const asks =
      incident !== undefined && incident.closedAt === undefined && incident.nextCommand !== undefined;
    if (!asks) asksSince = undefined;
    else asksSince ??= Date.now();
    if (
      asks &&
      asksSince !== undefined &&
      options.throughWaiting !== true &&
      Date.now() - asksSince >= waitsForMs
    )
      return { kind: 'waits', incident };
    await delay(options.everyMs ?? 500, undefined, { signal });
  }
}

/** Tries again while nobody answers, for as long as patience lasts; any answer, good or bad, ends it. */
async function patiently<T>(
  whose: string,
  options: FollowOptions,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T> {
  let silentSince: number | undefined;
  for (;;) {
    try {
      const answer = await ask();
      if (silentSince !== undefined) options.onOutage?.(`${whose} answers again`);
      return answer;
    } catch (error) {
      if (signal.aborted || !isUnanswered(error)) throw error;
      if (silentSince === undefined) {
        silentSince = Date.now();
        options.onOutage?.(
          `${whose} does not answer; the recovery itself goes on when it does, and so does this`,
        );
      }
      if (Date.now() - silentSince > (options.patienceMs ?? 120_000))
        throw new Refusal(
          'unreachable',
          'GAVE_UP_FOLLOWING',
          `${whose} did not answer for ${Math.round((Date.now() - silentSince) / 1000)} s; the run was not touched`,
          'vmedic status',
          { cause: error },
        );
      await delay(500, undefined, { signal });
    }
  }
}
