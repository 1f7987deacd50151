/** Repairs of guests that come to every ending. */
import { workflowIds } from '../../domain/ids';
import { resolveStuckUpdate } from '../../workflows/messages';
import { becomeUnwell, diskOf, looked, repair } from '../support/repairs';
import { eventually, said, untilVmPhase } from '../support/story';
import { ended, handle, type Story } from './story';

const failing = (what: string) =>
  ({
    kind: 'fail-before',
    fault: { code: 'REPAIR_FAILED', facts: { what, vm: 'vm', host: 'hv', detail: 'on order' } },
  }) as const;

export const repairStories: Readonly<Record<string, Story>> = {
  'a guest that is repaired, one that is not helped, one at rest, one rehearsed': {
    options: looked,
    async tell(s) {
      await becomeUnwell(s, 'vm-001', 'mendable');
      const rehearsal = await repair(s, 'vm-001', { mode: 'rehearse' });
      await ended(rehearsal);
      const helped = await repair(s, 'vm-001');
      await ended(helped);
      await becomeUnwell(s, 'vm-002', undefined);
      const notHelped = await repair(s, 'vm-002');
      await ended(notHelped);
      s.controls.shutDownGuest(s.host('c'), s.vm('vm-003'));
      s.controls.damageDisk(diskOf(s, 'vm-003'), 'beyond');
      const resting = await repair(s, 'vm-003');
      await ended(resting);
      return [
        { pins: 'rehearsed', run: rehearsal },
        { pins: 'running', run: helped },
        { pins: 'back-after-a-start', run: notHelped },
        { pins: 'compensated-at-rest', run: resting },
      ];
    },
  },
  'a repair whose way back fails and is given up, and one that is cancelled': {
    options: looked,
    async tell(s) {
      await becomeUnwell(s, 'vm-001', 'beyond');
      s.controls.addRule({
        ...{ id: 'no-way-back', port: 'guestRepair', call: 'goBack' },
        then: failing('going back'),
      });
      const stuck = await repair(s, 'vm-001');
      await untilVmPhase(stuck, 'stuck');
      await stuck.executeUpdate(resolveStuckUpdate, {
        args: [{ ...said('I see to it'), resolution: 'give-up' }],
      });
      await ended(stuck);
      s.controls.clearRule('no-way-back');
      await becomeUnwell(s, 'vm-002', 'mendable');
      s.controls.addRule({
        ...{ id: 'slow', port: 'guestRepair', call: 'mend' },
        then: { kind: 'delay', ms: 500 },
      });
      const cancelled = await repair(s, 'vm-002');
      await eventually('it mends', () => s.controls.struck('slow') > 0);
      await cancelled.cancel();
      await ended(cancelled);
      return [
        { pins: 'given-up', run: stuck },
        { pins: 'cancelled', run: cancelled },
      ];
    },
  },
  'a restart that goes on as a repair, where an operator has switched that on': {
    options: { ...looked, guestRepair: 'automatic' },
    async tell(s) {
      s.controls.crashGuest(s.host('a'), s.vm('vm-001'));
      s.controls.damageDisk(diskOf(s, 'vm-001'), 'mendable');
      const first = await s.restartVm('vm-001', { target: s.host('a') });
      await ended(first);
      const { workflowId } = first;
      const history = await first.fetchHistory();
      const runId = history.events?.[0]?.workflowExecutionStartedEventAttributes?.firstExecutionRunId ?? '';
      return [
        { pins: 'continued-as-a-repair', run: s.client.workflow.getHandle(workflowId, runId) },
        { pins: 'running-after-a-restart', run: handle(s, workflowIds.vm(s.vm('vm-001'))) },
      ];
    },
  },
};
