/** A host fails while other work holds what it needs: the work joins the incident, or the incident joins the work. */
import { incidentId, workflowIds } from '../../domain/ids';
import { failureTypes } from '../../workflows/inputs';
import { abortUpdate, holdUpdate, hostFailedSignal, resolveStuckUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import {
  eventually,
  evidenceOfAge,
  failureOf,
  incidentOfHost,
  runsOn,
  said,
  statusOf,
  systems,
  untilVmPhase,
} from '../support/story';

const begin = systems();

it('gives a lone restart the proof that its host is off, and the restart goes on with it', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 20_000 } });
  system.controls.freeze(system.host('a'));
  const run = await system.restartVm('vm-001', { target: system.host('b') });
  await untilVmPhase(run, 'reserving');
  await eventually('a refused permit', () =>
    system.controls
      .journal()
      .some((e) => e.kind === 'fault' && e.call === 'list' && e.target === system.host('a')),
  );
  system.controls.cutPower(system.host('a'));
  const evidence = await evidenceOfAge(system, 'a', 0);
  await run.signal(hostFailedSignal, {
    hostId: system.host('a'),
    incidentId: incidentOfHost(system, 'a'),
    evidence,
  });
  await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: system.host('b') });
});

it('joins a restart that runs already, and counts its VM once', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 20_000 } });
  const lone = await (async () => {
    system.controls.cutPower(system.host('a'));
    return system.restartVm('vm-001');
  })();
  await untilVmPhase(lone, 'reserving');
  const incident = await system.recoverHost('a');
  const result = await incident.result();
  expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 2 VMs run again' });
  await expect(lone.result()).resolves.toMatchObject({ phase: 'running' });
  const starts = system.controls
    .journal()
    .filter((e) => e.kind === 'effect' && e.effect === 'process-started' && e.by === 'port');
  expect(starts).toHaveLength(2);
  await judge(system);
});

it('starts the VM itself when the restart it joined was taken back by a person', async () => {
  const system = await begin();
  await system.stopWorker();
  const lone = await system.restartVm('vm-001', { target: system.host('b') });
  const held = lone.executeUpdate(holdUpdate, { args: [said('let me look first')] });
  await system.startWorker();
  await held;
  system.controls.freeze(system.host('a'));
  const incident = await system.recoverHost('a');
  await eventually('the news of the failure', async () =>
    (await lone.fetchHistory()).events?.some((e) => e.workflowExecutionSignaledEventAttributes != null),
  );
  await lone.executeUpdate(abortUpdate, { args: [said('the incident does it')] });
  expect(await failureOf(lone)).toMatchObject({ type: failureTypes.compensated });
  await expect(incident.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('joins a fence that a person ordered, and closes the incident only when the VMs are back', async () => {
  const system = await begin();
  system.controls.addRule({
    ...{ id: 'slow', port: 'fencing', call: 'off', times: 1 },
    then: { kind: 'delay', ms: 2_000 },
  });
  system.controls.freeze(system.host('a'));
  const lone = await system.fenceHost('a');
  await eventually('"off" on its way', () =>
    system.controls.journal().some((e) => e.kind === 'call' && e.call === 'off'),
  );
  const incident = await system.recoverHost('a');
  await expect(lone.result()).resolves.toMatchObject({ kind: 'fenced' });
  await expect(incident.result()).resolves.toMatchObject({ outcome: 'recovered' });
  const offs = system.controls.journal().filter((e) => e.kind === 'call' && e.call === 'off');
  expect(offs).toHaveLength(1);
  const record = await system.inventory.incident(incidentOfHost(system, 'a'));
  expect(record).toMatchObject({ outcome: 'recovered', phase: 'recovered' });
  const closings = (await system.inventory.timeline(incidentOfHost(system, 'a'))).filter((e) =>
    e.sentence.includes('VMs run again'),
  );
  expect(closings).toHaveLength(1);
  await judge(system);
});

it('tells the incident when the restart that it joined waits for a person', async () => {
  const system = await begin({ storage: 'nfs', policy: { storageDeadlineMs: 20_000 } });
  const path = system.spec.vms[0]?.disks[0];
  system.controls.freeze(system.host('a'));
  const lone = await system.restartVm('vm-001', { target: system.host('b') });
  await untilVmPhase(lone, 'reserving');
  system.controls.addRule({
    ...{ id: 'locked', port: 'hypervisor', call: 'start', target: system.vm('vm-001') },
    then: {
      kind: 'fail-before',
      fault: { code: 'LOCK_HELD', facts: { path: path?.path ?? '', holder: 'somebody' } },
    },
  });
  const incident = await system.recoverHost('a');
  const result = await incident.result();
  expect(result.outcome).toBe('partially-recovered');
  expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({ phase: 'stuck' });
  system.controls.clearRule('locked');
  // Whatever holds the ID now: on a busy machine the lone run may have ended first, and the incident has started its own.
  const holder = system.client.workflow.getHandle(lone.workflowId);
  await holder.executeUpdate(resolveStuckUpdate, { args: [{ ...said(), resolution: 'retry' }] });
  await expect(holder.result()).resolves.toMatchObject({ phase: 'running' });
  await judge(system);
});

it('sends a VM on to another host when its target dies at the moment of the start', async () => {
  const system = await begin({
    hosts: 4,
    policy: { blastRadius: { hosts: 2, percent: 30 }, readBackDeadlineMs: 200 },
  });
  system.controls.cutPower(system.host('a'));
  system.controls.addRule({
    ...{ id: 'dies', port: 'hypervisor', call: 'start', target: system.host('b'), times: 1 },
    then: { kind: 'world', when: 'before', control: 'cutPower', args: [system.host('b')] },
  });
  const vm = system.vm('vm-001');
  system.controls.addRule({
    id: 'x',
    port: 'notifier',
    call: 'deliver',
    times: 0,
    then: { kind: 'delay', ms: 0 },
  });
  const evidence = await evidenceOfAge(system, 'a', 0);
  const restart = await system.restartVm('vm-001', {
    ...{
      target: system.host('b'),
      failed: { hostId: system.host('a'), evidence },
      incidentId: incidentId({ kind: 'vm', vmId: vm }, 1),
    },
  });
  await untilVmPhase(restart, 'stuck');
  const second = await system.recoverHost('b');
  await expect(restart.result()).resolves.toMatchObject({ phase: 'running' });
  const result = await second.result();
  expect(result.outcome).toBe('recovered');
  expect(result.vms.map((v) => v.name).sort()).toContain('vm-001');
  const where = runsOn(system, vm);
  expect(where).toHaveLength(1);
  expect(where[0]).not.toBe(system.host('b'));
});

it('goes on with the other VMs when one restart is cancelled by itself', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 30_000 } });
  system.controls.cutPower(system.host('a'));
  const vm = system.vm('vm-001');
  system.controls.setDisk(system.spec.vms[0]?.disks[0]?.path ?? '', 'missing');
  const incident = await system.recoverHost('a');
  await eventually('its storage asked for', () =>
    system.controls
      .journal()
      .some((e) => e.kind === 'call' && e.call === 'makeReady' && JSON.stringify(e.args).includes(vm)),
  );
  await system.client.workflow.getHandle(workflowIds.vm(vm)).cancel();
  const result = await incident.result();
  expect(result.outcome).toBe('partially-recovered');
  expect(result.vms.map((v) => `${v.name} ${v.phase}`).sort()).toEqual(['vm-001 stuck', 'vm-004 running']);
  expect((await statusOf(incident)).phase).toBe('partially-recovered');
  await judge(system, { down: [vm] });
});
