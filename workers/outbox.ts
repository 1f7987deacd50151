/**
 * Sends what the alerts owe to each channel. Level, not edge: every round compares what is stored with what was delivered. Any number of these
 * may run: a round claims what is due, and what a sender that died had claimed is due again. A channel that does not answer is tried with
 * growing pauses, and keeps no other one waiting.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Delivery } from '../activities/ports';
import type { HttpDoor } from '../client/http/door';
import { queuesWithoutWorker } from '../client/troubles';
import { clustersUnwatched } from '../client/watches';
import type { OpenInventory } from '../drivers/postgres';
import { subjectOf } from './alert-subject';
import type { Channel } from './channels';
import { durationMs, type VmedicConfig } from './config';

export interface OutboxSetup {
  readonly door: Pick<HttpDoor, 'temporal' | 'taskQueue' | 'fleet'>;
  readonly inventory: OpenInventory;
  readonly log: Logger;
  readonly channels: readonly Channel[];
  readonly config: Pick<VmedicConfig, 'alerts' | 'keepDays'>;
  readonly everyMs?: number;
}

const day = 86_400_000;
const defaults = {
  everyMs: 1_000,
  pageAgainMs: 900_000,
  heartbeatMs: 60_000,
  keepDays: 400,
} as const;
/** What a sender has claimed and not reported by then is anybody's: it is gone. */
const leaseMs = 30_000;
/** A delivery takes 10 s at most, and is noted after. One that could outlast its claim is not begun: another sender would send it, too. */
const deliveryMs = 15_000;
const perRound = 50;
const retryMs = { first: 1_000, max: 300_000 } as const;
/** What was claimed beside one that failed waits no longer than this: one message that its receiver refuses must not keep the others. */
const heldMsMax = 5_000;
/** A channel that is new in the config is told what was raised since, not what was over long ago. */
const newsForMs = 3_600_000;
/** Signed ids are refused after five minutes by their time alone; keys are good for a day. */
const answersForMs = day;
const sweepEveryMs = 3_600_000;
/** Missed beats after which a receiver may say that VMedic is gone. */
const beatsMissed = 4;

