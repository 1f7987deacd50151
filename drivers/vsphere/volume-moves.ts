/**
 * Moving disks by vCenter's own relocation.
 *
 * INVARIANTS:
 * - RelocateVM_Task is sent once per `submit`. It is not idempotent, and nothing here sends it again.
 * - Every disk has a locator of its own in the specification, also those that stay: nothing is left to a default.
 * - `classify` asks no task how it went.
 */
import type {
  ActOutcome,
  FoundTask,
  MoveDirection,
  MoveKnown,
  Preflight,
  Submitted,
  VolumeMovesPort,
} from '../../activities/ports';
import { DriverFault, type Fault, fault } from '../../domain/faults';
import type { Timestamp } from '../../domain/observations';
import type {
  BeforeImage,
  Leftover,
  MoveOrder,
  MoveTask,
  MoveVerdict,
  TaskState,
} from '../../domain/volume-move';
import { outcomeOfFailure } from './act-outcomes';
import { definitionText, shapeOf } from './definitions';
import { hostPath, splitPath } from './datastores';
import { asDriverFault, detailOf } from './driver-faults';
import { isFault, VimFault } from './errors';
import { findMove } from './move-find';
import { imageOf, specFor, vmOfOrder, wantedOf } from './move-image';
import { judgedVm, observe, type Observed } from './move-reading';
import { judgeDisks, type LeftFile, sourceStays } from './move-verdict';
import { checkMove } from './preflight';
import { removeLeftovers } from './remove-leftovers';
import { cancelTask, isOver, nextOfTask, readTask } from './tasks';
import { findVm, readVm, type VimVm } from './virtual-machines';
import { type Vcenters, type Vcenter } from './vcenter';
import { leaf, type MoRef } from './xml';

const submitMs = 60_000;
const ok: ActOutcome = { kind: 'ok' };

export interface MoveTiming {
  /** Between the two readings that a verdict other than MOVED rests on: a sign of work may lag behind the work. */
  readonly settleMs: number;
}

export function createVolumeMoves(
  vcenters: Vcenters,
  timing: MoveTiming = { settleMs: 2_000 },
): VolumeMovesPort {
  return new VolumeMoves(vcenters, timing);
}

class VolumeMoves implements VolumeMovesPort {
  constructor(
    private readonly vcenters: Vcenters,
    private readonly timing: MoveTiming,
  ) {}

  async preflight(order: MoveOrder, signal: AbortSignal): Promise<Preflight> {
    const vcenter = this.vcenters.of(order.hostId);
    return vcenter.look(signal, () => checkMove(vcenter, order, signal));
  }

  async submit(before: BeforeImage, direction: MoveDirection, signal: AbortSignal): Promise<Submitted> {
    const vcenter = this.vcenters.of(before.order.hostId);
    const told = (kind: 'refused' | 'unreachable' | 'unknown', why: Fault): Submitted => ({
      kind,
      fault: why,
    });
    let vm: VimVm | undefined;
    try {
      vm = await vcenter.look(signal, () => this.vmOf(vcenter, before, signal));
    } catch (error) {
      const why = driverFaultOf(error);
      if (why === undefined) throw error;
      return told(why.class === 'permanent' ? 'refused' : 'unreachable', why);
    }
    if (vm === undefined)
      return told(
        'refused',
        fault('VM_NOT_IN_INVENTORY', {
          vm: before.name,
          detail: `files named last: ${pathsOf(before).join(', ')}`,
        }),
      );
    const spec = specFor(before, vm, direction);
    if ('hindrance' in spec)
      return told('refused', fault('MOVE_REFUSED', { vm: before.name, detail: spec.hindrance }));
    return this.send(vcenter, before, vm.ref, spec.xml, signal);
  }

  async find(
    before: BeforeImage,
    _direction: MoveDirection,
    since: Timestamp,
    signal: AbortSignal,
  ): Promise<FoundTask> {
    return findMove(this.vcenters.of(before.order.hostId), before, since, signal);
  }

