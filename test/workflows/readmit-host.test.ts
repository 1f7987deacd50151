/** A host that came back: what is left on it may start nothing, then it takes VMs again. */
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds, type VmId } from '../../domain/ids';
import { judge } from '../support/judge';
import { discover, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, failureOf, systems } from '../support/story';

const begin = systems();
const request = { by: 'alice', reason: 'its power supply was replaced', source: 'operator' } as const;

const door = (system: RecoverySystem): RecoveryClient => {
  const { client, inventory, fleet, taskQueue } = system;
  return new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'the test server' });
};

const runOf = (system: RecoverySystem) =>
  system.client.workflow.getHandle(workflowIds.host(system.host('a')));

/** hv-a was fenced, its VMs run elsewhere, and now it is back with its old definitions. */
async function returned() {
  const system = await begin();
  const a = system.host('a');
  system.controls.cutPower(a);
  expect(await (await system.recoverHost('a')).result()).toMatchObject({ outcome: 'recovered' });
  system.controls.powerOn(a);
  await discover(system.ports, system.fleet);
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
  return { system, a, vms: system.vmsOf('a') };
}

it('takes stale definitions away, switches autostart off, and puts the host into service with its present boot', async () => {
  const { system, a, vms } = await returned();
  const own = await system.inventory.vm(vms[0] as VmId);
  await door(system).readmitHost(a, request);
  expect(await runOf(system).result()).toMatchObject({ kind: 'readmitted' });
  const { vms: listed } = await system.ports.hypervisor.list(a, new AbortController().signal);
  expect(listed).toEqual([]);
  const record = await system.inventory.host(a);
  expect(record).toMatchObject({ standing: 'in-service' });
  expect(own?.hostId).not.toBe(a);
  const [incident] = await system.inventory.incidents({ hostId: a, limit: 1 });
  expect(incident).toMatchObject({ epoch: 2, outcome: 'recovered', phase: 'readmitted' });
  await judge(system);
});

it('only says in a rehearsal what it would take away', async () => {
  const { system, a } = await returned();
  const before = actsOn(system).length;
  const answer = await door(system).readmitHost(a, { ...request, rehearse: true });
  const run = system.client.workflow.getHandle(answer.workflowId);
  const { would } = (await run.result()) as { would: string[] };
  expect(would.filter((w) => w.startsWith('would take the definition'))).toHaveLength(2);
  expect(actsOn(system)).toHaveLength(before);
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
});

it('keeps a host out that runs a VM which belongs elsewhere, and touches nothing of it', async () => {
  const system = await begin({ storage: 'lvm' });
  const a = system.host('a');
  const [vm] = system.vmsOf('b') as [VmId];
  const text = (await system.inventory.definition(vm))?.text ?? '';
  const path = system.spec.vms.find((v) => v.id === vm)?.disks[0]?.path ?? '';
  const record = await system.inventory.host(a);
  await system.inventory.updateHost(a, record?.version ?? 0, { standing: 'quarantined' });
  system.controls.setActive(path, a, true);
  expect(system.controls.createByHand(a, text)).toBe(true);
  await door(system).readmitHost(a, request);
  expect(await failureOf(runOf(system))).toMatchObject({ type: 'ReadmissionRefused' });
  expect(actsOn(system)).toEqual([]);
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
});

it('keeps a host out that does not answer', async () => {
  const { system, a } = await returned();
  system.controls.setNetwork(a, 'cut');
  await door(system).readmitHost(a, request);
  expect(await failureOf(runOf(system))).toMatchObject({ type: 'ReadmissionRefused' });
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
});

it('is refused while a recovery of the host is under way, and refuses nothing of it', async () => {
  const system = await begin();
  const a = system.host('a');
  system.controls.cutPower(a, { bmcToo: true });
  await system.recoverHost('a');
  expect(await door(system).readmitHost(a, request)).toMatchObject({ answer: 'busy', type: 'recoverHost' });
});

describe('a host that fails again while it is readmitted', () => {
  /** The readmission is under way, and the host's list takes its time. */
  async function underWay() {
    const { system, a } = await returned();
    system.controls.addRule({
      ...{ id: 'slow', port: 'hypervisor', call: 'list', target: a },
      then: { kind: 'delay', ms: 1_500 },
    });
    await door(system).readmitHost(a, request);
    await eventually('it is asked for its list', () => system.controls.struck('slow') > 0);
    return { system, a };
  }
  const report = { source: 'webhook', by: 'alertmanager', reason: 'hv-a does not answer' } as const;

  it('is recovered under the same ID, as an incident of its own', async () => {
    const { system, a } = await underWay();
    system.controls.cutPower(a);
    const answer = await door(system).recoverHost(a, report);
    expect(answer).toMatchObject({ answer: 'started', type: 'recoverHost' });
    expect(await runOf(system).result()).toMatchObject({
      incidentId: answer.incidentId,
      outcome: 'recovered',
    });
    const [third, second] = await system.inventory.incidents({ hostId: a, limit: 2 });
    expect(third).toMatchObject({
      epoch: 3,
      incidentId: answer.incidentId,
      triggers: [{ by: 'alertmanager' }],
    });
    expect(second).toMatchObject({
      epoch: 2,
      outcome: 'aborted',
      summary: expect.stringContaining('failed again') as string,
    });
    expect(await system.inventory.evidenceFor(a)).toBeDefined();
    await judge(system);
  });

  it('is readmitted all the same when the report is a late one: it answers', async () => {
    const { system, a } = await underWay();
    expect(await door(system).recoverHost(a, report)).toMatchObject({ answer: 'busy', type: 'readmitHost' });
    system.controls.clearRules();
    expect(await runOf(system).result()).toMatchObject({ kind: 'readmitted' });
    expect((await system.inventory.host(a))?.standing).toBe('in-service');
    await judge(system);
  });
});
