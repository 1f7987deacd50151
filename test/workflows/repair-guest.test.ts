/** A guest that does not get well is repaired only with a way back: stopped, its disks kept, mended, started; and as it was if that did not help. */
import { ApplicationFailure } from '@temporalio/common';
import { RecoveryClient } from '../../client/recovery-client';
import { fault } from '../../domain/faults';
import { guestDegradedAlert, keptAlert } from '../../domain/guest-repair';
import { workflowIds } from '../../domain/ids';
import type { GuestDamage } from '../../drivers/simulated/guest-repairs';
import type { Effect } from '../../drivers/simulated/journal';
import type { RestartVmResult } from '../../workflows/inputs';
import { abortUpdate, resolveStuckUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { incidentOfVm } from '../support/moves';
import type { Intercept, RecoverySystem, SystemOptions } from '../support/recovery-system';
import { becomeUnwell, diskOf, looked, repair } from '../support/repairs';
import { sampleSeed, seededSample } from '../support/seeded-sample';
import { eventually, failureOf, runsOn, said, systems, untilVmPhase } from '../support/story';

const begin = systems();
const name = 'vm-001';
const doorOf = ({ client, inventory, fleet, taskQueue }: RecoverySystem) => ({
  ...{ client, inventory, fleet, taskQueue },
  address: 'the test server',
});

async function unwell(damage: GuestDamage | undefined, options: SystemOptions = {}): Promise<RecoverySystem> {
  const system = await begin({ ...looked, ...options });
  await becomeUnwell(system, name, damage);
  return system;
}

/** What became of the VM and its disk, in order, since the journal had so many entries. */
const happened = (system: RecoverySystem, since = 0): Effect['effect'][] =>
  system.controls.journal(since).flatMap((e) => {
    const ofDisk = e.kind === 'effect' && 'path' in e && e.path === diskOf(system, name);
    const ofVm = e.kind === 'effect' && 'vmId' in e && e.vmId === system.vm(name);
    return e.kind === 'effect' && (ofDisk || ofVm) && e.effect !== 'defined' ? [e.effect] : [];
  });
const now = (system: RecoverySystem): number => system.controls.snapshot().seq;

const openAlerts = async (system: RecoverySystem): Promise<string[]> =>
  (await system.inventory.alerts({ open: true })).map((a) => a.key);

it('keeps the disks before anything writes to them, runs the VM nowhere meanwhile, and leaves what was kept by name when it helped', async () => {
  const system = await unwell('mendable');
  const since = now(system);
  const run = await repair(system, name);
  expect(await run.result()).toMatchObject({ phase: 'running', target: system.host('a') });
  expect(happened(system, since)).toEqual(['process-ended', 'disk-kept', 'disk-mended', 'process-started']);
  expect(await system.inventory.incident(incidentOfVm(system, name, 2))).toMatchObject({
    outcome: 'recovered',
  });
  const alert = (await system.inventory.alerts({ open: true })).find(
    (x) => x.key === keptAlert(system.vm(name)),
  );
  expect(alert?.sentence).toContain(`${diskOf(system, name)}.before-r`);
  expect(alert?.nextCommand).toContain(`rm ${diskOf(system, name)}.before-r`);
  expect(await openAlerts(system)).not.toContain(guestDegradedAlert(system.vm(name)));
  await judge(system);
});

it('goes back when a file system is damaged beyond what its own tool mends, without a start in between', async () => {
  const system = await unwell('beyond');
  const since = now(system);
  const result = await (await repair(system, name)).result();
  expect(result).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_NOT_HELPED' } });
  expect(result.fault?.sentence).toContain('damaged');
  expect(happened(system, since)).toEqual([
    ...['process-ended', 'disk-kept', 'disk-mended', 'disk-put-back', 'kept-dropped', 'process-started'],
  ]);
  expect(runsOn(system, system.vm(name))).toEqual([system.host('a')]);
  expect(await openAlerts(system)).toContain(guestDegradedAlert(system.vm(name)));
  await judge(system);
});

it('goes back when the guest does not get well on disks that were found whole', async () => {
  const system = await unwell(undefined);
  const since = now(system);
  const result = await (await repair(system, name)).result();
  expect(result).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_NOT_HELPED' } });
  expect(happened(system, since)).toEqual([
    ...['process-ended', 'disk-kept', 'disk-mended', 'process-started', 'process-ended'],
    ...['disk-put-back', 'kept-dropped', 'process-started'],
  ]);
  await judge(system);
});

it('ends the process of a guest that does not hear, after it was asked', async () => {
  const system = await unwell('mendable');
  system.controls.freezeGuest(system.host('a'), system.vm(name), true);
  expect(await (await repair(system, name)).result()).toMatchObject({ phase: 'running' });
  const calls = system.controls.journal().flatMap((e) => (e.kind === 'call' ? [e.call] : []));
  expect(calls.indexOf('shutDown')).toBeGreaterThan(-1);
  expect(calls.indexOf('end')).toBeGreaterThan(calls.indexOf('shutDown'));
  await judge(system);
});

it('touches nothing of a VM that was not seen unwell, that may run where nobody can look, or whose disks cannot be kept', async () => {
  const system = await begin(looked);
  const refusal = async (epoch: number): Promise<string> => {
    const since = now(system);
    const incidentId = incidentOfVm(system, name, epoch);
    const result = await (await repair(system, name, { incidentId, epoch })).result();
    expect(result).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_REFUSED' } });
    expect(happened(system, since)).toEqual([]);
    return result.fault?.sentence ?? '';
  };
  expect(await refusal(3)).toContain(`vmedic vm stop ${name} first`);
  await becomeUnwell(system, name, 'mendable');
  system.controls.hangDaemon(system.host('c'));
  system.controls.setPoolFree(system.spec.pools[0]!.id, 0);
  expect(await refusal(4)).toMatch(/it may run where nobody can look.*no room to keep/);
});

it('starts the guest again, and removes what it had kept, when nothing was written', async () => {
  const system = await unwell('mendable');
  system.controls.addRule({
    ...{ id: 'no-keep', port: 'guestRepair', call: 'keep' },
    then: {
      kind: 'fail-after',
      fault: { code: 'REPAIR_FAILED', facts: { what: 'keeping', host: 'hv', vm: name } },
    },
  });
  const since = now(system);
  const result = await (await repair(system, name)).result();
  expect(result).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_FAILED' } });
  expect(happened(system, since)).toEqual(['process-ended', 'disk-kept', 'kept-dropped', 'process-started']);
  await judge(system);
});

it('waits for a person, and starts nothing, while the disks are not as they were; goes on when told to', async () => {
  const system = await unwell('beyond');
  system.controls.addRule({
    ...{ id: 'no-way-back', port: 'guestRepair', call: 'goBack' },
    then: {
      kind: 'fail-before',
      fault: { code: 'REPAIR_FAILED', facts: { what: 'going back', host: 'hv', vm: name } },
    },
  });
  const run = await repair(system, name);
  await untilVmPhase(run, 'stuck');
  expect(runsOn(system, system.vm(name))).toEqual([]);
  const alert = await eventually('it is told', async () =>
    (await system.inventory.alerts({ open: true })).find((a) => a.key.startsWith('vm-stuck:')),
  );
  expect(alert.sentence).toContain(`${diskOf(system, name)}.before-r`);
  system.controls.clearRule('no-way-back');
  await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said(), resolution: 'retry' }] });
  expect(await run.result()).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_NOT_HELPED' } });
  expect(runsOn(system, system.vm(name))).toEqual([system.host('a')]);
  await judge(system);
});

