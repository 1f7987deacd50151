/** The front door as the watch uses it: the same starts, under the same IDs, as everybody's. */
import { type Client, isGrpcServiceError } from '@temporalio/client';
import type { RecoveriesPort, RecoveryAnswer, RecoveryOrder } from '../activities/ports';
import { DriverFault } from '../domain/faults';
import { type IncidentTarget, targetFilter, targetId } from '../domain/ids';
import type { RecoverHostResult, RestartVmResult } from '../workflows/inputs';
import type { Request, StartAnswer } from './answers';
import { isUnanswered, Refusal } from './errors';
import { RecoveryClient } from './recovery-client';
import type { FrontDoor } from './starts';
import { lastRun, memoOf } from './runs';

/** Without a deadline of its own a call to a server that holds the line and answers nothing waits for ever, and the look that asks with it. */
const askedMs = 20_000;
/** How long a rehearsal is waited for before it is reported as under way; of one that was begun before, the end is there already. */
const rehearsalMs = { first: 60_000, again: 2_000 } as const;

export function watchDoor(door: FrontDoor): RecoveriesPort {
  const recoveries = new RecoveryClient(door);
  const ask = async (
    target: IncidentTarget,
    order: RecoveryOrder,
    begin: (request: Request) => Promise<StartAnswer>,
  ): Promise<RecoveryAnswer> => {
    try {
      return await door.client.withDeadline(Date.now() + askedMs, async () => {
        const open = await underWay(door, target, order.mode);
        if (open !== undefined) return open;
        return answerOf(door.client, await begin(requestOf(order)));
      });
    } catch (error) {
      throw asFault(error, target);
    }
  };
  return {
    recoverHost: (hostId, order) =>
      ask({ kind: 'host', hostId }, order, (request) => recoveries.recoverHost(hostId, request)),
    restartMissingVm: (vmId, order) =>
      ask({ kind: 'vm', vmId }, order, (request) =>
        recoveries.restartMissingVm(vmId, request, order.graceMs),
      ),
  };
}

const requestOf = ({ reason, mode, occasion }: RecoveryOrder): Request => ({
  source: 'watch',
  by: 'watch',
  reason,
  ...(mode === 'observe' && { rehearse: true, rehearsal: occasion }),
  ...(mode === 'approve' && { needsApproval: true }),
});

/** The watch says the same again and again: an incident hears it once. What somebody is recovering already needs no rehearsal. */
async function underWay(
  door: FrontDoor,
  target: IncidentTarget,
  mode: RecoveryOrder['mode'],
): Promise<RecoveryAnswer | undefined> {
  const [open] = await door.inventory.incidents({ ...targetFilter(target), open: true, limit: 1 });
  if (open !== undefined && mode === 'observe') return { kind: 'under-way', incidentId: open.incidentId };
  if (open?.triggers.some((t) => t.source === 'watch') !== true) return undefined;
  const run = await lastRun(door.client, open.workflowId);
  if (run?.status.name !== 'RUNNING' || memoOf(run)?.incidentId !== open.incidentId) return undefined;
  return { kind: 'under-way', incidentId: open.incidentId };
}

async function answerOf(client: Client, answer: StartAnswer): Promise<RecoveryAnswer> {
  if (answer.answer === 'busy') return { kind: 'busy', why: answer.summary };
  if (answer.workflowId.startsWith('rehearsal:'))
    return {
      kind: 'rehearsed',
      sentence: await rehearsed(
        client,
        answer.workflowId,
        answer.answer === 'same' ? rehearsalMs.again : rehearsalMs.first,
      ),
    };
  if (answer.answer === 'same' && !answer.open) return { kind: 'over', incidentId: answer.incidentId };
  return { kind: 'under-way', incidentId: answer.incidentId };
}

async function rehearsed(client: Client, workflowId: string, waitMs: number): Promise<string> {
  const where = `(in Temporal: ${workflowId})`;
  try {
    const result = await client.withDeadline(
      Date.now() + waitMs,
      () => client.workflow.getHandle(workflowId).result() as Promise<RecoverHostResult | RestartVmResult>,
    );
    if ('sentence' in result) return `${result.sentence} ${where}`;
    return `Rehearsed: ${result.would.join('; ')} ${where}`;
  } catch (error) {
    if (isUnanswered(error)) return `It is being rehearsed ${where}`;
    return `Its rehearsal failed: ${error instanceof Error ? error.message : String(error)} ${where}`;
  }
}

/** Whatever the server says no with (too much asked of it, shutting down, an error within it): it is the server's, and no defect of the watch. */
const isOfServer = (error: unknown): boolean =>
  isGrpcServiceError(error) ||
  (error instanceof Error && error.cause !== undefined && isOfServer(error.cause));

/** The watch knows faults alone: whatever keeps the front door from answering is over by itself, or is told by the next round again. */
function asFault(error: unknown, target: IncidentTarget): unknown {
  if (error instanceof DriverFault) return error;
  const what = targetId(target);
  if (error instanceof Refusal || isUnanswered(error) || isOfServer(error))
    return new DriverFault(
      'RECOVERY_NOT_ASKED',
      { what, detail: error instanceof Error ? error.message : String(error) },
      { cause: error },
    );
  return error;
}
