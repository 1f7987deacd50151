/** What is answered to a person claims no more than is known, also at the edges of a fence's life; and what may still happen is not forgotten. */
import { incidentId } from '../../domain/ids';
import { limits } from '../../domain/limits';
import {
  abortUpdate,
  attestFencedUpdate,
  holdUpdate,
  resolveStuckUpdate,
  resumeUpdate,
} from '../../workflows/messages';
import { judge } from '../support/judge';
import {
  actsOn,
  eventually,
  failureOf,
  fencingRun,
  refusalOf,
  runsOn,
  said,
  statusOf,
  systems,
  untilPhase,
  untilVmPhase,
} from '../support/story';
import { unfencedRecovery } from '../support/unfenced';
import type { Intercept } from '../support/recovery-system';

const begin = systems();
afterEach(() => jest.restoreAllMocks());

/** Keeps the answer of an activity back until the test lets it go. */
function heldBack(activity: string) {
  let reach = (): void => undefined;
  let letGo = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const gone = new Promise<void>((resolve) => (letGo = resolve));
  const intercept: Intercept = async ({ name, act }) => {
    const result = await act();
    if (name !== activity) return result;
    reach();
    await gone;
    return result;
  };
  return { intercept, reached, letGo: () => letGo() };
}

describe('between the end of a fence and its incident hearing of it', () => {
  async function atTheEdge() {
    const edge = heldBack('awaitRun');
    const system = await begin({ intercept: edge.intercept });
    system.controls.cutPower(system.host('a'));
    const device = system.spec.devices[0]!.id;
    system.controls.setDevice(device, { mode: 'silent' });
    const fence = await system.fenceHost('a');
    await eventually('its first attempt', async () => {
      const [open] = await system.inventory.incidents({ hostId: system.host('a') });
      return open?.phase === 'blocked-unfenced';
    });
    const run = await system.recoverHost('a');
    await untilPhase(run, 'fencing').catch(() => undefined);
    system.controls.setDevice(device, { mode: 'works' });
    await fence.executeUpdate(resumeUpdate, { args: [said('the BMC is back')] }).catch(() => undefined);
    expect(await fence.result()).toMatchObject({ kind: 'fenced' });
    await edge.reached;
    return { system, run, edge };
  }

  it('takes a hold and an abort, because they count, and refuses an attestation, because nobody hears it', async () => {
    const { system, run, edge } = await atTheEdge();
    expect(await run.executeUpdate(holdUpdate, { args: [said('wait')] })).toContain('held');
    expect(await refusalOf(run.executeUpdate(attestFencedUpdate, { args: [said('it is off')] }))).toContain(
      'no fence is under way',
    );
    expect(await run.executeUpdate(abortUpdate, { args: [said('not now')] })).toContain('stops before');
    edge.letGo();
    await expect(run.result()).resolves.toMatchObject({ outcome: 'aborted' });
    expect(actsOn(system).some((act) => act.startsWith('hypervisor'))).toBe(false);
    await judge(system, { down: system.vmsOf('a') });
  });
});

it('refuses whatever is said to a fence that is over, and names its end', async () => {
  const told = heldBack('closeIncident');
  const system = await begin({ intercept: told.intercept });
  const fence = await system.fenceHost('a');
  await told.reached;
  for (const update of [abortUpdate, holdUpdate, resumeUpdate, attestFencedUpdate])
    expect(await refusalOf(fence.executeUpdate(update, { args: [said()] }))).toBe(
      'this fence is over (fenced)',
    );
  told.letGo();
  await fence.result();
  await judge(system, { down: system.vmsOf('a') });
});

