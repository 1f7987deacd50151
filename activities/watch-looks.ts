/**
 * Looks that come to no end, and a watch that ends itself: the two ways in which a fleet would be left alone while everything seems to go on,
 * because the watch's heartbeats are a timer's and say only that its worker lives.
 *
 * INVARIANT: a look that hangs is given up, so that its host is looked at again; and whatever keeps hosts from being looked at for longer than a
 * moment stands in an alert.
 */
import { Context } from '@temporalio/activity';
import { DriverFault } from '../domain/faults';
import type { Host } from '../domain/fleet';
import { pause, signal } from './environment';
import { faultOf } from './fault-boundary';
import { clear, clearTold, raise } from './incident';
import type { HostMemory, WatchedCluster } from './watched-cluster';

/** Every call of a look has a deadline of seconds; so long without a step forward none of them held. */
export const lookMsMax = 180_000;
/** One look that fails is followed by the next one; so long in a row it is told. */
const failingMsMax = 60_000;
/** A watch that has gone on for so long since it was begun anew is well. */
const calmMs = 60_000;

const failingKey = (host: Host): string => `watch-fails:${host.id}`;

/**
 * Takes the look, and gives it up when it hangs. What is told of a host is over with its first look that comes to its end.
 *
 * @throws whatever the look throws; `LOOK_NOT_ENDED` when it was given up.
 */
export async function toItsEnd(
  watch: WatchedCluster,
  host: Host,
  look: () => Promise<unknown>,
  msMax = lookMsMax,
): Promise<void> {
  const memory = watch.memory(host.id);
  memory.progressMs = Date.now();
  try {
    await unlessLate(memory, host, look(), msMax);
  } catch (error) {
    const known = faultOf(error);
    if (known !== undefined && !signal().aborted) await tellFailing(watch, host, known.sentence);
    throw error;
  }
  memory.failingSinceMs = undefined;
  if (watch.supervision === undefined) return;
  const alerted = await watch.alerted(host.id);
  await clearTold(watch.env, alerted, failingKey(host));
}

async function unlessLate(
  memory: HostMemory,
  host: Host,
  work: Promise<unknown>,
  msMax: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const check = (): void => {
      const leftMs = memory.progressMs + msMax - Date.now();
      if (leftMs > 0) timer = setTimeout(check, leftMs);
      else reject(new DriverFault('LOOK_NOT_ENDED', { host: host.id, seconds: String(msMax / 1000) }));
    };
    timer = setTimeout(check, msMax);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // Given up, it may still fail: by then nobody waits for it.
    work.catch(() => undefined);
  }
}

async function tellFailing(watch: WatchedCluster, host: Host, why: string): Promise<void> {
  const memory = watch.memory(host.id);
  memory.failingSinceMs ??= Date.now();
  const forMs = Date.now() - memory.failingSinceMs;
  if (watch.supervision === undefined || forMs < failingMsMax) return;
  const key = failingKey(host);
  const alerted = await watch.alerted(host.id);
  if (alerted.has(key)) return;
  const sentence = `No look at ${host.id} has come to its end for ${Math.round(forMs / 1000)} s, so nothing is done about it or its VMs: ${why}`;
  const nextCommand = `vmedic host show ${host.id}`;
  await raise(watch.env, undefined, { key, severity: 'critical', sentence, nextCommand });
  alerted.add(key);
}

/** Runs the watch, beside it what takes back the word of the one before; when an error that nobody owes it ends it, that is told. */
export async function untilItEnds(
  watch: WatchedCluster,
  run: (calm: (over: AbortSignal) => Promise<void>) => Promise<void>,
): Promise<void> {
  const key = `watch-ended:${watch.cluster.id}`;
  try {
    await run((over) => takeBackWhenCalm(watch, key, over));
  } catch (error) {
    if (!signal().aborted) await tellEnded(watch, key, error);
    throw error;
  }
}

async function takeBackWhenCalm({ env }: WatchedCluster, key: string, over: AbortSignal): Promise<void> {
  const isOver = (): boolean => over.aborted;
  for (let waitMs = calmMs; ; waitMs = calmMs / 10) {
    await pause(waitMs, over);
    if (isOver()) return;
    try {
      const open = await env.inventory.alerts({ open: true });
      if (open.some((a) => a.key === key)) await clear(env, key);
      return;
    } catch (error) {
      // Said some seconds later it is as true.
      if (faultOf(error) === undefined) throw error;
    }
  }
}

async function tellEnded(watch: WatchedCluster, key: string, error: unknown): Promise<void> {
  if (watch.supervision === undefined) return;
  const why = error instanceof Error ? error.message : String(error);
  const sentence = `The watch over cluster ${watch.cluster.id} was ended by an error of its own: ${why}. It is begun anew within 10 s each time; as long as this is told it may come to nothing`;
  const nextCommand = "see the worker's log, and report it";
  try {
    await raise(watch.env, undefined, { key, severity: 'critical', sentence, nextCommand });
  } catch (second) {
    // What ended the watch counts, and goes on to the server; the log has both.
    Context.current().log.warn(`That the watch ended could not be told: ${String(second)}`);
  }
}
