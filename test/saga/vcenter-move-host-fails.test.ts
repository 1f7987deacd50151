/** The host of a VM loses its power while vCenter relocates the VM's disks: the move ends as it is read, and the VM runs again elsewhere. */
import { incidentId, workflowIds } from '../../domain/ids';
import type { RelocationPlan } from '../../lab/vsphere/simulator';
import type { recoverHost } from '../../workflows';
import { untilMovePhase } from '../support/moves';
import { testTrigger } from '../support/recovery-system';
import { eventually } from '../support/story';
import { describeOnVcenter } from '../support/vcenter';
import { moveWorld, startMove, wrongWith } from '../support/vcenter-moves';

interface Cut {
  readonly when: string;
  /** How far it came: a host without power copies nothing more. */
  readonly plan: RelocationPlan;
  readonly ending: 'moved' | 'not-moved';
}
const halfWay: Cut = {
  when: 'half way, one disk here and one there',
  plan: { hold: 'between', move: 1, fault: 'HostNotConnected', times: 1 },
  ending: 'not-moved',
};
const whole: Cut = {
  when: 'after the last disk, before the task said so',
  plan: { hold: 'after', fault: 'HostNotConnected', times: 1 },
  ending: 'moved',
};
const cuts = process.env['VMEDIC_SOAK'] === 'true' ? [halfWay, whole] : [halfWay];

describeOnVcenter('a host that dies during a relocation', () => {
  it.each(cuts)('$when', async ({ plan, ending }) => {
    const world = await moveWorld(1);
    try {
      const one = await world.fresh();
      const { sim, client, cluster, taskQueue, nameOf } = one.system;
      const host = one.record.hostId;
      await sim.plan({ vm: one.vm, ...plan });
      const run = await startMove(one);
      await untilMovePhase(run, 'copying');
      await eventually('a task that stands still there', async () => {
        const at = (await one.reader.disksOf(one.id))?.filter((d) => d.datastore !== 'LocalDS_0').length;
        return at === (ending === 'moved' ? 2 : 1);
      });
      await sim.order('host', { name: nameOf(host), power: 'cut' });
      await sim.order('go-on', { vm: one.vm });
      const id = incidentId({ kind: 'host', hostId: host }, 1);
      const recovery = await client.workflow.start<typeof recoverHost>('recoverHost', {
        ...{ workflowId: workflowIds.host(host), taskQueue },
        args: [
          {
            ...{ hostId: host, clusterId: cluster, epoch: 1, mode: 'act', incidentId: id },
            trigger: testTrigger(),
          },
        ],
        memo: { incidentId: id, requestedBy: 'tester', reason: 'test' },
      });
      expect(await recovery.result()).toMatchObject({ outcome: 'recovered' });
      expect(await wrongWith(one, { name: 'host dies', ends: ending }, ending)).toEqual([]);
      const now = (await sim.state()).vms[one.vm];
      expect([now?.runsOn === undefined, now?.runsOn === nameOf(host)]).toEqual([false, false]);
    } finally {
      await world.close();
    }
  });
});
