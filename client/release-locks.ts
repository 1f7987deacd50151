/** Releases what a host that is proven off still holds on storage, on a person's word: after a wait, or when nobody else is at it. */
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { InventoryPort } from '../activities/ports';
import type { Fleet } from '../domain/fleet';
import { type IncidentId, workflowIds } from '../domain/ids';
import { defaultTaskQueue, type ReleaseLocksInput, type ReleaseLocksResult } from '../workflows/inputs';
import { subject } from '../workflows/search-attributes';
import type { Request } from './answers';
import { isUnanswered, Refusal, temporalUnreachable } from './errors';
import { knownHost } from './known';
import { giveOrder } from './orders';
import type { InventoryReader } from './starts';

export interface ReleaseDoor {
  readonly client: Client;
  readonly inventory: InventoryReader & Pick<InventoryPort, 'evidenceFor'>;
  readonly fleet: Fleet;
  readonly address: string;
  readonly taskQueue?: string;
  /** After so long the answer is `under-way`; without it, whoever asks waits until it is known what became of it. */
  readonly patienceMs?: number;
}

type ReleaseLocks = (input: ReleaseLocksInput) => Promise<ReleaseLocksResult>;

export type ReleaseAnswer =
  /** An incident of this host is open and has its locks in hand: it was told to look at them again. */
  | { readonly answer: 'incident-resumed'; readonly incidentId: IncidentId; readonly sentence: string }
  | { readonly answer: 'under-way'; readonly incidentId: IncidentId; readonly workflowId: string }
  | {
      readonly answer: 'released' | 'rehearsed' | 'blocked';
      readonly incidentId: IncidentId;
      readonly workflowId: string;
      readonly result: ReleaseLocksResult;
    };

/**
 * Done when it is known what became of it, or patience is over. Repeatable.
 *
 * @throws Refusal `refused` without evidence that the host is off, or while another release of it is under way.
 */
export async function releaseLocksOf(
  door: ReleaseDoor,
  host: string,
  request: Request,
): Promise<ReleaseAnswer> {
  const { id } = knownHost(door.fleet, host);
  const [open] = await door.inventory.incidents({ hostId: id, open: true, limit: 1 });
  if (open !== undefined && request.rehearse !== true) {
    const said = { by: request.by, reason: request.reason };
    const sentence = await giveOrder(door, open.incidentId, { update: 'resume' }, said);
    return { answer: 'incident-resumed', incidentId: open.incidentId, sentence };
  }
  const evidence = await door.inventory.evidenceFor(id);
  if (evidence === undefined)
    throw new Refusal(
      'refused',
      'NO_EVIDENCE',
      `Nothing proves that ${id} is off, and locks of a host that may live are never released`,
      `vmedic host fence ${id} --reason "..."`,
    );
  const { incidentId } = evidence;
  const mode = request.rehearse === true ? 'rehearse' : 'act';
  const vms = await door.inventory.vms({ hostId: id });
  const input: ReleaseLocksInput = {
    hostId: id,
    incidentId,
    mode,
    evidence,
    vmIds: vms.map((v) => v.vmId),
    alone: true,
  };
  const workflowId =
    mode === 'act' ? workflowIds.locks(id) : workflowIds.rehearsal(id, Date.now().toString(36));
  try {
    const handle = await door.client.workflow.start<ReleaseLocks>('releaseLocks', {
      workflowId,
      taskQueue: door.taskQueue ?? defaultTaskQueue,
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      memo: { incidentId, requestedBy: request.by, reason: request.reason },
      typedSearchAttributes: subject({ incidentId, hostId: id }),
      staticSummary: `${id}: release its locks`,
    });
    const result = await resultOf(door, () => handle.result());
    if (result === undefined) return { answer: 'under-way', incidentId, workflowId };
    const answer = result.kind === 'blocked' ? 'blocked' : mode === 'act' ? 'released' : 'rehearsed';
    return { answer, incidentId, workflowId, result };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError)
      throw new Refusal(
        'refused',
        'BUSY',
        `The locks of ${id} are being released already`,
        `vmedic incident show ${incidentId}`,
      );
    if (isUnanswered(error) && !(error instanceof Refusal)) throw temporalUnreachable(door.address, error);
    throw error;
  }
}

/** Undefined when patience is over before the run is. */
async function resultOf<T>(
  { client, patienceMs }: ReleaseDoor,
  wait: () => Promise<T>,
): Promise<T | undefined> {
  if (patienceMs === undefined) return wait();
  const until = Date.now() + patienceMs;
  try {
    return await client.withDeadline(until, wait);
  } catch (error) {
    // It was begun, so it goes on; a server that is gone shows itself before the time is over.
    if (isUnanswered(error) && Date.now() >= until) return undefined;
    throw error;
  }
}
