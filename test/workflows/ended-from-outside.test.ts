/** What an incident waits for ends, or is decided, where nobody looks: it must go on all the same. */
import { workflowIds } from '../../domain/ids';
import { hostFailedSignal } from '../../workflows/messages';
import {
  eventually,
  evidenceOfAge,
  fencingRun,
  incidentOfHost,
  systems,
  untilPhase,
  untilVmPhase,
} from '../support/story';

const begin = systems();

it('names a VM whose run was terminated after the incident had joined it', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 60_000 } });
  system.controls.cutPower(system.host('a'));
  system.controls.setDisk(system.spec.vms[0]?.disks[0]?.path ?? '', 'missing');
  const lone = await system.restartVm('vm-001');
  await untilVmPhase(lone, 'reserving');
  const incident = await system.recoverHost('a');
  await eventually('the news of the failure', async () =>
    (await lone.fetchHistory()).events?.some((e) => e.workflowExecutionSignaledEventAttributes != null),
  );
  await system.client.workflow.getHandle(workflowIds.vm(system.vm('vm-001'))).terminate();
  const result = await incident.result();
  expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({
    phase: 'stuck',
    fault: { code: 'RUN_LOST' },
  });
});

it('fences by itself when the fence that it joined was terminated', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'), { bmcToo: true });
  const lone = await system.fenceHost('a');
  await eventually('a blocked fence', async () => (await system.inventory.alerts({ open: true })).length > 0);
  const incident = await system.recoverHost('a');
  await untilPhase(incident, 'blocked-unfenced');
  await lone.terminate();
  const own = await eventually('a fence of its own', async () => {
    const now = await fencingRun(system, 'a').describe();
    return now.status.name === 'RUNNING' && now;
  });
  expect(own.type).toBe('fenceHost');
  await incident.terminate();
});

it('sends a VM on when the proof that its target is off comes while its start is still read back', async () => {
  const system = await begin({ policy: { readBackDeadlineMs: 4_000 } });
  const [a, b] = [system.host('a'), system.host('b')];
  system.controls.cutPower(a);
  system.controls.addRule({
    ...{ id: 'dies', port: 'hypervisor', call: 'start', target: b, times: 1 },
    then: { kind: 'world', when: 'before', control: 'cutPower', args: [b] },
  });
  const evidence = await evidenceOfAge(system, 'a', 0);
  const run = await system.restartVm('vm-001', { target: b, failed: { hostId: a, evidence } });
  await untilVmPhase(run, 'starting');
  await eventually(
    'a dead target',
    () => system.controls.snapshot().hosts.find((h) => h.id === b)?.power === 'off',
  );
  const proof = await evidenceOfAge(system, 'b', 0);
  await run.signal(hostFailedSignal, { hostId: b, incidentId: incidentOfHost(system, 'b'), evidence: proof });
  await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: system.host('c') });
});
