/**
 * A VM that its host has paused because its disk failed. Its process is there, holds its disks and may write again, so nothing is started beside
 * it: either it goes on where it stands, or its process is ended first and it starts like any VM that has crashed.
 */
import { type FenceEvidence, issueResumePermit } from '../domain/evidence';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { type HostVmList, isAtRest, type VmState } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { type Environment, lookEveryMs, nowIso, pause, recordedVm, signal, tell } from './environment';
import { faultOf } from './fault-boundary';
import type { ActOutcome } from './ports';
import { poolNotKnown } from './release';
import { permitFor } from './start-permit';

export type Freed =
  | { readonly kind: 'running' }
  /** Its process is gone: it may be started. */
  | { readonly kind: 'at-rest' }
  /** It stands as it stood, or nobody knows. */
  | { readonly kind: 'not-yet'; readonly why: string };

export interface FreeOrder {
  readonly vmId: VmId;
  readonly incidentId: IncidentId;
  readonly incidentBeganAt: string;
  readonly evidence: readonly FenceEvidence[];
  readonly on: HostId;
  readonly how: 'resume' | 'restart';
}

/** A guest whose disk still fails is paused again by its next write: it must be seen to run for as long. */
const runsForMs = 4 * lookEveryMs;
const looksMax = 8;

export const pausedVmActivities = (env: Environment) => ({
  async freePausedVm(order: FreeOrder): Promise<Freed> {
    const vm = await recordedVm(env, order.vmId);
    await mustBeArmed(env, vm.clusterId);
    return order.how === 'resume' ? resumed(env, vm, order) : ended(env, vm, order);
  },
});

async function resumed(env: Environment, vm: VmRecord, order: FreeOrder): Promise<Freed> {
  const { on, incidentId } = order;
  const basis = { ...order, afterRetry: false };
  const answer = await permitFor(env, vm, on, basis, issueResumePermit);
  if ('running' in answer)
    return answer.running === on
      ? { kind: 'running' }
      : { kind: 'not-yet', why: `it runs on ${answer.running} as well as standing paused on ${on}` };
  if ('refused' in answer) return { kind: 'not-yet', why: answer.refused.sentence };
  const sentence = `${vm.name} (${vm.vmId}): let it go on, on ${on}`;
  await tell(env, incidentId, `resume-${nowIso()}`, 'act', sentence, { ...answer.permit });
  const outcome = await env.hypervisor.resume(answer.permit, signal());
  for (let look = 0; look < looksMax; look += 1) {
    const state = await stateOn(env, vm, on);
    if (state === 'running') {
      await pause(runsForMs);
      const later = await stateOn(env, vm, on);
      if (later === 'running') return { kind: 'running' };
      return { kind: 'not-yet', why: `it went on, and is ${later} again: its disk still fails` };
    }
    if (state === 'at-rest') return { kind: 'at-rest' };
    if (outcome.kind !== 'ok' && outcome.kind !== 'unknown') break;
    await pause(lookEveryMs);
  }
  return { kind: 'not-yet', why: whyNot(outcome, 'it went on, and is paused again: its disk still fails') };
}

async function ended(env: Environment, vm: VmRecord, { on, incidentId }: FreeOrder): Promise<Freed> {
  // It could not be started again, on no host: as it stands a person can still let it go on.
  const never = poolNotKnown(vm);
  if (never !== undefined) return { kind: 'not-yet', why: never.sentence };
  const sentence = `${vm.name} (${vm.vmId}): end its paused process on ${on}, to start it anew`;
  await tell(env, incidentId, `end-${nowIso()}`, 'act', sentence);
  const outcome = await env.hypervisor.endPaused(on, vm.vmId, signal());
  for (let look = 0; look < looksMax; look += 1) {
    const state = await stateOn(env, vm, on);
    if (state === 'at-rest') return { kind: 'at-rest' };
    if (state === 'running') return { kind: 'running' };
    if (outcome.kind !== 'ok' && outcome.kind !== 'unknown') break;
    await pause(lookEveryMs);
  }
  return { kind: 'not-yet', why: whyNot(outcome, `its process on ${on} is not ended`) };
}

const whyNot = (outcome: ActOutcome, otherwise: string): string =>
  outcome.kind === 'ok' ? otherwise : outcome.fault.sentence;

async function stateOn(env: Environment, vm: VmRecord, host: HostId): Promise<VmState | 'at-rest'> {
  let list: HostVmList;
  try {
    list = await env.lists.read(host);
  } catch (error) {
    if (faultOf(error) === undefined) throw error;
    return 'unknown';
  }
  const seen = list.vms.find((v) => v.vmId === vm.vmId);
  return seen === undefined || isAtRest(seen.state) ? 'at-rest' : seen.state;
}
