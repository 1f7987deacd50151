/** Moves of disks that come to every ending. */
import * as messages from '../../workflows/messages';
import { untilMovePhase } from '../support/moves';
import { said } from '../support/story';
import { ended, handle, type Story } from './story';

export const moveStories: Readonly<Record<string, Story>> = {
  'disks moved by order and by a manager, a stopped VM’s, and one whose answers were lost': {
    options: { secondPool: true, storage: 'dir' },
    async tell(s) {
      const running = await s.migrateVolume('vm-001');
      await ended(running);
      s.controls.shutDownGuest(s.host('b'), s.vm('vm-002'));
      s.controls.addRule({
        ...{ id: 'lost', port: 'volumeMoves', call: 'submit', times: 1 },
        then: { kind: 'outcome-unknown', effect: true },
      });
      const stopped = await s.migrateVolume('vm-002');
      await ended(stopped);
      return [
        { pins: 'moved', run: running },
        { pins: 'moved-after-a-lost-answer', run: stopped },
      ];
    },
  },
  'moves of a manager that lies: half made and taken back, made in spite of its word, given up, cancelled': {
    options: { secondPool: true, storage: 'vmfs', disksPerVm: 2 },
    async tell(s) {
      const to = s.spec.pools[1]!.id;
      const disks = [
        { disk: 'vda', to },
        { disk: 'vdb', to },
      ];
      s.controls.setMoveManner(s.vm('vm-001'), 'moves-part');
      const half = await s.migrateVolume('vm-001', { disks });
      await ended(half);
      s.controls.setMoveManner(s.vm('vm-002'), 'moves-says-failed');
      const made = await s.migrateVolume('vm-002', { disks });
      await ended(made);
      const rehearsal = await s.migrateVolume('vm-003', { disks, mode: 'rehearse' });
      await ended(rehearsal);
      s.controls.setMoveManner(s.vm('vm-003'), 'hangs');
      const cancelled = await s.migrateVolume('vm-003', { disks });
      await untilMovePhase(cancelled, 'copying');
      await cancelled.cancel();
      await ended(cancelled);
      s.controls.addRule({
        ...{ id: 'blind', port: 'volumeMoves', call: 'classify' },
        then: {
          kind: 'fail-before',
          fault: { code: 'HYPERVISOR_UNREACHABLE', facts: { detail: 'no answer' } },
        },
      });
      const blind = await s.migrateVolume('vm-004', { disks });
      await untilMovePhase(blind, 'stuck');
      await blind.executeUpdate(messages.resolveStuckUpdate, {
        args: [{ ...said('I see to it'), resolution: 'give-up' }],
      });
      await ended(blind);
      return [
        { pins: 'half-moved-and-taken-back', run: half },
        { pins: 'moved-in-spite-of-its-word', run: made },
        { pins: 'rehearsed', run: rehearsal },
        { pins: 'cancelled', run: cancelled },
        { pins: 'given-up', run: blind },
      ];
    },
  },
  'a move whose host fails, and which goes on as the restart of its VM': {
    options: { secondPool: true, storage: 'dir' },
    async tell(s) {
      s.controls.setMoveManner(s.vm('vm-001'), 'hangs');
      const run = await s.migrateVolume('vm-001');
      const first = (await run.describe()).runId;
      await untilMovePhase(run, 'copying');
      s.controls.cutPower(s.host('a'));
      await ended(await s.recoverHost('a'));
      return [
        { pins: 'continued-as-a-restart', run: s.client.workflow.getHandle(run.workflowId, first) },
        { pins: 'running-after-a-move', run: handle(s, run.workflowId) },
      ];
    },
  },
};
