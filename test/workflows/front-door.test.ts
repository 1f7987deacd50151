import { RecoveryClient } from '../../client/recovery-client';
import { follow } from '../../client/follow';
import { giveOrder } from '../../client/orders';
import type { Request, RunRef, StartAnswer } from '../../client/answers';
import { incidentId, workflowIds } from '../../domain/ids';
import { type RecoverySystem, recoverySystem } from '../support/recovery-system';
import { runsOn } from '../support/story';

const request: Request = { source: 'operator', by: 'tester', reason: 'no power' };

let system: RecoverySystem;
let door: RecoveryClient;

const open = async (): Promise<void> => {
  system = await recoverySystem();
  const { client, inventory, fleet, taskQueue } = system;
  door = new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'the test server' });
};

const runsOf = async (workflowId: string): Promise<number> => {
  let runs = 0;
  for await (const run of system.client.workflow.list({ query: `WorkflowId = "${workflowId}"` }))
    runs += run.runId === '' ? 0 : 1;
  return runs;
};

const followed = (answer: StartAnswer) => {
  if (answer.answer === 'busy') throw new Error('busy');
  return follow(system, answer, { everyMs: 20 });
};

beforeEach(open);
afterEach(() => system.close());

describe('the front door', () => {
  it('answers 50 triggers at once with one run, and keeps each of them in the incident', async () => {
    const { hostId: id, deviceId } = bmcOf('a');
    // A silent BMC keeps the incident open until every trigger has come.
    system.controls.setDevice(deviceId, { mode: 'silent' });
    system.controls.cutPower(id);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        door.recoverHost(system.host('a'), { ...request, reason: `alert ${i}` }),
      ),
    );
    const started = answers.filter((a) => a.answer === 'started');
    expect(started).toHaveLength(1);
    expect(new Set(answers.map((a) => a.incidentId))).toEqual(
      new Set([incidentId({ kind: 'host', hostId: system.host('a') }, 1)]),
    );
    expect(answers.filter((a) => a.answer === 'busy')).toEqual([]);
    system.controls.setDevice(deviceId, { mode: 'works' });
    const ending = await follow(system, started[0] as RunRef, { everyMs: 20, throughWaiting: true });
    expect(ending).toMatchObject({
      kind: 'finished',
      result: { outcome: 'recovered' },
    });
    expect(await runsOf(workflowIds.host(system.host('a')))).toBe(1);
    const kept = (await system.inventory.incidents({ hostId: system.host('a') })).flatMap((i) => i.triggers);
    expect(kept.map((t) => t.reason).sort()).toEqual(
      Array.from({ length: 50 }, (_, i) => `alert ${i}`).sort(),
    );
  });

  it('knows a trigger that comes after the recovery for the same incident, and starts nothing', async () => {
    system.controls.cutPower(system.host('a'));
    const first = await door.recoverHost(system.host('a'), request);
    await followed(first);
    const late = await door.recoverHost(system.host('a'), request);
    expect(late).toMatchObject({ answer: 'same', open: false, incidentId: first.incidentId });
    expect(await runsOf(workflowIds.host(system.host('a')))).toBe(1);
  });

  it('opens a new incident when the first ended as a false alarm', async () => {
    const alive = await door.recoverHost(system.host('a'), request);
    expect(await followed(alive)).toMatchObject({ kind: 'finished', result: { outcome: 'dismissed' } });
    system.controls.cutPower(system.host('a'));
    const real = await door.recoverHost(system.host('a'), request);
    expect(real).toMatchObject({
      answer: 'started',
      incidentId: incidentId({ kind: 'host', hostId: system.host('a') }, 2),
    });
    expect(await followed(real)).toMatchObject({ result: { outcome: 'recovered' } });
  });

  it('a fence on its own is no recovery: its VMs are recovered by the next request', async () => {
    const fence = await door.fenceHost(system.host('a'), request);
    expect(await followed(fence)).toMatchObject({ kind: 'finished', result: { kind: 'fenced' } });
    const recovery = await door.recoverHost(system.host('a'), request);
    expect(recovery).toMatchObject({ answer: 'started' });
    expect(await followed(recovery)).toMatchObject({ result: { outcome: 'recovered' } });
  });

  it('refuses a host or a VM that other work holds, and says which', async () => {
    const { hostId: id, deviceId } = bmcOf('a');
    system.controls.setDevice(deviceId, { mode: 'silent' });
    system.controls.cutPower(id);
    const recovery = await door.recoverHost(id, request);
    expect(await followed(recovery)).toMatchObject({
      kind: 'waits',
      incident: { phase: 'blocked-unfenced' },
    });
    expect(await door.fenceHost(id, request)).toMatchObject({
      answer: 'busy',
      type: 'recoverHost',
      incidentId: recovery.incidentId,
    });
    const said = { by: 'tester', reason: 'pulled the cord' };
    const to = { ...system, address: 'the test server' };
    await giveOrder(to, String(recovery.incidentId), { update: 'attestFenced' }, said);
    expect(await followed(recovery)).toMatchObject({ kind: 'finished', result: { outcome: 'recovered' } });
    await expect(giveOrder(to, String(recovery.incidentId), { update: 'abort' }, said)).rejects.toMatchObject(
      { code: 'INCIDENT_CLOSED' },
    );
  });

  it("an order without a reason is refused with the run's own sentence", async () => {
    const { hostId: id, deviceId } = bmcOf('a');
    system.controls.setDevice(deviceId, { mode: 'silent' });
    system.controls.cutPower(id);
    const recovery = await door.recoverHost(id, request);
    await followed(recovery);
    const to = { ...system, address: 'the test server' };
    await expect(
      giveOrder(to, String(recovery.incidentId), { update: 'attestFenced' }, { by: 'tester', reason: ' ' }),
    ).rejects.toMatchObject({ kind: 'refused', message: expect.stringContaining('say why') as unknown });
    await giveOrder(
      to,
      String(recovery.incidentId),
      { update: 'attestFenced' },
      { by: 'tester', reason: 'saw it' },
    );
    expect(await followed(recovery)).toMatchObject({ kind: 'finished' });
  });

  it('goes on with an incident whose run was ended from outside, under the same number', async () => {
    const { hostId: id, deviceId } = bmcOf('a');
    system.controls.setDevice(deviceId, { mode: 'silent' });
    system.controls.cutPower(id);
    const first = await door.recoverHost(id, request);
    await followed(first);
    await system.client.workflow.getHandle(workflowIds.fence(id)).terminate('somebody did');
    await system.client.workflow.getHandle(first.workflowId).terminate('somebody did');
    system.controls.setDevice(deviceId, { mode: 'works' });
    const second = await door.recoverHost(id, request);
    expect(second).toMatchObject({ answer: 'started', incidentId: first.incidentId });
    expect(await followed(second)).toMatchObject({ kind: 'finished', result: { outcome: 'recovered' } });
  });

  it("a rehearsal stands in nobody's way and touches nothing", async () => {
    system.controls.cutPower(system.host('a'));
    const rehearsal = await door.recoverHost(system.host('a'), { ...request, rehearse: true });
    const real = await door.recoverHost(system.host('a'), request);
    expect([rehearsal.answer, real.answer]).toEqual(['started', 'started']);
    const ending = await followed(rehearsal);
    expect(ending).toMatchObject({ kind: 'finished', result: { outcome: 'rehearsed' } });
    await followed(real);
    expect((await system.inventory.incidents()).map((i) => i.incidentId)).toEqual([real.incidentId]);
  });

  it('restarts a VM by its name, and a VM that runs is left alone', async () => {
    const name = system.spec.vms[0]?.name ?? '';
    system.controls.destroyByHand(system.spec.vms[0]?.hostId as never, system.vm(name));
    const answer = await door.restartVm(name, request);
    expect(await followed(answer)).toMatchObject({ kind: 'finished', result: { phase: 'running' } });
    const again = await followed(await door.restartVm(name, request));
    expect(again.kind).not.toBe('waits');
    expect(runsOn(system, system.vm(name))).toHaveLength(1);
  });
});

function bmcOf(letter: string) {
  const host = system.spec.hosts.find((h) => h.id === system.host(letter));
  const deviceId = host?.fenceLevels[0]?.devices[0];
  if (host === undefined || deviceId === undefined) throw new Error(`no BMC of ${letter} in this world`);
  return { hostId: host.id, deviceId };
}
