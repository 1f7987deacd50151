/** A failed host's access to its storage: cut before its power, only while nothing says that it is well, and given back when it is trusted. */
import { RecoveryClient } from '../../client/recovery-client';
import { workflowIds } from '../../domain/ids';
import { abortUpdate, attestFencedUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import { discover, type RecoverySystem } from '../support/recovery-system';
import { eventually, incidentOfHost, said, systems, timelineOf } from '../support/story';
import { unfencedRecovery } from '../support/unfenced';

const beginning = systems();
const begin = (): Promise<RecoverySystem> => beginning({ storage: 'nfs', cutAccess: true });

const cutOn = (system: RecoverySystem): string[] => system.controls.snapshot().accessCut.map((c) => c.hostId);

/** Effects in the order in which they happened. */
const order = (system: RecoverySystem): string[] =>
  system.controls.journal().flatMap((e) => (e.kind === 'effect' ? [e.effect] : []));

const sentencesOf = async (system: RecoverySystem, epoch = 1): Promise<string[]> =>
  (await timelineOf(system, incidentOfHost(system, 'a', epoch))).map((e) => e.sentence);

const readmit = (system: RecoverySystem, rehearse = false) => {
  const { client, inventory, fleet, taskQueue } = system;
  const door = new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'the test server' });
  const request = { by: 'alice', reason: 'repaired', source: 'operator' } as const;
  return door.readmitHost(system.host('a'), rehearse ? { ...request, rehearse } : request);
};

it('is cut before the first "off", stays cut while its VMs run elsewhere, and comes back with the readmission', async () => {
  const system = await begin();
  const a = system.host('a');
  system.controls.freeze(a);
  expect(await (await system.recoverHost('a')).result()).toMatchObject({ outcome: 'recovered' });
  const effects = order(system);
  expect(effects.indexOf('access-cut')).toBeLessThan(effects.indexOf('power-off'));
  expect(effects.indexOf('access-cut')).toBeGreaterThan(-1);
  expect(cutOn(system)).toEqual([a]);
  await judge(system);

  system.controls.powerOn(a);
  await discover(system.ports, system.fleet);
  const rehearsed = await readmit(system, true);
  const run = system.client.workflow.getHandle(rehearsed.workflowId);
  const { would } = (await run.result()) as { would: string[] };
  expect(would).toContainEqual(expect.stringContaining('would be let write to'));
  expect(cutOn(system)).toEqual([a]);

  await readmit(system);
  const readmitted = system.client.workflow.getHandle(workflowIds.host(a));
  expect(await readmitted.result()).toMatchObject({ kind: 'readmitted' });
  expect(cutOn(system)).toEqual([]);
  expect(await sentencesOf(system, 2)).toContainEqual(expect.stringContaining('read back'));
  await judge(system);
});

it('keeps a host out of service whose access cannot be given back', async () => {
  const system = await begin();
  const a = system.host('a');
  system.controls.cutPower(a);
  await (await system.recoverHost('a')).result();
  system.controls.powerOn(a);
  await discover(system.ports, system.fleet);
  system.controls.addRule({
    ...{ id: 'server-silent', port: 'storageAccess', call: 'restore' },
    then: { kind: 'fail-before', fault: { code: 'HOST_COMMAND_FAILED' } },
  });
  await readmit(system);
  const run = system.client.workflow.getHandle(workflowIds.host(a));
  await expect(run.result()).rejects.toThrow();
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
  system.controls.clearRules();
  await readmit(system);
  expect(await system.client.workflow.getHandle(workflowIds.host(a)).result()).toMatchObject({
    kind: 'readmitted',
  });
  await judge(system);
});

it('is left to a host that is well after all', async () => {
  const system = await begin();
  const run = await system.recoverHost('a');
  expect(await run.result()).toMatchObject({ outcome: 'dismissed' });
  expect(order(system)).not.toContain('access-cut');
  await judge(system);
});

