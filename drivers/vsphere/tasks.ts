/** Tasks: what they say of themselves, waiting for news of one, asking one to stop. All of it is a hint; disks are read. */
import { isFault, NoAnswer, VimFault } from './errors';
import type { AskOptions, Session } from './session';
import {
  booleanAt,
  child,
  children,
  group,
  leaf,
  type MoRef,
  numberAt,
  reference,
  refAt,
  refsIn,
  textAt,
  type XmlNode,
  xsiTypeOf,
} from './xml';

export interface TaskInfo {
  readonly ref: MoRef;
  readonly state: 'queued' | 'running' | 'success' | 'error';
  readonly percent: number | undefined;
  readonly cancelable: boolean;
  readonly cancelled: boolean;
  readonly entity: MoRef | undefined;
  /** For instance `VirtualMachine.relocate`. */
  readonly what: string;
  readonly queuedAt: string;
  /** The user who started it; undefined for what vCenter, a schedule or an alarm started. */
  readonly startedBy: string | undefined;
  readonly error:
    { readonly type: string; readonly said: string; readonly detail: XmlNode | undefined } | undefined;
  readonly result: XmlNode | undefined;
}

export const isOver = (task: TaskInfo): boolean => task.state === 'success' || task.state === 'error';

function taskInfoOf(node: XmlNode): TaskInfo {
  const error = child(node, 'error');
  const typed = child(error, 'fault');
  return {
    ref: refAt(node, 'task') ?? { type: 'Task', value: textAt(node, 'key') ?? '' },
    state: textAt(node, 'state') as TaskInfo['state'],
    percent: numberAt(node, 'progress'),
    cancelable: booleanAt(node, 'cancelable') ?? false,
    cancelled: booleanAt(node, 'cancelled') ?? false,
    entity: refAt(node, 'entity'),
    what: textAt(node, 'descriptionId') ?? '',
    queuedAt: textAt(node, 'queueTime') ?? '',
    startedBy: textAt(node, 'reason', 'userName'),
    result: child(node, 'result'),
    error:
      error === undefined
        ? undefined
        : {
            type: xsiTypeOf(typed) ?? 'untyped fault',
            said: textAt(error, 'localizedMessage') ?? '',
            detail: typed,
          },
  };
}

/** The task's fault as one thrown, for callers to whom only success is an answer. */
export const taskFault = (task: TaskInfo, method: string): VimFault =>
  new VimFault(task.error?.type ?? 'untyped fault', method, task.error?.detail);

/** Undefined when nobody knows the task any more: vCenter restarted, or some ten minutes passed. Its work may go on. */
export async function readTask(
  session: Session,
  task: MoRef,
  options: AskOptions = {},
): Promise<TaskInfo | undefined> {
  try {
    const info = (await session.retrieveOne(task, ['info'], options)).get('info');
    if (info === undefined) throw new NoAnswer('RetrievePropertiesEx', true, `${task.value} has no info`);
    return taskInfoOf(info);
  } catch (error) {
    if (isFault(error, 'ManagedObjectNotFound')) return undefined;
    throw error;
  }
}

/**
 * The task as it is after its next change, or after `waitMs` without one. What it makes at the server dies with the session; then the
 * task's present state is as good an answer.
 */
export async function nextOfTask(
  session: Session,
  task: MoRef,
  waitMs: number,
  signal: AbortSignal,
): Promise<TaskInfo | undefined> {
  const now = await readTask(session, task, { signal });
  if (now === undefined || isOver(now) || waitMs < 1_000) return now;
  await untilChanged(session, task, waitMs, signal);
  return readTask(session, task, { signal });
}

