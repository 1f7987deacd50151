/** An order that was taken is kept, also when it comes while something else is being decided; one that cannot be kept is refused. */
import type { WorkflowHandle } from '@temporalio/client';
import type { Activities } from '../../activities';
import { asFailure } from '../../activities/fault-boundary';
import { DriverFault } from '../../domain/faults';
import { sampleWorld } from '../../drivers/simulated/sample-world';
import type { WorldSpec } from '../../drivers/simulated/world-spec';
import { fenceDeviceId } from '../../domain/ids';
import { abortUpdate, attestFencedUpdate, holdUpdate, resumeUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { type Intercept, quickPolicy } from '../support/recovery-system';
import {
  actsOn,
  eventually,
  fencingRun,
  incidentOfHost,
  refusalOf,
  said,
  systems,
  timelineOf,
  untilPhase,
  untilVmPhase,
} from '../support/story';

const begin = systems();

/** How often a run has ordered an activity, and how often it has had its answer. */
async function activitiesOf(
  run: WorkflowHandle,
  name: keyof Activities,
): Promise<{ scheduled: number; completed: number }> {
  const events = (await run.fetchHistory()).events ?? [];
  const ordered = events.filter((e) => e.activityTaskScheduledEventAttributes?.activityType?.name === name);
  const ids = ordered.map((e) => String(e.eventId));
  const ended = events.filter((e) =>
    ids.includes(String(e.activityTaskCompletedEventAttributes?.scheduledEventId)),
  );
  return { scheduled: ordered.length, completed: ended.length };
}

/** Keeps the answer of an activity back until the test lets it go. */
function heldBack(activity: string): { intercept: Intercept; reached: Promise<void>; letGo: () => void } {
  let reach = (): void => undefined;
  let letGo = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const gone = new Promise<void>((resolve) => (letGo = resolve));
  return {
    reached,
    letGo: () => letGo(),
    async intercept({ name, act }) {
      const result = await act();
      if (name === activity) {
        reach();
        await gone;
      }
      return result;
    },
  };
}

describe('a fence that is held', () => {
  it('sends nothing after an attestation that was not taken', async () => {
    const system = await begin();
    await system.stopWorker();
    const fence = await system.fenceHost('a');
    const held = fence.executeUpdate(holdUpdate, { args: [said('let me look first')] });
    await system.startWorker();
    await held;
    await fence.executeUpdate(attestFencedUpdate, { args: [said('it looked dead to me')] });
    await eventually('the attestation refused', async () =>
      (await timelineOf(system, incidentOfHost(system, 'a'))).some((e) => e.sentence.includes('not taken')),
    );
    await eventually('the refusal heard', async () => (await activitiesOf(fence, 'attest')).completed === 1);
    // Whatever would follow it is ordered before the answer to an order that comes after it.
    await fence.executeUpdate(holdUpdate, { args: [said('still looking')] });
    expect(await activitiesOf(fence, 'fenceLevel')).toMatchObject({ scheduled: 0 });
    await fence.executeUpdate(resumeUpdate, { args: [said('go on')] });
    await expect(fence.result()).resolves.toMatchObject({ kind: 'fenced' });
    await judge(system, { down: system.vmsOf('a') });
  });

  it('while a level is tried does not begin the next level', async () => {
    const level = heldBack('fenceLevel');
    const system = await begin({ spec: withSecondLevel, intercept: level.intercept });
    system.controls.setDevice(system.spec.devices[0]!.id, { mode: 'silent' });
    system.controls.freeze(system.host('a'));
    const run = await system.recoverHost('a');
    await level.reached;
    await run.executeUpdate(holdUpdate, { args: [said('let me look first')] });
    level.letGo();
    const fence = fencingRun(system, 'a');
    await eventually('the level over', async () => (await activitiesOf(fence, 'fenceLevel')).completed > 0);
    await fence.executeUpdate(holdUpdate, { args: [said('still looking')] });
    expect(await activitiesOf(fence, 'fenceLevel')).toEqual({ scheduled: 1, completed: 1 });
    await run.executeUpdate(resumeUpdate, { args: [said('go on')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
    await judge(system);
  });
});

function withSecondLevel(prefix: string): WorldSpec {
  const plain = sampleWorld({ hosts: 3, vmsPerHost: 2, prefix, policy: quickPolicy });
  const feed = (host: string) => fenceDeviceId(`${host}-pdu`);
  return {
    ...plain,
    hosts: plain.hosts.map((h) => ({
      ...h,
      fenceLevels: [...h.fenceLevels, { name: 'power feed', devices: [feed(h.id)] }],
    })),
    devices: [
      ...plain.devices,
      ...plain.hosts.map((h) => ({ id: feed(h.id), wiredTo: h.id, kind: 'feed' as const })),
    ],
  };
}

describe('an incident that is stopped', () => {
  it('while its locks are being released starts no VM, although they come free', async () => {
    const released = heldBack('releaseHostLocks');
    const system = await begin({ storage: 'nfs', intercept: released.intercept });
    system.controls.cutPower(system.host('a'));
    const run = await system.recoverHost('a');
    await released.reached;
    await run.executeUpdate(abortUpdate, { args: [said('not now')] });
    released.letGo();
    await expect(run.result()).resolves.toMatchObject({ outcome: 'aborted' });
    expect(actsOn(system).some((a) => a.startsWith('hypervisor'))).toBe(false);
    await judge(system, { down: system.vmsOf('a') });
  });

  it('while its host is found to have rebooted starts no VM there', async () => {
    const looked = heldBack('lookAtHost');
    const system = await begin({ intercept: looked.intercept });
    system.controls.cutPower(system.host('a'));
    system.controls.powerOn(system.host('a'));
    const run = await system.recoverHost('a');
    await looked.reached;
    await run.executeUpdate(abortUpdate, { args: [said('not now')] });
    looked.letGo();
    const result = await run.result();
    expect(result.outcome).toBe('aborted');
    expect(result.sentence).toContain('vm-001, vm-004');
    expect(actsOn(system)).toEqual([]);
    await judge(system, { down: system.vmsOf('a') });
  });

  it('while it waits for a step that failed ends at once', async () => {
    const system = await begin({
      intercept({ name, act }) {
        if (name !== 'countTrouble') return act();
        throw asFailure(new DriverFault('UNKNOWN_HOST', { host: 'hv-x', known: 'hv-a' }));
      },
    });
    system.controls.cutPower(system.host('a'));
    const run = await system.recoverHost('a');
    await untilPhase(run, 'admitted');
    await eventually('asked for', async () => (await system.inventory.alerts({ open: true })).length > 0);
    await run.executeUpdate(abortUpdate, { args: [said('the config is wrong')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'aborted' });
    await judge(system, { down: system.vmsOf('a') });
  });
});

it('refuses to take a VM back that was found running: there is nothing to take back', async () => {
  const system = await begin({ policy: { health: { kind: 'guest-agent', timeoutMs: 1_000 } } });
  system.controls.setHealth(system.vm('vm-001'), 'never');
  const run = await system.restartVm('vm-001');
  await untilVmPhase(run, 'verifying');
  expect(await refusalOf(run.executeUpdate(abortUpdate, { args: [said('not now')] }))).toContain(
    'there is no way back',
  );
  await expect(run.result()).resolves.toMatchObject({ phase: 'guest-degraded' });
  await judge(system);
});

it('ends no process of a paused VM after a person has stopped its recovery, or while one holds it', async () => {
  const found = heldBack('findVm');
  const watch = { ...quickPolicy.watch, onIoError: 'restart' } as const;
  const system = await begin({ policy: { watch }, intercept: found.intercept });
  const [vm] = system.vmsOf('a');
  if (vm === undefined) throw new Error('no VM on a');
  system.controls.pauseGuest(system.host('a'), vm, 'io-error');
  const run = await system.restartVm('vm-001', { cause: 'missing' });
  await found.reached;
  await run.executeUpdate(holdUpdate, { args: [said('let me look first')] });
  found.letGo();
  await eventually('it is found', async () => (await activitiesOf(run, 'findVm')).completed > 0);
  await run.executeUpdate(holdUpdate, { args: [said('still looking')] });
  expect(await activitiesOf(run, 'freePausedVm')).toMatchObject({ scheduled: 0 });
  await run.executeUpdate(abortUpdate, { args: [said('its disk is being mended')] });
  await run.result().catch(() => undefined);
  expect(await activitiesOf(run, 'freePausedVm')).toMatchObject({ scheduled: 0 });
  expect(system.controls.snapshot().processes.filter((p) => p.vmId === vm)).toMatchObject([
    { state: 'paused' },
  ]);
});
