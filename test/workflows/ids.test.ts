/** One workflow ID per host and per VM: the server refuses the second, whoever asks and whatever it is. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import { incidentOfHost, systems, timelineOf } from '../support/story';

const begin = systems();

const request = (n = 0) =>
  ({ source: 'webhook', by: `monitor ${n}`, reason: `host down, report ${n}` }) as const;

function frontDoor(system: RecoverySystem): RecoveryClient {
  const { client, inventory, fleet, taskQueue } = system;
  return new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'the test server' });
}

it('makes one run of 50 starts at once', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  const starts = await Promise.allSettled(Array.from({ length: 50 }, () => system.recoverHost('a')));
  const won = starts.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []));
  const refused = starts.flatMap((s) => (s.status === 'rejected' ? [s.reason as unknown] : []));
  expect(won).toHaveLength(1);
  expect(refused).toHaveLength(49);
  expect(refused.every((r) => r instanceof WorkflowExecutionAlreadyStartedError)).toBe(true);
  await expect(won[0]?.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('adds 49 of 50 requests at the front door to the one incident they are about', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  const door = frontDoor(system);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) => door.recoverHost(system.host('a'), request(n))),
  );
  expect(answers.filter((a) => a.answer === 'started')).toHaveLength(1);
  expect(answers.filter((a) => a.answer === 'same')).toHaveLength(49);
  expect(new Set(answers.map((a) => a.incidentId))).toEqual(new Set([incidentOfHost(system, 'a')]));
  const run = system.client.workflow.getHandle(workflowIds.host(system.host('a')));
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  const starts = system.controls
    .journal()
    .filter((e) => e.kind === 'effect' && e.effect === 'process-started' && e.by === 'port');
  expect(starts).toHaveLength(2);
  await judge(system);
});

it('answers a report that comes after the recovery with the incident that handled it', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  await (await system.recoverHost('a')).result();
  await expect(frontDoor(system).recoverHost(system.host('a'), request())).resolves.toMatchObject({
    ...{ answer: 'same', open: false, incidentId: incidentOfHost(system, 'a') },
  });
});

it('refuses to restart a VM while work of another type holds its ID, and names that work', async () => {
  const system = await begin();
  const id = system.vm('vm-001');
  const workflowId = workflowIds.vm(id);
  const other = await system.client.workflow.start('watchFleet', {
    ...{
      workflowId,
      taskQueue: system.taskQueue,
      memo: { incidentId: 'disk-1', requestedBy: 'bob', reason: 'moves a disk' },
    },
    args: [{ clusterId: system.spec.clusters[0]?.id, everyMs: 60_000 }],
  });
  await expect(system.restartVm('vm-001')).rejects.toThrow(WorkflowExecutionAlreadyStartedError);
  const answer = await frontDoor(system).restartVm(id, { ...request(), source: 'operator' });
  expect(answer).toMatchObject({ answer: 'busy', type: 'watchFleet', workflowId });
  await other.cancel();
  await other.result().catch(() => undefined);
  await expect((await system.restartVm('vm-001')).result()).resolves.toMatchObject({ phase: 'running' });
  await judge(system);
});

it('counts a host that fails again after its return as a new incident', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  await (await system.recoverHost('a')).result();
  const host = await system.inventory.host(system.host('a'));
  system.controls.powerOn(system.host('a'));
  await system.inventory.updateHost(system.host('a'), host?.version ?? 0, { standing: 'in-service' });
  await system.inventory.lapseEvidence(system.host('a'), new Date().toISOString());
  system.controls.cutPower(system.host('a'));
  const answer = await frontDoor(system).recoverHost(system.host('a'), request());
  expect(answer).toMatchObject({ answer: 'started', incidentId: incidentOfHost(system, 'a', 2) });
  const again = system.client.workflow.getHandle(workflowIds.host(system.host('a')));
  await expect(again.result()).resolves.toMatchObject({ outcome: 'recovered', vms: [] });
  expect((await timelineOf(system, incidentOfHost(system, 'a', 2))).length).toBeGreaterThan(0);
});
