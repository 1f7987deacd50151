/** The way back of a repair: the disks as they were, then the guest as it was; and what that comes to. */
import { CancellationScope, isCancellation, TemporalFailure } from '@temporalio/workflow';
import { type Fault, fault } from '../domain/faults';
import { look, onDisks } from './activity-options';
import { faultOf } from './failures';
import { DidNotHelp, isOff, type Repair, stepOf, tell } from './repair-guest-run';
import { untilEnded } from './restart-vm';
import type { Attempt } from './restart-vm-ending';
import { waitForPerson } from './stuck-vm';

/** Every undo is tried whatever became of the others: none may come before the disks are as they were. */
export async function undoing(repair: Repair, undo: (repair: Repair) => Promise<void>): Promise<void> {
  repair.acting = false;
  if (undo !== goBack && repair.written && !repair.back)
    throw new Error('its disks are not as they were before');
  try {
    await undo(repair);
  } catch (error) {
    repair.undoFault ??= faultOf(error) ?? unnamed(repair, error);
    throw error;
  }
}

/** Of an activity that ended without saying why, as by its deadline; undefined for what is no end of an activity. */
function unnamed({ run, ready }: Repair, error: unknown): Fault | undefined {
  if (!(error instanceof TemporalFailure) || isCancellation(error)) return undefined;
  const detail = error.cause?.message ?? error.message;
  return fault('REPAIR_FAILED', { what: 'the way back', vm: run.input.name, host: ready.on, detail });
}

export async function goBack(repair: Repair): Promise<void> {
  if (!repair.written || repair.back) return;
  const { patienceMs } = repair;
  const order = stepOf(repair);
  await tell(repair, 'it goes back to its disks as they were before');
  await onDisks.stopForRepair({ ...order, ...(patienceMs !== undefined && { patienceMs }) });
  await onDisks.goBackToKept(order);
  repair.back = true;
}

export const drop = (repair: Repair): Promise<void> => onDisks.dropKept(stepOf(repair));

export async function startAgain(repair: Repair): Promise<void> {
  const { run, ready } = repair;
  repair.started = undefined;
  // It rested before, and rests now.
  if (!ready.runs) return;
  openForAbort(repair);
  run.target = isOff(repair) ? undefined : ready.on;
  repair.started = await untilEnded(run);
}

/** What was said is carried out: whoever says it again means what is done from now on. */
function openForAbort(repair: Repair): void {
  repair.aborted ??= repair.run.aborted;
  repair.run.aborted = undefined;
  repair.run.scope = new CancellationScope({ cancellable: true });
}

/** Set by an undo while others wait. */
const whyNotBack = (repair: Repair): Fault | undefined => repair.undoFault;

/** The way back stopped half way: a person decides, or its host answers again; then it goes on from what is read. Undefined once it is done. */
export async function untilBack(repair: Repair): Promise<Fault | undefined> {
  const { run, ready } = repair;
  const { vmId: vm, incidentId: incident } = run.input;
  for (;;) {
    const why = repair.undoFault;
    const kept = ready.kept.map((k) => k.kept).join(', ');
    const where = repair.written && !repair.back ? `; kept as they were before, on ${ready.on}: ${kept}` : '';
    const asked = fault('UNDO_FAILED', {
      vm,
      incident,
      detail: `${why?.sentence ?? 'not known why'}${where}`,
    });
    openForAbort(repair);
    const answersAgain = async (): Promise<boolean> =>
      why?.class === 'transient' && (await look.whereIsVm({ vmId: vm, target: ready.on })) === 'at-rest';
    if ((await waitForPerson(run, asked, answersAgain)) === 'give-up') return asked;
    repair.undoFault = undefined;
    try {
      for (const undo of [goBack, drop, startAgain]) await undoing(repair, undo);
      return undefined;
    } catch (error) {
      if (whyNotBack(repair) === undefined) throw error;
    }
  }
}

/** As it was before the repair; why that came to nothing is the news. */
export function afterWayBack(repair: Repair): Attempt {
  const { started, cause } = repair;
  const why = cause instanceof DidNotHelp ? cause.fault : (faultOf(cause) ?? stopped(repair, cause));
  if (why === undefined) throw cause;
  if (started === undefined) return { kind: 'over', phase: 'blocked', fault: why };
  if (started.kind !== 'up' || started.result.phase === 'running') return started;
  return { kind: 'up', result: { ...started.result, fault: why } };
}

function stopped(repair: Repair, cause: unknown): Fault | undefined {
  const { run, ready } = repair;
  const { name, vmId } = run.input;
  const said = repair.aborted ?? run.aborted;
  if (!isCancellation(cause)) return undefined;
  if (said !== undefined) return fault('ABORTED', { by: said.by, detail: said.reason, what: name, vm: vmId });
  if (!isOff(repair)) return undefined;
  return fault('REPAIR_FAILED', { what: 'the repair', vm: name, host: ready.on, detail: 'it has failed' });
}
