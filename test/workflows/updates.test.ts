/** What people say to a run: refused without leaving an event and with a sentence, or taken and done. */
import {
  abortUpdate,
  addTriggerUpdate,
  approveFencingUpdate,
  attestFencedUpdate,
  holdUpdate,
  resolveStuckUpdate,
  resumeUpdate,
} from '../../workflows/messages';
import { failureTypes } from '../../workflows/inputs';
import { judge } from '../support/judge';
import { testTrigger } from '../support/recovery-system';
import {
  actsOn,
  eventually,
  failureOf,
  fencingRun,
  incidentOfHost,
  refusalOf,
  said,
  statusOf,
  systems,
  timelineOf,
  untilPhase,
  untilVmPhase,
  updatesTaken,
} from '../support/story';
import { unfencedRecovery } from '../support/unfenced';

const begin = systems();

const nobody = { by: ' ', reason: 'a reason' };
const noReason = { by: 'alice', reason: '' };

it('refuses what has no name or no reason, whatever it is, and keeps no event of it', async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  for (const update of [attestFencedUpdate, abortUpdate, holdUpdate, resumeUpdate]) {
    expect(await refusalOf(run.executeUpdate(update, { args: [nobody] }))).toContain('say who you are');
    expect(await refusalOf(run.executeUpdate(update, { args: [noReason] }))).toContain('say why');
    const fence = fencingRun(system, 'a');
    expect(await refusalOf(fence.executeUpdate(update, { args: [noReason] }))).toContain('say why');
  }
  const trigger = { ...testTrigger(), by: '' };
  expect(await refusalOf(run.executeUpdate(addTriggerUpdate, { args: [trigger] }))).toContain('say who');
  expect(await updatesTaken(run)).toBe(0);
  expect(await updatesTaken(fencingRun(system, 'a'))).toBe(0);
  await run.executeUpdate(attestFencedUpdate, { args: [said()] });
  await run.result();
  await judge(system);
});

it('refuses what has no meaning in the phase, and says which phase it is', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  system.controls.cutPower(system.host('b'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'held');
  expect(await refusalOf(run.executeUpdate(attestFencedUpdate, { args: [said()] }))).toBe(
    'nothing to attest in phase "held"',
  );
  await run.executeUpdate(approveFencingUpdate, { args: [said('both racks lost power')] });
  await run.result();
  await judge(system, { down: system.vmsOf('b') });
});

it('refuses an approval where nothing waits for one, and an abort once VMs may have been started', async () => {
  const system = await begin();
  system.controls.addRule({
    id: 'slow',
    port: 'hypervisor',
    call: 'start',
    then: { kind: 'delay', ms: 1_500 },
  });
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'restarting');
  expect(await refusalOf(run.executeUpdate(approveFencingUpdate, { args: [said()] }))).toBe(
    'nothing waits for approval in phase "restarting"',
  );
  expect(await refusalOf(run.executeUpdate(abortUpdate, { args: [said()] }))).toContain(
    'no way back in phase "restarting"',
  );
  expect(await updatesTaken(run)).toBe(0);
  await run.result();
  await judge(system);
});