it('goes back when a person stops it half way', async () => {
  const system = await unwell('mendable');
  system.controls.addRule({
    ...{ id: 'slow', port: 'guestRepair', call: 'mend' },
    then: { kind: 'delay', ms: 600 },
  });
  const run = await repair(system, name);
  await eventually('the disks are kept', () => happened(system).includes('disk-kept'));
  await eventually('it mends', () => system.controls.struck('slow') > 0);
  await run.executeUpdate(abortUpdate, { args: [said('not now')] });
  expect(await run.result()).toMatchObject({ phase: 'guest-degraded', fault: { code: 'ABORTED' } });
  expect(happened(system)).toContain('disk-put-back');
  expect(runsOn(system, system.vm(name))).toEqual([system.host('a')]);
  await judge(system);
});

it('gives way to the recovery of its host when that fails before anything was written', async () => {
  const system = await unwell('mendable');
  system.controls.addRule({
    ...{ id: 'slow', port: 'guestRepair', call: 'keep' },
    then: { kind: 'delay', ms: 20_000 },
  });
  const run = await repair(system, name);
  await eventually('it keeps', () => system.controls.struck('slow') > 0);
  system.controls.clearRule('slow');
  system.controls.cutPower(system.host('a'));
  const recovery = await system.recoverHost('a');
  expect(await run.result()).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_FAILED' } });
  await recovery.result();
  expect(happened(system)).not.toContain('disk-mended');
  const [on] = runsOn(system, system.vm(name));
  expect(on).not.toBe(system.host('a'));
  await judge(system);
});

it('is finished by another worker when its own dies in the middle', async () => {
  const system = await unwell('mendable');
  system.controls.addRule({
    ...{ id: 'lost', port: 'guestRepair', call: 'mend', times: 1 },
    then: { kind: 'outcome-unknown', effect: true },
  });
  expect(await (await repair(system, name)).result()).toMatchObject({ phase: 'running' });
  expect(happened(system).filter((e) => e === 'disk-kept')).toHaveLength(1);
  await judge(system);
});