it('comes back when the fence is stopped before any "off"', async () => {
  const system = await begin();
  const a = system.host('a');
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  expect(cutOn(system)).toEqual([a]);
  await run.executeUpdate(abortUpdate, { args: [said('it was only the network')] });
  expect(await run.result()).toMatchObject({ outcome: 'aborted' });
  expect(cutOn(system)).toEqual([]);
  expect((await system.inventory.host(a))?.standing).toBe('in-service');
  system.controls.thaw(a);
  await judge(system);
});

it('keeps a frozen host from writing that was attested to be off and wakes up', async () => {
  const system = await begin();
  const a = system.host('a');
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  await run.executeUpdate(attestFencedUpdate, { args: [said('I believe it is off')] });
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  const writesOfA = (): number =>
    system.controls.snapshot().disks.flatMap((d) => d.writes.filter((w) => w.hostId === a)).length;
  const before = writesOfA();
  system.controls.thaw(a);
  expect(writesOfA()).toBe(before);
});

it('is tried again with the levels, and keeps nobody from being fenced', async () => {
  const system = await begin();
  system.controls.addRule({
    ...{ id: 'server-silent', port: 'storageAccess', call: 'read' },
    then: { kind: 'fail-before', fault: { code: 'HOST_COMMAND_FAILED' } },
  });
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  expect(cutOn(system)).toEqual([]);
  expect(await sentencesOf(system)).toContainEqual(
    expect.stringContaining('is not cut, and its fence goes on'),
  );
  system.controls.clearRules();
  await eventually('it is cut', () => cutOn(system).length === 1);
  for (const id of system.world.devices.keys()) system.controls.setDevice(id, { mode: 'works' });
  expect(await run.result()).toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('never comes back to a host whose access was cut before by somebody’s fence', async () => {
  const system = await begin();
  const a = system.host('a');
  system.controls.cutPower(a);
  await (await system.recoverHost('a')).result();
  system.controls.powerOn(a);
  await discover(system.ports, system.fleet);
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
  // Its next fence finds it well and is not needed: what it found cut stays cut.
  const { run } = await unfencedRecovery(system, 'a', 'frozen', {
    epoch: 2,
    incidentId: incidentOfHost(system, 'a', 2),
  });
  await run.executeUpdate(abortUpdate, { args: [said('it was only the network')] });
  await run.result();
  expect(cutOn(system)).toEqual([a]);
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
});

it('says in a rehearsal what would be cut, and cuts nothing', async () => {
  const system = await begin();
  const fence = await system.client.workflow.execute('fenceHost', {
    ...{ workflowId: `rehearsal-${system.prefix}`, taskQueue: system.taskQueue },
    args: [
      {
        ...{ hostId: system.host('a'), clusterId: system.fleet.clusters[0]?.id, epoch: 1, mode: 'rehearse' },
        ...{ incidentId: incidentOfHost(system, 'a'), evenIf: 'alive', brief: undefined },
        trigger: { source: 'operator', by: 'alice', reason: 'to see', at: new Date().toISOString() },
      },
    ],
  });
  expect(fence).toMatchObject({
    would: expect.arrayContaining([expect.stringContaining('take no write of')]),
  });
  expect(cutOn(system)).toEqual([]);
});

it('is a person’s matter when it cannot be given back after a fence that was not: the host is named, and its readmission makes up for it', async () => {
  const system = await begin();
  const a = system.host('a');
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  system.controls.addRule({
    ...{ id: 'refuses', port: 'storageAccess', call: 'restore' },
    then: { kind: 'fail-before', fault: { code: 'ACCESS_NOT_CHANGED' } },
  });
  await run.executeUpdate(abortUpdate, { args: [said('it was only the network')] });
  await run.result();
  expect((await system.inventory.host(a))?.standing).toBe('quarantined');
  const alert = (await system.inventory.alerts({ open: true })).find((x) => x.key === `excluded:${a}`);
  expect(alert?.nextCommand).toContain('vmedic host readmit');
  system.controls.clearRules();
  system.controls.thaw(a);
  await readmit(system);
  expect(await system.client.workflow.getHandle(workflowIds.host(a)).result()).toMatchObject({
    kind: 'readmitted',
  });
  expect(cutOn(system)).toEqual([]);
  expect((await system.inventory.alerts({ open: true })).map((x) => x.key)).not.toContain(`excluded:${a}`);
});
