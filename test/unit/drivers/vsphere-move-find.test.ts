/** Which of a VM's tasks was begun by an order of ours: nothing else is followed, and nothing else is cancelled. */
import { amongTasks } from '../../../drivers/vsphere/move-find';
import type { TaskInfo } from '../../../drivers/vsphere/tasks';

const intentAt = Date.parse('2026-05-01T12:00:00.000Z');
const order = { from: new Date(intentAt - 1_000), user: 'VSPHERE.LOCAL\\vmedic' };
const task = (id: string, more: Partial<TaskInfo> & { readonly afterMs?: number } = {}): TaskInfo => ({
  ...{ ref: { type: 'Task', value: id }, state: 'running', percent: 10, cancelable: true, cancelled: false },
  ...{ entity: undefined, what: 'VirtualMachine.relocate', startedBy: 'VSPHERE.LOCAL\\vmedic' },
  ...{ error: undefined, result: undefined, ...more },
  queuedAt: new Date(intentAt + (more.afterMs ?? 100)).toISOString(),
});

it.each(['VSPHERE.LOCAL\\vmedic', 'vmedic@vsphere.local', 'VSPHERE\\VMEDIC', 'vmedic'])(
  'takes a relocation for its own that %s ordered since',
  (startedBy) => {
    expect(amongTasks('web', [task('task-1', { startedBy })], order)).toEqual({
      ...{ kind: 'found', task: { id: 'task-1' } },
    });
  },
);

it('takes the newest of its own, so that the way there is not taken for the way back', () => {
  const tasks = [task('task-2', { afterMs: 300 }), task('task-1', { state: 'success' })];
  expect(amongTasks('web', tasks, order)).toMatchObject({ task: { id: 'task-2' } });
});

it.each([
  ['a person ordered', task('t', { startedBy: 'VSPHERE.LOCAL\\Administrator' })],
  ['somebody of that name in another domain ordered', task('t', { startedBy: 'CORP\\vmedic' })],
  ['DRS began by itself', task('t', { startedBy: undefined })],
  ['was under way before the order was written down', task('t', { afterMs: -1_500 })],
])('calls a relocation somebody else’s that %s', (_, other) => {
  expect(amongTasks('web', [other], order)).toMatchObject({
    ...{ kind: 'foreign', fault: { code: 'MOVE_BUSY' } },
  });
});

it('finds nothing among tasks that are over, or are no relocation and over, and never calls that repeatable', () => {
  const snapshot = task('t', { what: 'VirtualMachine.createSnapshot', state: 'success' });
  const tasks = [task('u', { startedBy: 'CORP\\backup', state: 'error' }), snapshot];
  expect(amongTasks('web', tasks, order)).toEqual({ kind: 'nothing', repeatable: false });
});