export function startOutbox(setup: OutboxSetup): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { config } = setup;
  const heartbeatMs =
    config.alerts?.heartbeat === undefined ? defaults.heartbeatMs : durationMs(config.alerts.heartbeat);
  const standing = setup.channels.some((c) => c.standing !== undefined);
  const loops = [
    again(setup, 'alerts could not be delivered', setup.everyMs ?? defaults.everyMs, signal, () =>
      deliverDue(setup, signal),
    ),
    again(setup, 'old records could not be removed', sweepEveryMs, signal, () => sweep(setup)),
    ...(standing
      ? [
          again(setup, 'the heartbeat could not be told', heartbeatMs, signal, () =>
            restate(setup, heartbeatMs * beatsMissed, signal),
          ),
        ]
      : []),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

/** One thing over and over. What goes wrong is told in the log once, and its end once. */
async function again(
  { log }: OutboxSetup,
  trouble: string,
  everyMs: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  let failing = false;
  while (!signal.aborted) {
    try {
      await work();
      if (failing) log.info({}, `over: ${trouble}`);
      failing = false;
    } catch (error) {
      if (isStopped(signal)) return;
      // The next round does it anew; nothing is lost meanwhile.
      if (!failing) log.warn({ err: error }, trouble);
      failing = true;
    }
    await delay(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

const isStopped = (signal: AbortSignal): boolean => signal.aborted;

async function deliverDue(setup: OutboxSetup, signal: AbortSignal): Promise<void> {
  const { inventory, channels, config } = setup;
  const names = channels.map((c) => c.name);
  const now = Date.now();
  const pageAgainMs =
    config.alerts?.pageAgain === undefined ? defaults.pageAgainMs : durationMs(config.alerts.pageAgain);
  const at = new Date(now).toISOString();
  const since = new Date(now - newsForMs).toISOString();
  await inventory.endOldNews(since, at);
  await inventory.planDeliveries({ channels: names, since, at, pageAgainMs });
  // Per channel, so that the backlog of a dead one takes no room from the others.
  await Promise.all(
    channels.map(async (channel) => {
      const claimedAt = Date.now();
      const at = new Date(claimedAt).toISOString();
      const due = await inventory.claimDeliveries({ channels: [channel.name], at, leaseMs, limit: perRound });
      for (const [n, delivery] of due.entries()) {
        if (Date.now() > claimedAt + leaseMs - deliveryMs)
          return giveBack(inventory, due.slice(n), 'its channel takes long: not its turn yet', Date.now());
        const failed = await deliver(setup, channel, delivery, signal);
        if (failed === undefined) continue;
        const { why, againMs } = failed;
        await inventory.noteNotDelivered(delivery, why, new Date(againMs).toISOString());
        // The rest would fare no better now, unless it was this one alone that its channel did not take.
        return giveBack(inventory, due.slice(n + 1), why, Math.min(againMs, Date.now() + heldMsMax));
      }
    }),
  );
}

/** As they were found: what was never tried has failed at nothing, and must not wait as if it had. */
async function giveBack(
  inventory: OpenInventory,
  untried: readonly Delivery[],
  why: string,
  dueMs: number,
): Promise<void> {
  const dueAt = new Date(dueMs).toISOString();
  for (const delivery of untried) await inventory.noteNotDelivered(delivery, why, dueAt, false);
}

/** Undefined when the channel has taken it; else why not, and when to try again. */
async function deliver(
  { inventory, log, door }: OutboxSetup,
  channel: Channel,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<{ readonly why: string; readonly againMs: number } | undefined> {
  const { alert, incident, dedupeKey, round, notice } = delivery;
  const about = { alert: alert.key, channel: channel.name, notice, round, incidentId: alert.incidentId };
  // A raise is told as it was, even when it is over by now: its end follows.
  const told = notice === 'raised' ? { ...alert, clearedAt: undefined } : alert;
  const subject = await subjectOf(door.fleet, inventory, alert, incident);
  try {
    await channel.notifier.deliver({ ...told, incident, subject, dedupeKey, round }, signal);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const pause = Math.min(retryMs.first * 2 ** Math.min(delivery.attempts - 1, 20), retryMs.max);
    // Stopped in the middle, it may have been heard: whoever takes it up sends the same id again.
    const againMs = Date.now() + (signal.aborted ? 0 : pause);
    if (!signal.aborted) log.warn({ ...about, attempts: delivery.attempts }, why);
    return { why: signal.aborted ? 'its sender was stopped' : why, againMs };
  }
  await inventory.noteDelivered(delivery, new Date().toISOString());
  log.info(about, 'alert delivered');
  return undefined;
}

/** What is open, and that all of VMedic works: its heart beats only while somebody would act. */
async function restate({ inventory, channels, door }: OutboxSetup, validMs: number, signal: AbortSignal) {
  const open = (await inventory.alerts({ open: true })).filter((a) => a.severity !== 'info');
  const ids = [...new Set(open.flatMap((a) => (a.incidentId === undefined ? [] : [a.incidentId])))];
  const incidents = await Promise.all(ids.map((id) => inventory.incident(id)));
  const told = await Promise.all(
    open.map(async (a) => {
      const incident = incidents.find((i) => i?.incidentId === a.incidentId);
      return { ...a, incident, subject: await subjectOf(door.fleet, inventory, a, incident) };
    }),
  );
  const alive = await everythingWorks(door);
  await Promise.all(
    channels.flatMap(({ standing }) =>
      standing === undefined ? [] : [standing.restate(told, alive, validMs, signal)],
    ),
  );
}

async function everythingWorks(door: OutboxSetup['door']): Promise<boolean> {
  try {
    const temporal = await door.temporal();
    const [unpolled, unwatched] = await Promise.all([
      queuesWithoutWorker(temporal, door.taskQueue),
      clustersUnwatched(temporal.client, door.fleet),
    ]);
    return unpolled.length === 0 && unwatched.length === 0;
  } catch {
    // Whatever the reason: a recovery would not go on now, and that is what the heartbeat tells.
    return false;
  }
}

async function sweep({ inventory, config, log }: OutboxSetup): Promise<void> {
  const before = (ms: number): string => new Date(Date.now() - ms).toISOString();
  const removed = await inventory.removeOlderThan({
    records: before((config.keepDays ?? defaults.keepDays) * day),
    answers: before(answersForMs),
  });
  if (removed > 0) log.info({ removed }, 'old incidents were removed');
}
