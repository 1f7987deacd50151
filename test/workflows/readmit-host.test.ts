/** A host that came back: what is left on it may start nothing, then it takes VMs again. */
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds, type VmId } from '../../domain/ids';
import { judge } from '../support/judge';
import { discover, type RecoverySystem } from '../support/recovery-system';
import { actsOn, failureOf, systems } from '../support/story';

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