  async follow(
    before: BeforeImage,
    task: MoveTask,
    roundMs: number,
    signal: AbortSignal,
  ): Promise<TaskState> {
    const vcenter = this.vcenters.of(before.order.hostId);
    const info = await asDriverFault(vcenter.site, () =>
      vcenter.inTurn('wait', signal, () => nextOfTask(vcenter.session, taskRef(task), roundMs, signal)),
    );
    if (info === undefined) return { kind: 'forgotten' };
    if (!isOver(info)) return { kind: 'running', percent: info.percent };
    if (info.state === 'success') return { kind: 'ended', says: 'done', fault: undefined };
    const says = info.error?.type === 'RequestCanceled' ? 'cancelled' : 'failed';
    const detail =
      info.error === undefined
        ? 'no reason given'
        : detailOf(new VimFault(info.error.type, '', info.error.detail));
    return {
      kind: 'ended',
      says,
      fault: fault('MOVE_NOT_DONE', { vm: before.name, detail: `vCenter's task says ${detail}` }),
    };
  }

  async cancel(before: BeforeImage, task: MoveTask, signal: AbortSignal): Promise<ActOutcome> {
    const vcenter = this.vcenters.of(before.order.hostId);
    try {
      const taken = await vcenter.inTurn('act', signal, () =>
        cancelTask(vcenter.session, taskRef(task), signal),
      );
      if (taken) return ok;
      const info = await vcenter.look(signal, () => readTask(vcenter.session, taskRef(task), { signal }));
      if (info === undefined || isOver(info)) return ok;
      return {
        kind: 'refused',
        fault: fault('MOVE_STILL_RUNNING', {
          vm: before.name,
          detail: 'vCenter does not let it be cancelled',
        }),
      };
    } catch (error) {
      return outcomeOfFailure(error, vcenter);
    }
  }

  /** vCenter switches by itself, at the end of its task. */
  switchOver(): Promise<ActOutcome> {
    return Promise.resolve(ok);
  }

  /** No guest is made to stand still for a relocation. */
  letGo(): Promise<ActOutcome> {
    return Promise.resolve(ok);
  }

  async classify(before: BeforeImage, known: MoveKnown, signal: AbortSignal): Promise<MoveVerdict> {
    const first = await this.verdict(before, known, signal);
    if (first.kind !== 'PARTIAL' && first.kind !== 'NOT_MOVED' && first.kind !== 'DISK_MISSING') return first;
    await pause(this.timing.settleMs, signal);
    const second = await this.verdict(before, known, signal);
    if (JSON.stringify(second) === JSON.stringify(first) || second.kind === 'MOVED') return second;
    return second.kind === first.kind
      ? { kind: 'IN_PROGRESS', detail: 'two readings in a row differ' }
      : second;
  }

  async remove(
    before: BeforeImage,
    leftovers: readonly Leftover[],
    signal: AbortSignal,
  ): Promise<ActOutcome> {
    const vcenter = this.vcenters.of(before.order.hostId);
    try {
      return await vcenter.inTurn('act', signal, () => removeLeftovers(vcenter, before, leftovers, signal));
    } catch (error) {
      return outcomeOfFailure(error, vcenter);
    }
  }

  private async verdict(before: BeforeImage, known: MoveKnown, signal: AbortSignal): Promise<MoveVerdict> {
    const vcenter = this.vcenters.of(before.order.hostId);
    const off = new Set(known.proofs.map((p) => p.hostId));
    let seen: Observed;
    try {
      seen = await vcenter.look(signal, () => observe(vcenter, wantedOf(before), (h) => off.has(h), signal));
    } catch (error) {
      const why = driverFaultOf(error);
      if (why === undefined) throw error;
      return { kind: 'UNKNOWN', fault: why };
    }
    switch (seen.kind) {
      case 'missing':
        return { kind: 'VM_MISSING', paths: eitherFolder(vcenter, before), detail: seen.detail };
      case 'busy':
        return { kind: 'IN_PROGRESS', detail: seen.detail };
      case 'unknown':
        return notKnown(before, seen.detail);
      case 'read':
        return this.judged(vcenter, before, seen);
    }
  }

