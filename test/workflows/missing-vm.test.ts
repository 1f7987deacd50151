/** A VM that stops on a host that lives: left alone for a grace, proven to run nowhere, and started again within its budget. */
import type { Ports } from '../../activities/ports';
import { incidentId, type VmId, workflowIds } from '../../domain/ids';
import type { IncidentRecord } from '../../domain/records';
import { approveFencingUpdate, resolveStuckUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, failureOf, runsOn, said, systems, watchRounds } from '../support/story';

const begin = systems();

const ofVm = async (system: RecoverySystem, vm: VmId): Promise<IncidentRecord[]> =>
  system.inventory.incidents({ vmId: vm });

const closed = (system: RecoverySystem, vm: VmId, epoch = 1): Promise<IncidentRecord> =>
  eventually(`incident ${epoch} closed`, async () =>
    (await ofVm(system, vm)).find((i) => i.epoch === epoch && i.closedAt !== undefined),
  );

const opened = (system: RecoverySystem, vm: VmId): Promise<IncidentRecord> =>
  eventually('an incident', async () => (await ofVm(system, vm))[0]);

async function watched(options: Parameters<typeof begin>[0] = {}) {
  const system = await begin(options);
  await system.watch();
  const [vm] = system.vmsOf('a');
  return { system, vm: vm as VmId, a: system.host('a'), b: system.host('b') };
}

const slowGrace = { policy: { watch: { ...quickPolicy.watch, vmGraceMs: 3_000 } } } as const;

it.each([
  ['destroyed', 2],
  ['destroyed, the only one of its host', 1],
])('starts a VM again that was %s, on its own host, once', async (_, vmsPerHost) => {
  const { system, vm, a } = await watched({ vmsPerHost });
  system.controls.destroyByHand(a, vm);
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  expect(runsOn(system, vm)).toEqual([a]);
  await watchRounds(system, 'a');
  expect(await ofVm(system, vm)).toHaveLength(1);
  expect(actsOn(system).filter((act) => act.startsWith('fencing'))).toEqual([]);
  await judge(system);
});

it('takes a VM up at once that is gone again before anybody saw it back', async () => {
  // Looks alone, and few of them: none falls between its return and its second loss.
  const system = await begin({ wrap: (ports) => ({ ...ports, hints: { follow: () => Promise.resolve() } }) });
  await system.watch(1_000);
  const [vm] = system.vmsOf('a') as [VmId];
  const a = system.host('a');
  system.controls.destroyByHand(a, vm);
  await closed(system, vm);
  system.controls.destroyByHand(a, vm);
  expect(await closed(system, vm, 2)).toMatchObject({ outcome: 'recovered' });
  expect(runsOn(system, vm)).toEqual([a]);
  await judge(system);
});

it('starts a VM again that crashed, and one whose definition is gone as well', async () => {
  const { system, a } = await watched();
  const [first, second] = system.vmsOf('a') as [VmId, VmId];
  system.controls.crashGuest(a, first);
  system.controls.destroyByHand(a, second);
  system.controls.undefineByHand(a, second);
  await closed(system, first);
  await closed(system, second);
  expect([...runsOn(system, first), ...runsOn(system, second)]).toEqual([a, a]);
  await judge(system);
});

