/**
 * The one place where a `DriverFault` becomes a Temporal failure and back. The failure's `type` is the fault's code, its details carry the
 * fault itself, so that the cause reaches the operator as what it is. What is not recognised is thrown on untouched.
 */
import { Context, heartbeat } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { DriverFault, type Fault } from '../domain/faults';

/** Far below every heartbeat timeout, so that a dead worker is noticed fast and a busy one is not mistaken for dead. */
const heartbeatEveryMs = 1_000;
/**
 * The endless one, whose every beat counts in what a quiet fleet costs (3 ms in an idle process, a fifth of all). The worker hands on
 * what has come every 2 s, so no more than this is needed.
 */
const restfulEveryMs = 2_000;
const restful: readonly string[] = ['watchCluster'];

export function asFailure(error: unknown): unknown {
  if (!(error instanceof DriverFault)) return error;
  return ApplicationFailure.create({
    type: error.fault.code,
    message: error.fault.sentence,
    nonRetryable: error.fault.class !== 'transient',
    details: [error.fault],
    ...(error.cause instanceof Error ? { cause: error.cause } : {}),
  });
}

/** The fault that a driver threw, if it was one. */
export const faultOf = (error: unknown): Fault | undefined =>
  error instanceof DriverFault ? error.fault : undefined;

/** The fault at the bottom: what a driver's fault was caused by, as far as that is one, too. */
export function rootFaultOf(error: unknown): Fault | undefined {
  let found: Fault | undefined;
  for (let at = error; at instanceof Error; at = at.cause) found = faultOf(at) ?? found;
  return found;
}

/** Without the inventory nothing can be written down or said: whoever meets this waits for it, however long that takes. */
export const isOfInventory = (fault: Fault): boolean =>
  fault.code === 'INVENTORY_UNREACHABLE' || fault.code === 'RECORD_CHANGED';

type Activity = (input: never) => Promise<unknown>;

/**
 * Throws the cancellation when this activity was ended from outside: its worker stops, or the work was taken back. Calls that were cut off for
 * that look like silent hosts, so what it came to says nothing about the world; activities read before they act and may run again.
 */
async function unlessEnded(): Promise<void> {
  const { cancellationSignal, cancelled } = Context.current();
  if (cancellationSignal.aborted) await cancelled;
}

/** Wraps every activity: heartbeats while it works, and lets only Temporal failures out. */
export function atBoundary<T extends Record<string, Activity>>(activities: T): T {
  const wrap = (name: string, act: Activity): Activity => {
    const everyMs = restful.includes(name) ? restfulEveryMs : heartbeatEveryMs;
    return async (input) => {
      // Within a workflow task it is the task that is heartbeaten.
      const beat = Context.current().info.isLocal ? undefined : setInterval(() => heartbeat(), everyMs);
      try {
        const answer = await act(input);
        await unlessEnded();
        return answer;
      } catch (error) {
        await unlessEnded();
        throw asFailure(error);
      } finally {
        clearInterval(beat);
      }
    };
  };
  return Object.fromEntries(Object.entries(activities).map(([name, act]) => [name, wrap(name, act)])) as T;
}