  private judged(
    vcenter: Vcenter,
    before: BeforeImage,
    seen: Extract<Observed, { kind: 'read' }>,
  ): MoveVerdict {
    const { vm, host, files, stores } = seen;
    const told = judgeDisks(imageOf(before), judgedVm(before.name, seen), files);
    if (told.at === 'unknown') return notKnown(before, told.detail);
    if (told.at === 'disk-missing') {
      const { paths, detail } = told;
      // Its process still has the file: a person must see to it before anything ends that process.
      return vm.power === 'poweredOff'
        ? { kind: 'DISK_MISSING', paths, detail }
        : notKnown(before, `it runs, and ${detail}: keep it running`);
    }
    const found = {
      disks: vm.disks.map((d) => {
        const poolId = vcenter.poolOfDatastore(splitPath(d.file)?.datastore ?? '');
        return { disk: d.uuid, at: { poolId, path: hostPath(d.file), format: 'vmdk' } };
      }),
      vm: { hostId: host, text: definitionText(vcenter, vm), shape: shapeOf(vcenter, vm) },
      leftovers: told.leftovers.map((l) => leftoverOf(vcenter, stores, l)),
    };
    if (told.at === 'partial') return { kind: 'PARTIAL', ...found, detail: told.detail };
    return { kind: told.at === 'moved' ? 'MOVED' : 'NOT_MOVED', ...found };
  }

  private async vmOf(vcenter: Vcenter, before: BeforeImage, signal: AbortSignal): Promise<VimVm | undefined> {
    const ref = await findVm(vcenter.session, vmOfOrder(before), { signal });
    return ref === undefined ? undefined : readVm(vcenter.session, ref, { signal });
  }

  private async send(
    vcenter: Vcenter,
    before: BeforeImage,
    vm: MoRef,
    spec: string,
    signal: AbortSignal,
  ): Promise<Submitted> {
    const options = { signal, deadlineMs: submitMs, operationId: `vmedic-${before.order.attempt}` };
    try {
      const task = await vcenter.inTurn('act', signal, () =>
        vcenter.session.submit('RelocateVM_Task', vm, [spec, leaf('priority', 'defaultPriority')], options),
      );
      return { kind: 'accepted', task: { id: task.value } };
    } catch (error) {
      // An earlier sending of ours may be what is under way: it is looked for.
      if (isFault(error, 'TaskInProgress'))
        return {
          kind: 'unknown',
          fault: fault('MOVE_STILL_RUNNING', {
            vm: before.name,
            detail: 'vCenter says that another task is at work on it',
          }),
        };
      const outcome = outcomeOfFailure(error, vcenter);
      if (outcome.kind !== 'refused' || !(error instanceof VimFault)) return outcome;
      const told =
        outcome.fault.code === 'VCENTER_REFUSED'
          ? fault('MOVE_REFUSED', { vm: before.name, detail: `vCenter says ${detailOf(error)}` })
          : outcome.fault;
      return { kind: 'refused', fault: told };
    }
  }
}

const taskRef = (task: MoveTask): MoRef => ({ type: 'Task', value: task.id });
const pathsOf = (before: BeforeImage): string[] => before.disks.map((d) => d.at.path);
/** vCenter chooses the names at the new place: its folder there is named. */
function eitherFolder(vcenter: Vcenter, before: BeforeImage): string[] {
  const targets = before.disks
    .flatMap((d) => d.wanted?.poolId ?? [])
    .map((pool) => vcenter.datastoreOf(pool));
  const folders = targets.flatMap((t) => (t === undefined ? [] : [hostPath(`[${t}] ${before.name}/`)]));
  return [...new Set([...pathsOf(before), ...folders])];
}

const notKnown = (before: BeforeImage, detail: string): MoveVerdict => ({
  kind: 'UNKNOWN',
  fault: fault('MOVE_NOT_KNOWN', { vm: before.name, detail }),
});

function leftoverOf(
  vcenter: Vcenter,
  stores: readonly { ref: MoRef; name: string }[],
  left: LeftFile,
): Leftover {
  const name = stores.find((s) => s.ref.value === left.datastore)?.name ?? left.datastore;
  return {
    ...{ poolId: vcenter.poolOfDatastore(name), path: hostPath(`[${name}] ${left.path}`), what: left.what },
    ...(left.what === 'source' && { stays: sourceStays }),
  };
}

const driverFaultOf = (error: unknown): Fault | undefined =>
  error instanceof DriverFault ? error.fault : undefined;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