it('does nothing about a VM that is back before its grace ends', async () => {
  const { system, vm, a } = await watched(slowGrace);
  system.controls.destroyByHand(a, vm);
  await opened(system, vm);
  expect(system.controls.startByHand(a, vm)).toBe(true);
  expect(await closed(system, vm)).toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('makes nothing of a single list that lacks a VM', async () => {
  const { system, vm, a } = await watched();
  const { vms } = await system.ports.hypervisor.list(a, new AbortController().signal);
  system.controls.addRule({
    ...{ id: 'empty', port: 'hypervisor', call: 'list', target: a, times: 1 },
    then: { kind: 'lie', answer: { vms: vms.filter((v) => v.vmId !== vm) } },
  });
  await eventually('the lie was told', () => system.controls.struck('empty') === 1);
  await watchRounds(system, 'a', 10);
  expect(await ofVm(system, vm)).toEqual([]);
});

it('neither stops nor starts a VM that somebody migrated away', async () => {
  const { system, vm, a, b } = await watched();
  system.controls.migrateByHand(a, b, vm);
  await eventually('the record follows', async () => (await system.inventory.vm(vm))?.hostId === b);
  await watchRounds(system, 'a', 10);
  expect(runsOn(system, vm)).toEqual([b]);
  const all = await ofVm(system, vm);
  expect(all.filter((i) => i.outcome !== 'dismissed')).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

it('does not start a VM that vanished while another host of its cluster cannot be read: it may run there', async () => {
  const { system, vm, a, b } = await watched({ hosts: 4, transientEvery: 1 });
  system.controls.migrateByHand(a, b, vm);
  system.controls.setNetwork(b, 'cut');
  const stopped = await system.inventory.host(b);
  await system.inventory.updateHost(b, stopped?.version ?? 0, { standing: 'maintenance' });
  const waits = await eventually('it waits', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key === `vm-waits:${vm}`),
  );
  expect(waits.sentence).toContain('may run where nobody can look');
  expect(runsOn(system, vm)).toEqual([b]);
  system.controls.setNetwork(b, 'up');
  expect(await closed(system, vm)).toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
});

it('leaves a VM down that its guest shut down, and starts it when its policy says so', async () => {
  const grace = { watch: { ...quickPolicy.watch, vmGraceMs: 20 } };
  const { system, a } = await watched({ policy: grace, vms: { 'vm-001': { guestShutdown: 'restart' } } });
  const [restarts, stays] = system.vmsOf('a') as [VmId, VmId];
  system.controls.shutDownGuest(a, restarts);
  system.controls.shutDownGuest(a, stays);
  expect(await closed(system, restarts)).toMatchObject({ outcome: 'recovered' });
  await eventually(
    'it is not wanted any more',
    async () => (await system.inventory.vm(stays))?.desired === 'stopped',
  );
  await watchRounds(system, 'a');
  expect(runsOn(system, stays)).toEqual([]);
  expect(await ofVm(system, stays)).toEqual([]);
  expect(system.controls.startByHand(a, stays)).toBe(true);
  await eventually(
    'it is wanted again',
    async () => (await system.inventory.vm(stays))?.desired === 'running',
  );
});

it('says why nothing is done about a VM that is to run and is down, until it runs', async () => {
  const leave = { ...quickPolicy.watch, missingVms: 'leave', vmGraceMs: 20 } as const;
  const { system, vm, a } = await watched({ policy: { watch: leave } });
  system.controls.destroyByHand(a, vm);
  const told = await eventually('the reason', async () => (await system.inventory.alerts({ open: true }))[0]);
  expect(told).toMatchObject({
    key: `left-alone:${vm}:${a}`,
    nextCommand: expect.stringContaining('vm restart'),
  });
  expect(told.sentence).toContain('missingVms: leave');
  expect(system.controls.startByHand(a, vm)).toBe(true);
  await eventually('it is over', async () => (await system.inventory.alerts({ open: true })).length === 0);
  expect(await ofVm(system, vm)).toEqual([]);
});

it('leaves a VM alone that a person has paused, or that is not protected', async () => {
  const { system, a } = await watched();
  const [paused, bare] = system.vmsOf('a') as [VmId, VmId];
  const record = await system.inventory.vm(bare);
  await system.inventory.updateVm(bare, record?.version ?? 0, { protected: false });
  system.controls.pauseGuest(a, paused);
  system.controls.destroyByHand(a, bare);
  await watchRounds(system, 'a', 10);
  expect(await system.inventory.incidents()).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

it('only records a VM that is missing where that is left to another system', async () => {
  const policy = { watch: { ...quickPolicy.watch, missingVms: 'leave' } } as const;
  const { system, a } = await watched({ policy, transientEvery: 1 });
  const [gone] = system.vmsOf('a') as [VmId];
  system.controls.destroyByHand(a, gone);
  await eventually(
    'it is recorded',
    async () => (await system.inventory.vm(gone))?.observed.state === 'missing',
  );
  await watchRounds(system, 'a', 10);
  expect(await system.inventory.incidents()).toEqual([]);
  expect(actsOn(system)).toEqual([]);
});

const onIoError = (how: 'resume' | 'restart' | 'leave', vmGraceMs = 150) => ({
  policy: { watch: { ...quickPolicy.watch, onIoError: how, vmGraceMs } },
});

it('lets a VM go on that its host has paused on an I/O error, where it stands', async () => {
  const { system, vm, a } = await watched(onIoError('resume'));
  system.controls.pauseGuest(a, vm, 'io-error');
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  const { processes } = system.controls.snapshot();
  expect(processes.filter((p) => p.vmId === vm)).toMatchObject([{ hostId: a, state: 'running' }]);
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('tries again, ever more seldom, while the disk still fails, by one incident and one alert', async () => {
  const { system, vm, a } = await watched(onIoError('resume'));
  system.controls.addRule({
    ...{ id: 'fails', port: 'hypervisor', call: 'resume', times: 2 },
    then: { kind: 'world', when: 'after', control: 'pauseGuest', args: [a, vm, 'io-error'] },
  });
  system.controls.pauseGuest(a, vm, 'io-error');
  const waits = await eventually('it waits', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key === `vm-waits:${vm}`),
  );
  expect(waits.sentence).toMatch(/paused \(io-error\).*(its disk still fails|as before)/);
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  expect(await ofVm(system, vm)).toHaveLength(1);
  await eventually(
    'its alert is over',
    async () => (await system.inventory.alerts({ open: true })).length === 0,
  );
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('ends the paused process first where the policy is to restart, so that there are never two', async () => {
  const { system, vm, a } = await watched(onIoError('restart'));
  system.controls.pauseGuest(a, vm, 'io-error');
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  expect(runsOn(system, vm)).toEqual([a]);
  const { processes } = system.controls.snapshot();
  const [first, second, ...more] = processes.filter((p) => p.vmId === vm);
  expect(more).toEqual([]);
  expect(first?.endedSeq).toBeLessThan(second?.startedSeq ?? 0);
  await judge(system);
});

it('does not end the process of a paused VM that could not be started again: its disk lies in no pool', async () => {
  const wrap = (ports: Ports): Ports => {
    const definitions: Ports['hypervisor']['definitions'] = async (...args) =>
      (await ports.hypervisor.definitions(...args)).map((read) => ({
        ...read,
        shape: { ...read.shape, disks: read.shape.disks.map((d) => ({ ...d, poolId: undefined })) },
      }));
    const hypervisor = Object.assign(Object.create(ports.hypervisor) as Ports['hypervisor'], { definitions });
    return { ...ports, hypervisor };
  };
  const { system, vm, a } = await watched({ ...onIoError('restart'), wrap });
  await eventually('its disk is known to lie nowhere', async () =>
    (await system.inventory.vm(vm))?.shape.disks.every((d) => d.poolId === undefined),
  );
  system.controls.pauseGuest(a, vm, 'io-error');
  const waits = await eventually('it waits', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key === `vm-waits:${vm}`),
  );
  expect(waits.sentence).toMatch(/paused \(io-error\).*no lock strategy/);
  expect(runsOn(system, vm)).toEqual([a]);
  expect(actsOn(system)).toEqual([]);
});

it('does nothing about a paused VM that a person lets go on before its grace ends', async () => {
  const { system, vm, a } = await watched(onIoError('restart', 3_000));
  system.controls.pauseGuest(a, vm, 'io-error');
  await opened(system, vm);
  system.controls.resumeGuest(a, vm);
  expect(await closed(system, vm)).toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
});

it('leaves a VM that is kept as it crashed to a person, unless its policy is to restart', async () => {
  const { system, vm, a } = await watched(onIoError('resume'));
  system.controls.pauseGuest(a, vm, 'crashed and preserved: panicked');
  const waits = await eventually('it waits', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key === `vm-waits:${vm}`),
  );
  expect(waits.sentence).toContain('it may write again');
  expect(runsOn(system, vm)).toEqual([a]);
  expect(actsOn(system)).toEqual([]);
});

it('waits with a paused VM where that is the policy, and says why: its process may write again', async () => {
  const { system, vm, a } = await watched(onIoError('leave'));
  system.controls.pauseGuest(a, vm, 'io-error');
  const waits = await eventually('it waits', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key === `vm-waits:${vm}`),
  );
  expect(waits.sentence).toContain('paused (io-error)');
  system.controls.resumeGuest(a, vm);
  expect(await closed(system, vm)).toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('stops at the budget: one alert, and a person decides', async () => {
  const policy = {
    watch: { ...quickPolicy.watch, vmGraceMs: 10, restartBudget: { restarts: 2, perMs: 60_000 } },
  };
  const { system, vm, a } = await watched({ policy });
  for (const epoch of [1, 2]) {
    system.controls.destroyByHand(a, vm);
    expect(await closed(system, vm, epoch)).toMatchObject({ outcome: 'recovered' });
    await watchRounds(system, 'a', 2);
  }
  system.controls.destroyByHand(a, vm);
  const stuck = await eventually('it is stuck', async () =>
    (await ofVm(system, vm)).find((i) => i.phase === 'stuck'),
  );
  expect(stuck.summary).toContain('restarted 2 times');
  await watchRounds(system, 'a', 10);
  const alerts = (await system.inventory.alerts({ open: true })).filter((x) => x.severity === 'critical');
  expect(alerts.map((x) => x.key)).toEqual([`vm-stuck:${vm}`]);
  expect(runsOn(system, vm)).toEqual([]);
  const run = system.client.workflow.getHandle(workflowIds.vm(vm));
  await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said(), resolution: 'give-up' }] });
  expect(await failureOf(run)).toMatchObject({ type: 'RecoveryStuck' });
  await watchRounds(system, 'a', 10);
  expect(await ofVm(system, vm)).toHaveLength(3);
});

it('asks for a yes first in mode approve', async () => {
  const { system, vm, a } = await watched({ mode: 'approve' });
  system.controls.destroyByHand(a, vm);
  const incident = await eventually('it waits', async () =>
    (await ofVm(system, vm)).find((i) => i.nextCommand?.includes('incident approve') === true),
  );
  expect(incident.incidentId).toBe(incidentId({ kind: 'vm', vmId: vm }, 1));
  expect(actsOn(system)).toEqual([]);
  const run = system.client.workflow.getHandle(workflowIds.vm(vm));
  await run.executeUpdate(approveFencingUpdate, { args: [said()] });
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('only rehearses in mode observe, and takes its report back when the VM runs', async () => {
  const { system, vm, a } = await watched({ mode: 'observe' });
  system.controls.destroyByHand(a, vm);
  const alert = await eventually('the report', async () =>
    (await system.inventory.alerts({ open: true })).find((x) => x.key.startsWith('observed:vm')),
  );
  expect(alert.sentence).toContain('would reserve');
  expect(actsOn(system)).toEqual([]);
  system.controls.startByHand(a, vm);
  await eventually('taken back', async () => (await system.inventory.alerts({ open: true })).length === 0);
});

it('acts although the worker died between the observation and the act', async () => {
  const { system, vm, a } = await watched(slowGrace);
  system.controls.destroyByHand(a, vm);
  await opened(system, vm);
  await system.stopWorker();
  await system.startWorker();
  expect(await closed(system, vm)).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});
