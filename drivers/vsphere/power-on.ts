/** Switching a VM on, once, and the one question that may be answered for a person. */
import type { ActOutcome } from '../../activities/ports';
import { fault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { outcomeOfFailure } from './act-outcomes';
import { hostPath } from './datastores';
import { detailOf, saysNo } from './driver-faults';
import { isFault, VimFault } from './errors';
import type { HostView } from './host-views';
import { isOver, nextOfTask, type TaskInfo } from './tasks';
import type { VimVm } from './virtual-machines';
import type { Vcenter } from './vcenter';
import { children, leaf, type MoRef, reference, refOf, textAt, textOf, child, type XmlNode } from './xml';

const startMs = 60_000;
/** A question is looked for this often: until it is answered the start stands still. */
const lookEveryMs = 1_000;

export interface ToStart {
  readonly host: HostId;
  readonly view: HostView;
  readonly vm: VimVm;
}

export async function powerOn(vcenter: Vcenter, what: ToStart, signal: AbortSignal): Promise<ActOutcome> {
  const { host, vm, view } = what;
  let ended: TaskInfo | undefined;
  let asked: string | undefined;
  let error: unknown;
  let sent = false;
  try {
    const task = await vcenter.session.submit('PowerOnVM_Task', vm.ref, [reference('host', view.ref)], {
      signal,
    });
    sent = true;
    ({ ended, asked } = await started(vcenter, task, vm.ref, signal));
  } catch (cause) {
    error = cause;
  }
  if (await runsOn(vcenter, vm, view, signal)) return { kind: 'ok' };
  if (asked !== undefined)
    return { kind: 'unknown', fault: fault('VM_ASKS', { vm: vm.name, host, question: asked }) };
  const said =
    error ??
    (ended?.error === undefined
      ? undefined
      : new VimFault(ended.error.type, 'PowerOnVM_Task', ended.error.detail));
  if (isFault(said, 'FileLocked')) {
    const path = hostPath(said.file ?? vm.disks[0]?.file ?? '');
    return {
      kind: 'refused',
      fault: fault('LOCK_HELD', { vm: vm.name, host, path, holder: 'another host' }),
    };
  }
  // Whatever broke off afterwards: the start had been ordered.
  if (sent && error !== undefined) return { kind: 'unknown', fault: outcomeOfFailure(error, vcenter).fault };
  if (saysNo(said))
    return {
      kind: 'refused',
      fault: fault('START_REFUSED', { host, vm: vm.name, detail: `vCenter says ${detailOf(said)}` }),
    };
  if (said !== undefined) return outcomeOfFailure(said, vcenter);
  const detail =
    ended === undefined
      ? 'its task was not over in time'
      : 'its task ended well, and it does not run, or not as the VM that it was';
  return {
    kind: 'unknown',
    fault: fault('CALL_OUTCOME_UNKNOWN', { call: 'PowerOnVM_Task', host, vm: vm.name, detail }),
  };
}

async function started(
  vcenter: Vcenter,
  task: MoRef,
  vm: MoRef,
  signal: AbortSignal,
): Promise<{ ended: TaskInfo | undefined; asked: string | undefined }> {
  const { session } = vcenter;
  const until = Date.now() + startMs;
  while (Date.now() < until) {
    const question = (await session.retrieveOne(vm, ['runtime.question'], { signal })).get(
      'runtime.question',
    );
    const asked = question === undefined ? undefined : questionIn(question);
    if (asked?.moved !== undefined) await answer(vcenter, vm, asked.id, asked.moved, signal);
    else if (asked !== undefined) return { ended: undefined, asked: asked.text };
    const info = await nextOfTask(session, task, lookEveryMs, signal);
    if (info === undefined || isOver(info)) return { ended: info, asked: undefined };
  }
  return { ended: undefined, asked: undefined };
}

interface Question {
  readonly id: string;
  readonly text: string;
  /** The choice "I moved it", when that is what is asked. */
  readonly moved: string | undefined;
}

function questionIn(node: XmlNode): Question | undefined {
  const id = textAt(node, 'id');
  if (id === undefined || id === '') return undefined;
  const text = textAt(node, 'text') ?? '';
  const ids = children(node, 'message').map((m) => textAt(m, 'id') ?? '');
  const aboutUuid = [text, ...ids].some((t) => t.includes('msg.uuid.altered'));
  const moved = children(child(node, 'choice'), 'choiceInfo').find((c) =>
    ['label', 'summary'].some((field) => (textAt(c, field) ?? '').includes('button.uuid.movedTheVM')),
  );
  return { id, text, moved: aboutUuid ? textAt(moved, 'key') : undefined };
}

/** Answered already is as good; on a session that had ended it is asked again. */
async function answer(
  vcenter: Vcenter,
  vm: MoRef,
  id: string,
  choice: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await vcenter.session.act('AnswerVM', vm, [leaf('questionId', id), leaf('answerChoice', choice)], {
      signal,
    });
  } catch (error) {
    const known = ['InvalidArgument', 'ConcurrentAccess', 'NotAuthenticated'];
    if (!(error instanceof VimFault) || !known.includes(error.type)) throw error;
  }
}

/** That it runs there, and that it is still the same VM: one that was told that it is a copy has another UUID. */
async function runsOn(
  vcenter: Vcenter,
  { ref, instanceUuid }: VimVm,
  host: HostView,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const read = await vcenter.session.retrieveOne(
      ref,
      ['runtime.powerState', 'runtime.host', 'runtime.connectionState', 'config.instanceUuid'],
      { signal },
    );
    return (
      textOf(read.get('runtime.powerState')) === 'poweredOn' &&
      textOf(read.get('runtime.connectionState')) === 'connected' &&
      textOf(read.get('config.instanceUuid')) === instanceUuid &&
      refOf(read.get('runtime.host'))?.value === host.ref.value
    );
  } catch {
    // Not read is not running: what the act itself came to decides, and that is never "done".
    return false;
  }
}
