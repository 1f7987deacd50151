/** A guest that does not get well, and its repair. */
import type { WorkflowHandle } from '@temporalio/client';
import { workflowIds } from '../../domain/ids';
import type { GuestDamage } from '../../drivers/simulated/guest-repairs';
import type { repairGuest } from '../../workflows';
import type { RepairGuestInput } from '../../workflows/inputs';
import { incidentOfVm } from './moves';
import { type RecoverySystem, type SystemOptions, testTrigger } from './recovery-system';

/** Of a cluster whose guests are looked into. */
export const looked: SystemOptions = { policy: { health: { kind: 'guest-agent', timeoutMs: 150 } } };

export const diskOf = (system: RecoverySystem, name: string): string =>
  system.spec.vms.find((v) => v.name === name)!.disks[0]!.path;

/** It crashed, its file system is damaged (or its guest is unwell without that), and its restart ended as guest-degraded. */
export async function becomeUnwell(
  system: RecoverySystem,
  name: string,
  damage: GuestDamage | undefined,
): Promise<void> {
  const { hostId } = system.spec.vms.find((v) => v.name === name)!;
  system.controls.crashGuest(hostId, system.vm(name));
  system.controls.damageDisk(diskOf(system, name), damage);
  if (damage === undefined) system.controls.setHealth(system.vm(name), 'never');
  const run = await system.restartVm(name, { target: hostId });
  const { phase } = await run.result();
  if (phase !== 'guest-degraded') throw new Error(`${name} is ${phase}, and was to be unwell`);
}

export function repair(
  system: RecoverySystem,
  name: string,
  more: Partial<RepairGuestInput> = {},
): Promise<WorkflowHandle<typeof repairGuest>> {
  const [vmId, incidentId] = [system.vm(name), incidentOfVm(system, name, 2)];
  const input: RepairGuestInput = {
    ...{ vmId, name, incidentId, clusterId: system.spec.clusters[0]!.id, mode: 'act', cause: 'operator' },
    ...{ trigger: testTrigger(), incidentBeganAt: undefined, epoch: 2, failed: undefined, target: undefined },
    ...{ patienceMs: 300, ...more },
  };
  const rehearsed = workflowIds.rehearsal(vmId, `repair-${name}`);
  return system.client.workflow.start<typeof repairGuest>('repairGuest', {
    workflowId: input.mode === 'act' ? workflowIds.vm(vmId) : rehearsed,
    ...{
      taskQueue: system.taskQueue,
      args: [input],
      memo: { incidentId, requestedBy: 'tester', reason: 'test' },
    },
  });
}
