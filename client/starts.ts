/**
 * The front door: the only place that starts recoveries. Theory of operation: the server dedupes, not this code. A start names the
 * workflow ID that stands for the host or the VM and is refused while that ID is taken; who holds it is then told apart by the incident in
 * its memo. What is read before the start only finds the incident's number, and recognises a request that comes after the work is done.
 */
import {
  type Client,
  type WorkflowExecutionDescription,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { armCommand, disarmedBy, disarmedSentence } from '../domain/armed';
import { DriverFault, fault } from '../domain/faults';
import type { Fleet } from '../domain/fleet';
import {
  type ClusterId,
  incidentId,
  type IncidentId,
  type IncidentTarget,
  targetFilter,
  targetId,
  workflowIds,
} from '../domain/ids';
import type { IncidentRecord, Trigger } from '../domain/records';
import type { InventoryPort } from '../activities/ports';
import { defaultTaskQueue, type RunMemo } from '../workflows/inputs';
import type { FailedAgain } from '../workflows/messages';
import { subject } from '../workflows/search-attributes';
import type { Request, StartAnswer, WorkflowType } from './answers';
import { isGone, isUnanswered, Refusal, temporalUnreachable, updateRefusal } from './errors';
import { busyAnswer, busyWith, lastRun, memoOf, refOf } from './runs';
import { staticDetails } from './static-details';

/** What the front door reads of the inventory; of writes it knows one: a trigger that no worker took in time. */
export type InventoryReader = Pick<
  InventoryPort,
  'host' | 'vms' | 'incident' | 'incidents' | 'timeline' | 'attachTrigger' | 'switches'
>;

export interface FrontDoor {
  readonly client: Client;
  readonly inventory: InventoryReader;
  readonly fleet: Fleet;
  readonly address: string;
  readonly taskQueue?: string;
}

/** How long a trigger may wait for a worker to take it before the incident goes on without it. */
const addTriggerMs = 5_000;
/** It looks at the host first, with all patience that a silent one takes. */
const failedAgainMs = 15_000;
/** Rounds of "it was open, and closed while we knocked" before it is given up as nonsense. */
const roundsMax = 5;

export interface Wanted {
  readonly type: WorkflowType;
  readonly target: IncidentTarget;
  readonly name: string;
  readonly clusterId: ClusterId;
  readonly workflowId: string;
  readonly request: Request;
  /** What exactly is asked, where the same type may be asked for different things. */
  readonly order?: string;
  readonly input: (incident: IncidentRecord['incidentId'], epoch: number, trigger: Trigger) => object;
}

export class Starts {
  constructor(private readonly door: FrontDoor) {}

  async begin(wanted: Wanted): Promise<StartAnswer> {
    try {
      if (wanted.request.rehearse === true) return await this.rehearse(wanted);
      await this.refuseDisarmed(wanted.clusterId);
      for (let round = 0; round < roundsMax; round++) {
        const answer = await this.knock(wanted);
        if (answer !== 'changed-meanwhile') return answer;
      }
    } catch (error) {
      if (error instanceof Refusal || !isUnanswered(error) || isInventory(error)) throw error;
      throw temporalUnreachable(this.door.address, error);
    }
    throw new Refusal(
      'refused',
      'INCIDENT_UNSETTLED',
      `The incidents of ${wanted.name} opened and closed ${roundsMax} times while this was asked`,
      'look at vmedic incident list, then ask again',
    );
  }

  /** A person's own command acts in every mode, and in none while it is disarmed. */
  private async refuseDisarmed(cluster: ClusterId): Promise<void> {
    const off = disarmedBy(await this.door.inventory.switches(), cluster);
    if (off === undefined) return;
    const { code, sentence, next } = fault('DISARMED', {
      detail: disarmedSentence(off),
      command: armCommand(off),
    });
    throw new Refusal('refused', code, sentence, next);
  }

  private async knock(wanted: Wanted): Promise<StartAnswer | 'changed-meanwhile'> {
    const latest = await this.latestIncident(wanted.target);
    if (latest !== undefined && latest.closedAt === undefined) {
      if (latest.workflowId !== wanted.workflowId) return busyWith(this.door, latest);
      const joined = await this.join(latest, wanted);
      if (joined !== 'run-gone') return joined;
      // The row is open and its run is not: it was ended from outside. The incident goes on under the same number.
      const now = await this.door.inventory.incident(latest.incidentId);
      if (now?.closedAt !== undefined) return 'changed-meanwhile';
      return this.start(wanted, latest.epoch);
    }
    if (latest !== undefined && (await this.isLateDuplicate(latest, wanted))) {
      // The host may have been fenced by an incident that was opened since: its row is written before its fence begins.
      const now = await this.latestIncident(wanted.target);
      if (now?.incidentId !== latest.incidentId) return 'changed-meanwhile';
      return lateAnswer(latest, await lastRun(this.door.client, latest.workflowId));
    }
    const epoch = (latest?.epoch ?? 0) + 1;
    // Its row may not be written yet, or its run may have ended since the inventory was read: the server's own record decides.
    const last = await lastRun(this.door.client, wanted.workflowId);
    const id = incidentId(wanted.target, epoch);
    if (last !== undefined && memoOf(last)?.incidentId === id && last.status.name !== 'RUNNING') {
      const now = await this.door.inventory.incident(id);
      if (now !== undefined && now.closedAt === undefined) return 'changed-meanwhile';
      // A run that ended before its first act has left no row, and handled nothing: answered "handled", it would be the last word for ever.
      if (now !== undefined)
        return {
          answer: 'same',
          open: false,
          ...refOf(last, id),
          sentence: 'this incident was handled already',
        };
    }
    return this.start(wanted, epoch);
  }

  private async latestIncident(target: IncidentTarget): Promise<IncidentRecord | undefined> {
    return (await this.door.inventory.incidents({ ...targetFilter(target), limit: 1 }))[0];
  }

  /**
   * A host stays `fenced` after its recovery until it is readmitted. Whoever asks for its recovery then has heard of the failure late. A
   * fence on its own leaves the VMs where they were, so it is no recovery.
   */
  private async isLateDuplicate(latest: IncidentRecord, wanted: Wanted): Promise<boolean> {
    if (wanted.type !== 'recoverHost' || latest.target.kind !== 'host') return false;
    if (latest.workflowId !== wanted.workflowId) return false;
    if (latest.outcome !== 'recovered' && latest.outcome !== 'partially-recovered') return false;
    // A person who asks again for what did not come back means it; a program may only be late.
    if (latest.outcome === 'partially-recovered' && wanted.request.source === 'operator') return false;
    return (await this.door.inventory.host(latest.target.hostId))?.standing === 'fenced';
  }

  /** Adds this request to the open incident as one more trigger. */
  private async join(open: IncidentRecord, wanted: Wanted): Promise<StartAnswer | 'run-gone'> {
    const last = await lastRun(this.door.client, open.workflowId);
    if (last?.status.name !== 'RUNNING') return 'run-gone';
    // A recovery and a readmission share the host's ID, and are not the same.
    if (last.type === 'readmitHost' && wanted.type === 'recoverHost') return this.failedAgain(last, wanted);
    if (!isSameWork(last, open.incidentId, wanted)) return busyAnswer(this.door, last);
    return this.sameAnswer(last, open.incidentId, wanted);
  }

  /** A host that fails while it is readmitted: the run that holds its ID goes on as its recovery, unless the host answers. */
  private async failedAgain(
    run: WorkflowExecutionDescription,
    wanted: Wanted,
  ): Promise<StartAnswer | 'run-gone'> {
    const handle = this.door.client.workflow.getHandle(run.workflowId);
    const { request } = wanted;
    const order: FailedAgain = { ...triggerOf(request), needsApproval: request.needsApproval === true };
    try {
      const id = await this.door.client.withDeadline(Date.now() + failedAgainMs, () =>
        handle.executeUpdate<IncidentId, [FailedAgain]>('hostFailedAgain', { args: [order] }),
      );
      const { workflowId } = run;
      return {
        answer: 'started',
        rehearsal: false,
        incidentId: id,
        workflowId,
        runId: undefined,
        type: wanted.type,
      };
    } catch (error) {
      if (isGone(error)) return 'run-gone';
      const isNo = updateRefusal(error) !== undefined || isUnanswered(error) || isUpdateTimeout(error);
      if (isNo) return busyAnswer(this.door, run);
      throw error;
    }
  }

  private async sameAnswer(
    run: WorkflowExecutionDescription,
    id: IncidentRecord['incidentId'],
    wanted: Wanted,
  ): Promise<StartAnswer | 'run-gone'> {
    const handle = this.door.client.workflow.getHandle(run.workflowId);
    const same = { answer: 'same', open: true, ...refOf(run, id) } as const;
    const trigger = triggerOf(wanted.request);
    try {
      await this.door.client.withDeadline(Date.now() + addTriggerMs, () =>
        handle.executeUpdate('addTrigger', { args: [trigger] }),
      );
      return { ...same, sentence: 'it is under way already; this request was added to it' };
    } catch (error) {
      if (isGone(error)) return 'run-gone';
      // The incident is the same one whether or not it noted the request: a type without triggers, or no worker to take it.
      if (updateRefusal(error) !== undefined) return { ...same, sentence: 'it is under way already' };
      if (isUnanswered(error) || isUpdateTimeout(error))
        return { ...same, sentence: await this.noteHere(id, trigger) };
      throw error;
    }
  }

  /** No worker took the trigger in time (none runs, or a storm of them): it is written down here, once however often it arrives. */
  private async noteHere(id: IncidentRecord['incidentId'], trigger: Trigger): Promise<string> {
    try {
      await this.door.inventory.attachTrigger(id, trigger);
      return 'it is under way already; this request was added to it';
    } catch (error) {
      if (!(error instanceof DriverFault) || error.fault.code !== 'UNKNOWN_INCIDENT') throw error;
      return 'it is open already, but no worker has taken it yet, so this request is not noted';
    }
  }

  private async start(wanted: Wanted, epoch: number): Promise<StartAnswer | 'changed-meanwhile'> {
    const id = incidentId(wanted.target, epoch);
    try {
      const handle = await this.door.client.workflow.start(
        wanted.type,
        this.options(wanted, id, epoch, wanted.workflowId),
      );
      return {
        answer: 'started',
        rehearsal: false,
        incidentId: id,
        workflowId: wanted.workflowId,
        runId: handle.firstExecutionRunId,
        type: wanted.type,
      };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    const holder = await lastRun(this.door.client, wanted.workflowId);
    if (holder?.status.name !== 'RUNNING') return 'changed-meanwhile';
    if (!isSameWork(holder, id, wanted)) return busyAnswer(this.door, holder);
    const same = await this.sameAnswer(holder, id, wanted);
    return same === 'run-gone' ? 'changed-meanwhile' : same;
  }

  private async rehearse(wanted: Wanted): Promise<StartAnswer> {
    const latest = await this.latestIncident(wanted.target);
    const epoch = latest === undefined ? 1 : latest.epoch + (latest.closedAt === undefined ? 0 : 1);
    const id = incidentId(wanted.target, epoch);
    // Rehearsals stand in nobody's way, so any number that is not taken will do.
    const { rehearsal } = wanted.request;
    const n = rehearsal ?? `${Date.now().toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
    const workflowId = workflowIds.rehearsal(targetId(wanted.target), n);
    const options = this.options(wanted, id, epoch, workflowId);
    const ref = { incidentId: id, workflowId, type: wanted.type };
    try {
      const handle = await this.door.client.workflow.start(wanted.type, {
        ...options,
        ...(rehearsal !== undefined && { workflowIdReusePolicy: 'REJECT_DUPLICATE' }),
      });
      return { answer: 'started', rehearsal: true, ...ref, runId: handle.firstExecutionRunId };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return { answer: 'same', open: false, ...ref, runId: undefined, sentence: 'it was rehearsed already' };
    }
  }

  private options(wanted: Wanted, id: IncidentRecord['incidentId'], epoch: number, workflowId: string) {
    const { request, target, type, name } = wanted;
    const memo: RunMemo = {
      ...{ incidentId: id, requestedBy: request.by, reason: request.reason },
      ...(wanted.order !== undefined && { order: wanted.order }),
    };
    return {
      workflowId,
      taskQueue: this.door.taskQueue ?? defaultTaskQueue,
      args: [wanted.input(id, epoch, triggerOf(request))],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      memo: { ...memo },
      typedSearchAttributes: subject({
        incidentId: id,
        ...targetFilter(target),
      }),
      ...staticDetails({ type, name, incidentId: id, request }),
    } as const;
  }
}

/** A VM's ID stands for several types of work, and a move for a disk and a place: only the very same is joined. */
const isSameWork = (
  run: WorkflowExecutionDescription,
  id: IncidentRecord['incidentId'],
  { type, order }: Wanted,
): boolean => {
  const memo = memoOf(run);
  return memo?.incidentId === id && run.type === type && memo.order === order;
};

const triggerOf = ({ source, by, reason }: Request): Trigger => ({
  source,
  by,
  reason,
  at: new Date().toISOString(),
});

const lateAnswer = (closed: IncidentRecord, last: WorkflowExecutionDescription | undefined): StartAnswer => ({
  answer: 'same',
  open: false,
  incidentId: closed.incidentId,
  workflowId: closed.workflowId,
  // Undefined once the server has forgotten the run, or has one for another incident.
  runId: last !== undefined && memoOf(last)?.incidentId === closed.incidentId ? last.runId : undefined,
  type: 'recoverHost',
  sentence: `it was ${closed.outcome ?? 'handled'} at ${closed.closedAt ?? ''}, and the host was not readmitted since`,
});

const isInventory = (error: unknown): boolean => error instanceof Error && error.name === 'DriverFault';
const isUpdateTimeout = (error: unknown): boolean =>
  error instanceof Error && error.name === 'WorkflowUpdateRPCTimeoutOrCancelledError';
