/** Nobody types here: the watch sees a host die, decides by its cluster's mode, and asks the one front door. */
import { RecoveryClient } from '../../client/recovery-client';
import { fenceDeviceId, workflowIds } from '../../domain/ids';
import type { IncidentRecord } from '../../domain/records';
import { abortUpdate, approveFencingUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { quickPolicy, type RecoverySystem } from '../support/recovery-system';
import { actsOn, eventually, said, systems, watchRounds } from '../support/story';

const begin = systems();

const incidents = (system: RecoverySystem): Promise<IncidentRecord[]> => system.inventory.incidents();

const closedIncident = (system: RecoverySystem): Promise<IncidentRecord> =>
  eventually('a closed incident', async () =>
    (await incidents(system)).find((i) => i.closedAt !== undefined),
  );

async function openAlerts(system: RecoverySystem): Promise<string[]> {
  const alerts = await system.inventory.alerts({ open: true });
  return alerts.map((a) => `${a.severity} ${a.key.split(':')[0] ?? ''}`).sort();
}

const bmcs = (system: RecoverySystem) => system.spec.devices.map((d) => fenceDeviceId(d.id));

it('brings the VMs of a dead host back with nobody typing, by one incident', async () => {
  const system = await begin();
  await system.watch();
  system.controls.cutPower(system.host('a'));
  const incident = await closedIncident(system);
  expect(incident).toMatchObject({ outcome: 'recovered', workflowId: workflowIds.host(system.host('a')) });
  expect(incident.triggers).toMatchObject([{ source: 'watch' }]);
  await watchRounds(system, 'b');
  expect(await incidents(system)).toHaveLength(1);
  expect(await openAlerts(system)).toEqual(['info host']);
  await judge(system);
});

it('only rehearses and reports in mode observe, once per failure, and takes the report back when the host answers', async () => {
  const system = await begin({ mode: 'observe' });
  await system.watch();
  const a = system.host('a');
  system.controls.setNetwork(a, 'cut');
  const alert = await eventually('the report', async () =>
    (await system.inventory.alerts({ open: true })).find((r) => r.key.startsWith('observed:')),
  );
  expect(alert.sentence).toMatch(/Nothing is done about it.*mode observe.*2 of 2 VMs would come back/);
  expect(alert.nextCommand).toContain(`vmedic host recover ${a}`);
  await watchRounds(system, 'b');
  expect(await incidents(system)).toEqual([]);
  expect(actsOn(system)).toEqual([]);
  // Taken back for a maintenance that ends, or never told because the worker died: what was rehearsed before is told all the same.
  for (const [standing, count] of [
    ['maintenance', 0],
    ['in-service', 1],
  ] as const) {
    const record = await system.inventory.host(a);
    await system.inventory.updateHost(a, record?.version ?? 0, { standing });
    await eventually(`what is told in ${standing}`, async () => (await openAlerts(system)).length === count);
  }
  system.controls.setNetwork(a, 'up');
  await eventually('the report is taken back', async () => (await openAlerts(system)).length === 0);
  await judge(system);
});

it('waits for a yes in mode approve, and acts on it', async () => {
  const system = await begin({ mode: 'approve' });
  await system.watch();
  const a = system.host('a');
  system.controls.cutPower(a);
  const held = await eventually('an incident that is held', async () =>
    (await incidents(system)).find((i) => i.phase === 'held'),
  );
  expect(held.nextCommand).toContain('vmedic incident approve');
  // It looks around again while it waits, and goes on saying what it waits for.
  await watchRounds(system, 'b', 15);
  expect(await incidents(system)).toMatchObject([{ phase: 'held', nextCommand: held.nextCommand }]);
  expect(actsOn(system)).toEqual([]);
  const run = system.client.workflow.getHandle(workflowIds.host(a));
  await run.executeUpdate(approveFencingUpdate, { args: [said()] });
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('leaves a host alone whose recovery a person has stopped, until it has been heard again', async () => {
  const system = await begin({ mode: 'approve' });
  await system.watch();
  const a = system.host('a');
  system.controls.cutPower(a);
  await eventually('an incident that is held', async () =>
    (await incidents(system)).find((i) => i.phase === 'held'),
  );
  const run = system.client.workflow.getHandle(workflowIds.host(a));
  await run.executeUpdate(abortUpdate, { args: [said('somebody else does it')] });
  expect(await run.result()).toMatchObject({ outcome: 'aborted' });
  // A watch that remembers nothing sees a dead host as if for the first time.
  await system.stopWorker();
  await system.startWorker();
  await watchRounds(system, 'b', 15);
  expect(await incidents(system)).toHaveLength(1);
  system.controls.powerOn(a);
  await eventually('its reboot is noticed', async () =>
    (await incidents(system)).find((i) => i.epoch === 2 && i.phase === 'held'),
  );
  const second = system.client.workflow.getHandle(workflowIds.host(a));
  await second.executeUpdate(abortUpdate, { args: [said('its VMs are not wanted')] });
  expect(await second.result()).toMatchObject({ outcome: 'aborted' });
  expect(actsOn(system)).toEqual([]);
});

it('concludes nothing when most hosts are silent at once: one alarm, no incident, nothing fenced', async () => {
  const system = await begin();
  await system.watch();
  for (const letter of ['a', 'b']) system.controls.setNetwork(system.host(letter), 'cut');
  for (const id of bmcs(system)) system.controls.setDevice(id, { mode: 'silent' });
  await eventually('the alarm', async () => (await openAlerts(system)).includes('critical blind'));
  await watchRounds(system, 'c', 15);
  expect(await incidents(system)).toEqual([]);
  expect(await openAlerts(system)).toEqual(['critical blind']);
  for (const letter of ['a', 'b']) system.controls.setNetwork(system.host(letter), 'up');
  await eventually('the end of the alarm', async () => (await openAlerts(system)).length === 0);
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('fences nobody whose neighbours reach it: a dead link of VMedic waits for a person', async () => {
  const system = await begin();
  await system.watch();
  const a = system.host('a');
  system.controls.setNetwork(a, 'unlinked');
  const held = await eventually('an incident that is held', async () =>
    (await incidents(system)).find((i) => i.phase === 'held'),
  );
  expect(held.summary).toContain('the link between VMedic and it may be dead');
  await watchRounds(system, 'b');
  expect(actsOn(system)).toEqual([]);
  system.controls.setNetwork(a, 'up');
  expect(await closedIncident(system)).toMatchObject({ outcome: 'dismissed' });
  await judge(system);
});

it('is not delayed by a host that hangs, when another one dies', async () => {
  const system = await begin({ hosts: 4, costs: { silenceMs: 3_000 } });
  const b = system.host('b');
  system.controls.hangDaemon(b);
  await system.watch();
  system.controls.cutPower(system.host('a'));
  const found = await eventually('the incident of a', async () =>
    (await system.inventory.incidents({ hostId: system.host('a') })).at(0),
  );
  expect(found.triggers[0]?.source).toBe('watch');
  system.controls.resumeDaemon(b);
});

it('misses no host that is in maintenance', async () => {
  const system = await begin();
  const a = system.host('a');
  const record = await system.inventory.host(a);
  await system.inventory.updateHost(a, record?.version ?? 0, { standing: 'maintenance' });
  await system.watch();
  system.controls.cutPower(a);
  await watchRounds(system, 'a');
  await watchRounds(system, 'b');
  expect(await incidents(system)).toEqual([]);
});

it('takes the VMs that a reboot took down as one incident of their host, and brings them back on it', async () => {
  const system = await begin({ hosts: 3, vmsPerHost: 3 });
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  await system.watch();
  const incident = await closedIncident(system);
  expect(incident).toMatchObject({ outcome: 'recovered', target: { kind: 'host', hostId: a } });
  await watchRounds(system, 'a');
  expect(await incidents(system)).toHaveLength(1);
  expect(actsOn(system).filter((act) => act.startsWith('fencing'))).toEqual([]);
  for (const vm of system.vmsOf('a')) expect((await system.inventory.vm(vm))?.hostId).toBe(a);
  await judge(system);
});

it('takes a second reboot for a failure of its own, though it asked for the first a moment ago', async () => {
  const system = await begin();
  const a = system.host('a');
  await system.watch();
  for (const epoch of [1, 2]) {
    system.controls.cutPower(a);
    system.controls.powerOn(a);
    const incident = await eventually(`incident ${epoch}`, async () =>
      (await incidents(system)).find((i) => i.epoch === epoch && i.closedAt !== undefined),
    );
    expect(incident).toMatchObject({ outcome: 'recovered', target: { kind: 'host', hostId: a } });
  }
  await judge(system);
});

it('waits for a yes in mode approve before it starts what a reboot took down', async () => {
  const system = await begin({ mode: 'approve' });
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  await system.watch();
  await eventually('it waits', async () =>
    (await incidents(system)).find((i) => i.nextCommand?.includes('incident approve') === true),
  );
  expect(actsOn(system)).toEqual([]);
  const run = system.client.workflow.getHandle(workflowIds.host(a));
  await run.executeUpdate(approveFencingUpdate, { args: [said()] });
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('waits for no yes any more once somebody has brought back by hand what a reboot took down', async () => {
  const system = await begin({ mode: 'approve' });
  const a = system.host('a');
  system.controls.cutPower(a);
  system.controls.powerOn(a);
  await system.watch();
  await eventually('it waits', async () => (await incidents(system)).find((i) => i.phase === 'held'));
  for (const vm of system.vmsOf('a')) system.controls.startByHand(a, vm);
  expect(await closedIncident(system)).toMatchObject({ outcome: 'dismissed' });
  await eventually('its boot is accepted', async () => {
    const boot = await system.ports.hostCommands.bootId(a, new AbortController().signal);
    return 'bootId' in boot && (await system.inventory.host(a))?.bootId === boot.bootId;
  });
  expect(await openAlerts(system)).toEqual(['info host']);
  await judge(system);
});

it('is taken over by another worker, which acts on what the first one only saw', async () => {
  const system = await begin();
  await system.watch();
  await watchRounds(system, 'b', 2);
  await system.stopWorker();
  system.controls.cutPower(system.host('a'));
  await system.startWorker();
  expect(await closedIncident(system)).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('attaches to the recovery that a person has started: one run, one restart per VM', async () => {
  const system = await begin();
  await system.watch();
  const a = system.host('a');
  system.controls.cutPower(a);
  const run = await system.recoverHost('a');
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await watchRounds(system, 'b');
  expect(await incidents(system)).toHaveLength(1);
  await judge(system);
});

it('opens a new epoch when a host that was readmitted fails again', async () => {
  const system = await begin();
  await system.watch();
  const a = system.host('a');
  system.controls.cutPower(a);
  await closedIncident(system);
  system.controls.powerOn(a);
  const back = await eventually('its quarantine', async () => {
    const record = await system.inventory.host(a);
    return record?.standing === 'quarantined' && record;
  });
  await system.inventory.updateHost(a, back.version, { standing: 'in-service', bootId: undefined });
  await eventually('it is seen', async () => (await system.inventory.host(a))?.bootId !== undefined);
  system.controls.cutPower(a);
  await eventually('a second incident', async () =>
    (await incidents(system)).find((i) => i.epoch === 2 && i.closedAt !== undefined),
  );
  await judge(system);
});

it('begins with a new store by observing, until every host was seen or a person arms it', async () => {
  const system = await begin({ discover: false, policy: { ...quickPolicy } });
  system.controls.setNetwork(system.host('a'), 'cut');
  await system.watch();
  const alert = await eventually('the report', async () =>
    (await system.inventory.alerts({ open: true })).find((r) => r.key.startsWith('observed:')),
  );
  expect(alert.sentence).toContain('was not seen since');
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('does nothing new while it is disarmed, and goes on where it stopped once it is armed', async () => {
  const system = await begin();
  await system.watch();
  const at = (): string => new Date().toISOString();
  const by = { by: 'alice', reason: 'storage is being moved' };
  await system.inventory.setSwitch({ scope: 'fleet', armed: false, ...by, at: at() });
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  await eventually('it waits', async () => {
    const { raw } = await run.describe();
    const pending = raw.pendingChildren?.length ?? 0;
    return (
      pending > 0 || (raw.pendingActivities ?? []).some((p) => p.lastFailure?.message?.includes('alice'))
    );
  });
  await watchRounds(system, 'b', 10);
  expect(actsOn(system).filter((act) => /define|start|off/.test(act))).toEqual([]);
  await system.inventory.setSwitch({ scope: 'fleet', armed: true, ...by, at: at() });
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

/** T1 to T5 of the founding incident: the watch, the loss of single VMs, and people and monitors at two front doors, within the same moment. */
it('makes one incident and one restart per VM of a storm of triggers', async () => {
  const vmsPerHost = process.env['VMEDIC_SOAK'] === 'true' ? 50 : 12;
  const system = await begin({ hosts: 3, vmsPerHost });
  const a = system.host('a');
  await system.watch();
  system.controls.cutPower(a);
  const { client, inventory, fleet, taskQueue } = system;
  const doors = [1, 2].map(
    (n) => new RecoveryClient({ client, inventory, fleet, taskQueue, address: `door ${n}` }),
  );
  const reports = doors.flatMap((door) =>
    (['operator', 'webhook', 'api'] as const).map((source) =>
      door.recoverHost(a, { source, by: source, reason: 'hv-a does not answer' }),
    ),
  );
  const answers = await Promise.all(reports);
  expect(new Set(answers.map((x) => x.incidentId)).size).toBe(1);
  expect(await closedIncident(system)).toMatchObject({ outcome: 'recovered' });
  for (const door of doors)
    expect(await door.recoverHost(a, { source: 'api', by: 'late', reason: 'still down' })).toMatchObject({
      answer: 'same',
      open: false,
    });
  await watchRounds(system, 'b');
  expect(await incidents(system)).toHaveLength(1);
  const starts = actsOn(system).filter((act) => act.startsWith('hypervisor.start'));
  expect(starts).toHaveLength(vmsPerHost);
  const alerts = await inventory.alerts();
  expect(alerts.map((x) => x.key)).toEqual([`host:${a}:${answers[0]?.incidentId ?? ''}`]);
  await judge(system);
});

it('makes one incident of a host that comes and goes', async () => {
  const system = await begin({ policy: { ...quickPolicy, fenceRetryMs: { first: 200, max: 400 } } });
  const a = system.host('a');
  await system.watch();
  for (let i = 0; i < 5; i++) {
    system.controls.setNetwork(a, 'cut');
    await watchRounds(system, 'b', 1);
    system.controls.setNetwork(a, 'up');
    await watchRounds(system, 'a', 1);
  }
  await watchRounds(system, 'b');
  const all = await incidents(system);
  expect(all.length).toBeLessThanOrEqual(1);
  expect(all.filter((i) => i.closedAt !== undefined && i.outcome !== 'dismissed')).toEqual([]);
  expect(actsOn(system).filter((act) => act.startsWith('fencing'))).toEqual([]);
  expect((await openAlerts(system)).filter((x) => x.startsWith('critical'))).toEqual([]);
});