it('holds the ID of its VM: asked for twice it is one run, and other work is refused', async () => {
  const system = await unwell('mendable');
  system.controls.addRule({
    ...{ id: 'slow', port: 'guestRepair', call: 'keep' },
    then: { kind: 'delay', ms: 800 },
  });
  const recoveries = new RecoveryClient(doorOf(system));
  const request = { source: 'operator', by: 'alice', reason: 'emergency mode' } as const;
  const first = await recoveries.repairGuest(name, request);
  expect(first).toMatchObject({ answer: 'started', type: 'repairGuest' });
  expect(await recoveries.repairGuest(name, request)).toMatchObject({ answer: 'same', open: true });
  expect(await recoveries.restartVm(name, request)).toMatchObject({ answer: 'busy', type: 'repairGuest' });
  const run = system.client.workflow.getHandle(workflowIds.vm(system.vm(name)));
  expect(await run.result()).toMatchObject({ phase: 'running' });
});

it('rehearsed, it says what it would do and touches nothing', async () => {
  const system = await unwell('mendable');
  const since = now(system);
  const recoveries = new RecoveryClient(doorOf(system));
  const request = { source: 'operator', by: 'alice', reason: 'what would be done', rehearse: true } as const;
  const answer = await recoveries.repairGuest(name, request);
  const result = (await system.client.workflow.getHandle(answer.workflowId).result()) as RestartVmResult;
  expect(result.would.join('\n')).toMatch(/would stop .*\n.*would keep .*\n.*no journal is thrown away\n/);
  expect(happened(system, since)).toEqual([]);
});

describe('after a restart that ends unwell', () => {
  const restart = async (
    options: SystemOptions,
  ): Promise<{ system: RecoverySystem; result: RestartVmResult }> => {
    const system = await begin({ ...looked, ...options });
    system.controls.crashGuest(system.host('a'), system.vm(name));
    system.controls.damageDisk(diskOf(system, name), 'mendable');
    const run = await system.restartVm(name, { target: system.host('a') });
    return { system, result: await run.result() };
  };

  it('nothing is repaired unless an operator has switched it on for the pool', async () => {
    const { system, result } = await restart({});
    expect(result.phase).toBe('guest-degraded');
    expect(happened(system)).not.toContain('disk-kept');
  });

  it('is repaired under the same ID and in the same incident where he has', async () => {
    const { system, result } = await restart({ guestRepair: 'automatic' });
    expect(result).toMatchObject({ phase: 'running' });
    expect(happened(system)).toContain('disk-mended');
    const incidents = await system.inventory.incidents({ vmId: system.vm(name) });
    expect(incidents).toMatchObject([{ outcome: 'recovered' }]);
    await judge(system);
  });

  it('nothing is repaired in a cluster that does not act by itself', async () => {
    const { system, result } = await restart({ guestRepair: 'automatic', mode: 'approve' });
    expect(result.phase).toBe('guest-degraded');
    expect(happened(system)).not.toContain('disk-kept');
  });

  it('is repaired once, and left as it was when that did not help', async () => {
    const system = await begin({ ...looked, guestRepair: 'automatic' });
    system.controls.damageDisk(diskOf(system, name), 'beyond');
    system.controls.cutPower(system.host('a'));
    await (await system.recoverHost('a')).result();
    expect(happened(system).filter((e) => e === 'disk-mended')).toHaveLength(1);
    expect(runsOn(system, system.vm(name))).toHaveLength(1);
    expect(await openAlerts(system)).toContain(guestDegradedAlert(system.vm(name)));
    await judge(system);
  });
});

const failing = (['stopForRepair', 'keepDisks', 'mendDisks'] as const).flatMap((activity) =>
  (['before', 'after'] as const).map((when) => [activity, when] as const),
);

describe.each(seededSample(failing, 2))(
  `with %s failing for good %s its effect (seed ${sampleSeed})`,
  (activity, when) => {
    it('the guest runs again where it ran, on its disks as they were', async () => {
      const intercept: Intercept = async ({ name: called, act }) => {
        if (called !== activity) return act();
        if (when === 'after') await act();
        const why = fault('REPAIR_FAILED', { what: activity, vm: name, host: 'hv', detail: 'on order' });
        throw ApplicationFailure.create({
          type: why.code,
          message: why.sentence,
          nonRetryable: true,
          details: [why],
        });
      };
      const system = await unwell('mendable', { intercept });
      const result = await (await repair(system, name)).result();
      expect(result).toMatchObject({ phase: 'guest-degraded', fault: { code: 'REPAIR_FAILED' } });
      expect(system.controls.isDamaged(diskOf(system, name))).toBe(true);
      expect(runsOn(system, system.vm(name))).toEqual([system.host('a')]);
      const kept = happened(system).filter((e) => e === 'disk-kept').length;
      expect(happened(system).filter((e) => e === 'kept-dropped')).toHaveLength(kept);
      await judge(system);
    });
  },
);

it('a VM at rest that is not helped rests again, with its disks as they were', async () => {
  const system = await begin(looked);
  system.controls.shutDownGuest(system.host('a'), system.vm(name));
  system.controls.damageDisk(diskOf(system, name), 'beyond');
  const failure = await failureOf(await repair(system, name));
  expect(failure.message).toContain('did not help');
  expect(runsOn(system, system.vm(name))).toEqual([]);
  await judge(system, { down: [system.vm(name)] });
});
