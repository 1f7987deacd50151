/** What became of a start: known only from the target's own list, read after the act. */
import { Context } from '@temporalio/activity';
import type { FenceEvidence } from '../domain/evidence';
import { type Fault, fault } from '../domain/faults';
import type { HostId } from '../domain/ids';
import { isAtRest } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { clusterById, type Environment, lookEveryMs, pause } from './environment';
import { faultOf } from './fault-boundary';
import { startSentence } from './orders-left';
import type { StartBasis } from './start-permit';

export type Started =
  | { readonly kind: 'running' }
  | { readonly kind: 'not-started'; readonly fault: Fault }
  | { readonly kind: 'unknown'; readonly fault: Fault }
  | { readonly kind: 'contradicted'; readonly fault: Fault }
  | { readonly kind: 'not-read-yet'; readonly sent: Sent };

/** A start that was ordered and has to be read back still. */
export interface Sent {
  /** What the order came to; undefined when the target said that it was done. */
  readonly problem: Problem | 'not-answered-yet' | undefined;
  /** This start was ordered once more before, and that order may still be waiting there. */
  readonly askedBefore: boolean;
  /** Names this sending of the order in the timeline. */
  readonly once: string;
}

interface Problem {
  readonly kind: 'refused' | 'unreachable' | 'unknown';
  readonly fault: Fault;
}

/** What the start of one attempt is asked with. */
export interface StartOrder extends StartBasis {
  readonly target: HostId;
  /** This start was asked of the target already and nobody knows what became of it. */
  readonly askedBefore: boolean;
  /** Which order of the run it is: tried again by whatever worker, it stays the same one. */
  readonly order: number;
  /** Within the workflow task: what is not read back by the first look is read back by an activity of its own. */
  readonly oneLook?: true;
  /** Ordered already: it is only read back. */
  readonly sent?: Sent;
}

export const contradicted = (vm: VmRecord, detail: string): Started => ({
  kind: 'contradicted',
  fault: fault('EVIDENCE_CONTRADICTED', { host: vm.hostId, detail }),
});

/**
 * Reads the target until it says whether the VM runs. A refusal is believed only together with a list in which the VM is at rest; an
 * answer that never came is read until the deadline and is then `unknown`, which is neither success nor failure.
 */
export async function readBackStart(
  env: Environment,
  vm: VmRecord,
  { target, evidence, oneLook }: StartOrder,
  sent: Sent,
): Promise<Started> {
  const { problem, askedBefore } = sent;
  if (problem === 'not-answered-yet') return { kind: 'not-read-yet', sent };
  const deadline = Date.now() + clusterById(env, vm.clusterId).policy.readBackDeadlineMs;
  // An order that was not sent says nothing of an earlier one, which may still be waiting there.
  const maybeWaiting = askedBefore || Context.current().info.attempt > 1;
  const notSent = problem?.kind === 'unreachable' || problem?.fault.code === 'PERMIT_REFUSED';
  let last: Fault =
    problem?.fault ?? fault('CALL_OUTCOME_UNKNOWN', { call: 'start', host: target, vm: vm.name });
  for (;;) {
    let restsAgain = false;
    try {
      const list = await env.lists.read(target);
      const seen = list.vms.find((v) => v.vmId === vm.vmId);
      if (seen?.state === 'running') return { kind: 'running' };
      const atRest = seen === undefined || isAtRest(seen.state);
      if (atRest && notSent && maybeWaiting) last = problem.fault;
      else if (atRest && problem?.kind === 'refused') return notStarted(vm, evidence, problem.fault);
      else if (atRest && problem?.kind === 'unreachable')
        return { kind: 'not-started', fault: problem.fault };
      else if (atRest && problem === undefined) {
        restsAgain = true;
        last = fault('START_REFUSED', {
          host: target,
          vm: vm.name,
          detail: 'it was started and is at rest again',
        });
      }
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      last = known;
    }
    if (oneLook === true) return { kind: 'not-read-yet', sent };
    if (Date.now() < deadline) {
      await pause(lookEveryMs);
      continue;
    }
    // Done by the host, and at rest ever since: it did not stay. Only an order from before could still be waiting there.
    if (restsAgain && !maybeWaiting) return { kind: 'not-started', fault: last };
    return { kind: 'unknown', fault: last };
  }
}

const uncapitalised = (sentence: string): string => sentence.charAt(0).toLowerCase() + sentence.slice(1);

/** A lock still held after a proven power-off contradicts the proof; without a proof it is a reason like any other. */
function notStarted(vm: VmRecord, evidence: readonly FenceEvidence[], why: Fault): Started {
  if (why.code === 'LOCK_HELD' && evidence.length > 0) return contradicted(vm, uncapitalised(why.sentence));
  return { kind: 'not-started', fault: why };
}

/**
 * No permit now. If the start may have been sent before (by an attempt whose worker died, or by one that was not answered), the order may
 * still be carried out, so that "not started" would be a guess.
 */
export async function withoutPermit(
  env: Environment,
  vm: VmRecord,
  basis: StartOrder,
  why: Fault,
): Promise<Started> {
  const { attempt, isLocal } = Context.current().info;
  // An attempt within a workflow task is forgotten with its worker: only the timeline knows of it.
  if (attempt === 1 && !isLocal && !basis.askedBefore) return { kind: 'not-started', fault: why };
  const sentence = startSentence(vm, basis.target);
  const sent = (await env.inventory.timeline(basis.incidentId)).some(
    (e) => e.kind === 'act' && e.sentence === sentence,
  );
  return sent
    ? readBackStart(env, vm, basis, {
        problem: undefined,
        askedBefore: true,
        once: `${vm.vmId}-${basis.target}-earlier`,
      })
    : { kind: 'not-started', fault: why };
}