async function untilChanged(
  session: Session,
  task: MoRef,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const used = session.token;
  let collector: MoRef | undefined;
  try {
    const content = await session.content(signal);
    const made = await session.act('CreatePropertyCollector', content.ref('propertyCollector'), [], {
      signal,
    });
    collector = refAt(made, 'returnval');
    if (collector === undefined) return;
    const paths = ['info.state', 'info.progress', 'info.cancelled'].map((p) => leaf('pathSet', p));
    const spec = group('spec', [
      group('propSet', [leaf('type', 'Task'), paths]),
      group('objectSet', [reference('obj', task)]),
    ]);
    await session.act('CreateFilter', collector, [spec, leaf('partialUpdates', false)], { signal });
    // The first answer is what is so now, and it may have ended before the filter was there; the second waits for news.
    const version = await waitForUpdates(session, collector, '', 1, signal);
    const now = await readTask(session, task, { signal });
    if (now === undefined || isOver(now)) return;
    await waitForUpdates(session, collector, version, Math.ceil(waitMs / 1_000), signal);
  } catch (error) {
    if (isFault(error, 'NotAuthenticated')) return await session.renew(used, signal);
    // The collector, or the task itself, has gone: the read that follows tells which.
    if (!isFault(error, 'ManagedObjectNotFound')) throw error;
  } finally {
    // Left behind it dies with the session.
    if (collector !== undefined)
      await session.act('DestroyPropertyCollector', collector, []).catch(() => undefined);
  }
}

async function waitForUpdates(
  session: Session,
  collector: MoRef,
  version: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<string> {
  const answer = await session.act(
    'WaitForUpdatesEx',
    collector,
    [leaf('version', version), group('options', [leaf('maxWaitSeconds', waitSeconds)])],
    { signal, deadlineMs: waitSeconds * 1_000 + 20_000 },
  );
  // No set at all: the round passed and nothing changed.
  return textAt(answer, 'returnval', 'version') ?? version;
}

/** Until it is over. @throws NoAnswer when it was forgotten or is not over in time. */
export async function endOfTask(
  session: Session,
  task: MoRef,
  { withinMs, signal, method }: { withinMs: number; signal: AbortSignal; method: string },
): Promise<TaskInfo> {
  const until = Date.now() + withinMs;
  for (;;) {
    const info = await nextOfTask(
      session,
      task,
      Math.min(5_000, Math.max(1_000, until - Date.now())),
      signal,
    );
    if (info === undefined) throw new NoAnswer(method, true, 'its task was forgotten before it ended');
    if (isOver(info)) return info;
    if (Date.now() > until) throw new NoAnswer(method, true, `its task was not over in ${withinMs} ms`);
  }
}

/** Tasks that vCenter still shows at the object, queued and running ones included. */
export async function recentTasks(
  session: Session,
  entity: MoRef,
  options: AskOptions = {},
): Promise<TaskInfo[]> {
  const read = await session.retrieveOne(entity, ['recentTask'], options);
  const infos = await Promise.all(
    refsIn(read.get('recentTask')).map((ref) => readTask(session, ref, options)),
  );
  return infos.flatMap((info) => info ?? []);
}

const historyPage = 100;

/** The object's tasks queued since then (vCenter's own clock), ended ones included, from the history. */
export async function tasksSince(
  session: Session,
  entity: MoRef,
  since: Date,
  options: AskOptions = {},
): Promise<TaskInfo[]> {
  return session.reading(options.signal, async () => {
    const content = await session.content(options.signal);
    const filter = group('filter', [
      group('entity', [reference('entity', entity), leaf('recursion', 'self')]),
      group('time', [leaf('timeType', 'queuedTime'), leaf('beginTime', since.toISOString())]),
    ]);
    const made = await session.act('CreateCollectorForTasks', content.ref('taskManager'), [filter], options);
    const collector = refAt(made, 'returnval');
    if (collector === undefined) throw new NoAnswer('CreateCollectorForTasks', true, 'it names no collector');
    try {
      const page = await session.act('ReadNextTasks', collector, [leaf('maxCount', historyPage)], options);
      return children(page, 'returnval').map(taskInfoOf);
    } finally {
      // Left behind it dies with the session.
      await session.act('DestroyCollector', collector, []).catch(() => undefined);
    }
  });
}

/** Asks it to stop. `false`: it is over already, or cannot be stopped. That it was asked says nothing about its end. */
export async function cancelTask(session: Session, task: MoRef, signal: AbortSignal): Promise<boolean> {
  try {
    await session.act('CancelTask', task, [], { signal });
    return true;
  } catch (error) {
    if (
      error instanceof VimFault &&
      ['InvalidState', 'NotSupported', 'ManagedObjectNotFound'].includes(error.type)
    )
      return false;
    throw error;
  }
}
