/** What a call's answer means for the act that it carried. */
import type { ActOutcome } from '../../activities/ports';
import { type Fault, fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import type { ObservedVm } from '../../domain/observations';
import type { VirshAnswer } from './virsh';
import { errorSentence, noSuchDomain } from './virsh-text';

export type Refusal = Extract<ActOutcome, { kind: 'refused' }>;
export const ok: ActOutcome = { kind: 'ok' };
export const refused = (why: Fault): Refusal => ({ kind: 'refused', fault: why });

/** `vm` is what people call it: it stands in the sentence. */
export function outcomeOf(
  answer: Exclude<VirshAnswer, { kind: 'answered' }> | ActOutcome,
  call: string,
  host: HostId,
  vm: string,
): ActOutcome {
  if ('fault' in answer || answer.kind === 'ok') return answer;
  switch (answer.kind) {
    case 'refused':
    case 'nobody':
    case 'not-sent':
      return { kind: 'unreachable', fault: fault('HYPERVISOR_UNREACHABLE', { host, detail: answer.detail }) };
    case 'silent':
    case 'broken':
    case 'cancelled':
      return {
        kind: 'unknown',
        fault: fault('CALL_OUTCOME_UNKNOWN', { call, host, vm, detail: answer.detail }),
      };
  }
}

/** What decides a start before it is sent; undefined when nothing stands in its way. */
export function settledBeforeStart(
  host: HostId,
  vm: string,
  before: { seen: ObservedVm | undefined },
): ActOutcome | undefined {
  const refuse = (detail: string): Refusal => refused(fault('START_REFUSED', { host, vm, detail }));
  const state = before.seen?.state;
  if (state === 'running') return ok;
  if (before.seen?.savedImage === true)
    return refuse(
      'a saved memory image of it lies there; restored onto a disk that went on without it, it would destroy it',
    );
  if (state === undefined || state === 'shut-off' || state === 'crashed') return undefined;
  return refuse(`it is ${state} (${before.seen?.reason ?? ''}) there already`);
}

/** What decides before a paused VM is let go on, or ended; undefined when it stands paused there. */
export function settledBeforeFreeing(
  host: HostId,
  vm: string,
  call: 'resume' | 'destroy',
  { seen }: { seen: ObservedVm | undefined },
): ActOutcome | undefined {
  if (seen?.state === 'paused') return undefined;
  const atRest = seen === undefined || seen.state === 'shut-off' || seen.state === 'crashed';
  if (call === 'destroy' ? atRest : seen?.state === 'running') return ok;
  const is = seen === undefined ? 'not there' : `${seen.state} (${seen.reason})`;
  return refused(fault('PAUSED_VM_REFUSED', { host, vm: seen?.name ?? vm, detail: `it is ${is}` }));
}

/** What became of a paused VM that was to go on, or to end: by what virsh said of the act, and of the VM right after it. */
export function freed(
  host: HostId,
  vm: string,
  call: 'resume' | 'destroy',
  answer: VirshAnswer | ActOutcome,
): ActOutcome {
  if (answer.kind !== 'answered') return outcomeOf(answer, call, host, vm);
  const { sections, errors } = answer;
  const state = (sections[1] ?? '').trim();
  if (call === 'resume') {
    // Where its disk still fails it stands paused again within milliseconds of having been let go on.
    if (/^running\b/.test(state) || (/^paused\b/.test(state) && errors === '')) return ok;
    // A transient one is gone with its process, and virsh says of it that there is no such domain.
  } else if (/^(shut off\b|$)/.test(state) && (errors === '' || noSuchDomain.test(errors))) return ok;
  const detail = errors === '' ? `it is "${state}" now` : errorSentence(errors);
  return refused(fault('PAUSED_VM_REFUSED', { host, vm, detail }));
}