it("says of a person's word that it is noted, and not that it is proof, before the host was asked", async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  await fencingRun(system, 'a').executeUpdate(holdUpdate, { args: [said('let me look')] });
  const answer = await run.executeUpdate(attestFencedUpdate, { args: [said('I pulled its plug')] });
  expect(answer).toContain('is asked once more, and counts as off unless it answers');
  await eventually('it goes on', async () => (await statusOf(run)).phase !== 'blocked-unfenced');
  await fencingRun(system, 'a')
    .executeUpdate(resumeUpdate, { args: [said('go on')] })
    .catch(() => undefined);
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

describe('a proof that has aged, with a device that is silent by now', () => {
  async function blockedByAge() {
    const silence = { now: (): void => undefined };
    const system = await begin({
      storage: 'nfs',
      async intercept({ name, act }) {
        if (name === 'releaseHostLocks') silence.now();
        return act();
      },
    });
    const changeable: { evidenceAgeMsMax: number } = limits;
    jest.replaceProperty(changeable, 'evidenceAgeMsMax', 1);
    const device = system.spec.devices[0]!.id;
    silence.now = () => system.controls.setDevice(device, { mode: 'silent' });
    system.controls.cutPower(system.host('a'));
    const run = await system.recoverHost('a');
    const status = await untilPhase(run, 'blocked-locks');
    return { system, run, status };
  }

  it('is renewed by the attestation that is advised, and the incident goes on by it', async () => {
    const { system, run, status } = await blockedByAge();
    expect(status.nextCommand).toContain('vmedic incident attest-fenced');
    const answer = await run.executeUpdate(attestFencedUpdate, { args: [said('I pulled its plug')] });
    expect(answer).toContain('taken as proof');
    await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
    await judge(system);
  });

  it('is not renewed while the host answers', async () => {
    const { system, run } = await blockedByAge();
    system.controls.powerOn(system.host('a'));
    expect(await refusalOf(run.executeUpdate(attestFencedUpdate, { args: [said('it is off')] }))).toContain(
      'the proof does not hold',
    );
    expect(actsOn(system).some((act) => act.startsWith('hypervisor.start'))).toBe(false);
    await run.executeUpdate(abortUpdate, { args: [said('it is back')] });
    await run.result();
  });
});

describe('a start that was ordered and never answered for', () => {
  async function orderedOn(letter: string) {
    const system = await begin();
    const target = system.host(letter);
    system.controls.cutPower(system.host('a'));
    await (await system.fenceHost('a')).result();
    system.controls.addRule({
      ...{ id: 'hangs', port: 'hypervisor', call: 'start', times: 1 },
      then: { kind: 'world', when: 'before', control: 'hangDaemon', args: [target] },
    });
    const run = await system.restartVm('vm-001', { target });
    await untilVmPhase(run, 'stuck');
    const vm = system.vm('vm-001');
    // What a readmission, or a person, has taken away there since.
    await system.inventory.removeSighting(vm, target);
    return { system, run, target, vm };
  }

  it.each([
    ['given up by a person', 'give-up'],
    ['ended from outside', 'terminate'],
  ])('keeps its VM from every other host after its run was %s', async (_, how) => {
    const { system, run, target, vm } = await orderedOn('b');
    if (how === 'terminate') await run.terminate('by hand');
    else
      await run.executeUpdate(resolveStuckUpdate, {
        args: [{ ...said('no time'), resolution: 'give-up' }],
      });
    await run.result().catch(() => undefined);
    const epoch = how === 'terminate' ? 1 : 2;
    const again = await system.restartVm('vm-001', {
      ...{ target: system.host('c'), epoch },
      incidentId: incidentId({ kind: 'vm', vmId: vm }, epoch),
    });
    expect(await failureOf(again)).toMatchObject({ message: expect.stringContaining(target) as string });
    expect(runsOn(system, vm)).toEqual([]);
    system.controls.resumeDaemon(target);
    await eventually('the order is carried out', () => runsOn(system, vm).length > 0);
    const third = await system.restartVm('vm-001', {
      ...{ target: system.host('c'), epoch: epoch + 1 },
      incidentId: incidentId({ kind: 'vm', vmId: vm }, epoch + 1),
    });
    await expect(third.result()).resolves.toMatchObject({ phase: 'running', target });
    expect(runsOn(system, vm)).toEqual([target]);
  });

  it('is forgotten once its host is proven off', async () => {
    const { system, run, target, vm } = await orderedOn('b');
    await run.terminate('by hand');
    system.controls.cutPower(target);
    const fence = await system.fenceHost('b');
    await fence.result();
    const again = await system.restartVm('vm-001', {});
    await expect(again.result()).resolves.toMatchObject({ phase: 'running', target: system.host('c') });
    await judge(system, { down: [...system.vmsOf('a'), ...system.vmsOf('b')].filter((v) => v !== vm) });
  });
});