it("takes a person's word for a host whose BMC died with it", async () => {
  const system = await begin();
  const { run, blocked } = await unfencedRecovery(system, 'a', 'dark');
  expect(blocked.nextCommand).toContain('attest-fenced');
  await run.executeUpdate(attestFencedUpdate, { args: [said('I pulled its plug')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  const timeline = await timelineOf(system, incidentOfHost(system, 'a'));
  expect(timeline.find((e) => e.kind === 'attestation')?.sentence).toContain('alice attests');
  expect((await system.inventory.alerts({ open: true })).map((a) => a.key)).not.toContain(
    `unfenced:${system.host('a')}`,
  );
  await judge(system);
});

it("does not take a person's word for a host that answers", async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  const fence = fencingRun(system, 'a');
  await fence.executeUpdate(holdUpdate, { args: [said('let me look first')] });
  system.controls.thaw(system.host('a'));
  await run.executeUpdate(attestFencedUpdate, { args: [said('it looked dead to me')] });
  await eventually('the attestation refused', async () =>
    (await timelineOf(system, incidentOfHost(system, 'a'))).some((e) => e.sentence.includes('not taken')),
  );
  await fence.executeUpdate(resumeUpdate, { args: [said('go on')] });
  system.controls.setDevice(system.spec.devices[0]!.id, { mode: 'works' });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it("fences more hosts than the blast radius allows only after a person's yes", async () => {
  const system = await begin({ hosts: 3 });
  system.controls.cutPower(system.host('a'));
  system.controls.freeze(system.host('b'));
  const first = await system.recoverHost('a');
  const held = await untilPhase(first, 'held');
  expect(held.sentence).toContain(
    `${system.host('a')}, ${system.host('b')} are in trouble at once, 1 allowed`,
  );
  expect(actsOn(system)).toEqual([]);
  const second = await system.recoverHost('b');
  await untilPhase(second, 'held');
  for (const run of [first, second])
    await run.executeUpdate(approveFencingUpdate, { args: [said('a whole rack lost power')] });
  await expect(first.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await expect(second.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('goes on by itself when the other host answers again', async () => {
  const system = await begin();
  system.controls.cutPower(system.host('a'));
  system.controls.freeze(system.host('b'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'held');
  system.controls.thaw(system.host('b'));
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('aborts a fence that has sent nothing, and lets the host take VMs again', async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  await run.executeUpdate(abortUpdate, { args: [said('we move its VMs by hand')] });
  await expect(run.result()).resolves.toMatchObject({
    outcome: 'aborted',
    sentence: expect.stringContaining('we move its VMs by hand') as string,
  });
  expect(await system.inventory.host(system.host('a'))).toMatchObject({ standing: 'in-service' });
  await judge(system, { down: system.vmsOf('a') });
});

it('refuses to take a fence back once "off" may have been sent', async () => {
  const system = await begin();
  system.controls.setDevice(system.spec.devices[0]!.id, { mode: 'says-ok' });
  const run = await system.fenceHost('a');
  await eventually('"off" not taken', async () =>
    (await system.inventory.alerts({ open: true })).some((a) => a.key.startsWith('unfenced')),
  );
  expect(await refusalOf(run.executeUpdate(abortUpdate, { args: [said()] }))).toContain(
    '"off" may have been sent already',
  );
  system.controls.setDevice(system.spec.devices[0]!.id, { mode: 'works' });
  await expect(run.result()).resolves.toMatchObject({ kind: 'fenced' });
  expect(await refusalOf(run.executeUpdate(attestFencedUpdate, { args: [said()] })).catch(() => 'gone')).toBe(
    'gone',
  );
  await judge(system, { down: system.vmsOf('a') });
});

it('holds before the next act and goes on when told to', async () => {
  const system = await begin();
  system.controls.freeze(system.host('a'));
  const run = await system.recoverHost('a');
  await run.executeUpdate(holdUpdate, { args: [said('someone is at the rack')] });
  const resting = async (): Promise<number | false> => {
    const { raw, historyLength } = await run.describe();
    return (raw.pendingActivities?.length ?? 0) === 0 && raw.pendingWorkflowTask == null && historyLength;
  };
  const waits = await eventually('nothing under way', resting);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await resting()).toBe(waits);
  expect(actsOn(system)).toEqual([]);
  expect(await statusOf(run)).toMatchObject({ held: true });
  await run.executeUpdate(resumeUpdate, { args: [said('he is gone')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  const told = (await timelineOf(system, incidentOfHost(system, 'a')))
    .filter((e) => e.kind === 'decision')
    .map((e) => e.sentence);
  expect(told).toEqual(
    expect.arrayContaining(['alice: holds (someone is at the rack)', 'alice: resumes (he is gone)']),
  );
  await judge(system);
});

it('keeps a further trigger as evidence, and starts nothing for it', async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  const trigger = { ...testTrigger('three pings lost'), source: 'webhook', by: 'prometheus' } as const;
  await run.executeUpdate(addTriggerUpdate, { args: [trigger] });
  const incident = await system.inventory.incident(incidentOfHost(system, 'a'));
  expect(incident?.triggers.map((t) => t.by)).toEqual(['tester', 'prometheus']);
  await run.executeUpdate(abortUpdate, { args: [said('enough')] });
  await run.result();
  await judge(system, { down: system.vmsOf('a') });
});

describe('a VM that is stuck', () => {
  const path = '/simulated/shared/vm-001.raw';

  async function stuckOne() {
    const system = await begin();
    system.controls.addRule({
      ...{ id: 'locked', port: 'hypervisor', call: 'start', target: system.vm('vm-001') },
      then: { kind: 'fail-before', fault: { code: 'LOCK_HELD', facts: { path, holder: 'somebody else' } } },
    });
    system.controls.cutPower(system.host('a'));
    const incident = await system.recoverHost('a');
    const result = await incident.result();
    expect(result.vms.find((v) => v.name === 'vm-001')).toMatchObject({ phase: 'stuck' });
    const vm = system.client.workflow.getHandle(`vm:${system.vm('vm-001')}`);
    return { system, vm };
  }

  it('is not decided about without a name and a reason', async () => {
    const { system, vm } = await stuckOne();
    const retry = { ...noReason, resolution: 'retry' } as const;
    expect(await refusalOf(vm.executeUpdate(resolveStuckUpdate, { args: [retry] }))).toContain('say why');
    expect(await updatesTaken(vm)).toBe(0);
    system.controls.clearRule('locked');
    await vm.executeUpdate(resolveStuckUpdate, {
      args: [{ ...said('the backup is done'), resolution: 'retry' }],
    });
    await expect(vm.result()).resolves.toMatchObject({ phase: 'running' });
    await judge(system);
  });

  it('ends as stuck, and untouched, when a person gives up on it', async () => {
    const { system, vm } = await stuckOne();
    const starts = actsOn(system).length;
    await vm.executeUpdate(resolveStuckUpdate, {
      args: [{ ...said('restored from backup'), resolution: 'give-up' }],
    });
    expect(await failureOf(vm)).toMatchObject({ type: failureTypes.stuck });
    expect(actsOn(system)).toHaveLength(starts);
    await judge(system, { down: [system.vm('vm-001')] });
  });

  it('is let go by an abort, because nothing was started', async () => {
    const { system, vm } = await stuckOne();
    await vm.executeUpdate(abortUpdate, { args: [said('not needed any more')] });
    expect(await failureOf(vm)).toMatchObject({ type: failureTypes.compensated });
    await judge(system, { down: [system.vm('vm-001')] });
  });
});

it('refuses a decision about a VM that waits for none', async () => {
  const system = await begin({ policy: { storageDeadlineMs: 60_000 } });
  system.controls.setDisk(system.spec.vms[0]?.disks[0]?.path ?? '', 'missing');
  system.controls.cutPower(system.host('a'));
  await (await system.fenceHost('a')).result();
  const run = await system.restartVm('vm-001');
  await untilVmPhase(run, 'reserving');
  expect(
    await refusalOf(run.executeUpdate(resolveStuckUpdate, { args: [{ ...said(), resolution: 'retry' }] })),
  ).toContain('does not wait for a decision now (it is reserving)');
  await run.executeUpdate(abortUpdate, { args: [said('wrong VM')] });
  expect(await failureOf(run)).toMatchObject({
    type: failureTypes.compensated,
    message: expect.stringContaining('alice stopped') as string,
  });
  await judge(system, { down: system.vmsOf('a') });
});

it('refuses to abort a restart once its start may have been sent', async () => {
  const system = await begin();
  system.controls.addRule({
    id: 'slow',
    port: 'hypervisor',
    call: 'start',
    times: 1,
    then: { kind: 'delay', ms: 6_000 },
  });
  system.controls.cutPower(system.host('a'));
  await (await system.fenceHost('a')).result();
  const run = await system.restartVm('vm-001');
  await untilVmPhase(run, 'starting');
  expect(await refusalOf(run.executeUpdate(abortUpdate, { args: [said()] }))).toContain(
    'there is no way back',
  );
  await expect(run.result()).resolves.toMatchObject({ phase: 'running' });
  await judge(system, { down: system.vmsOf('a').slice(1) });
});
