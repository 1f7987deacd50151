/** What a person says counts for the question that was asked, and what is left to people is said to them by name. */
import {
  abortUpdate,
  approveFencingUpdate,
  attestFencedUpdate,
  holdUpdate,
  resumeUpdate,
} from '../../workflows/messages';
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import {
  actsOn,
  eventually,
  fencingRun,
  incidentOfHost,
  said,
  systems,
  timelineOf,
  untilPhase,
  untilVmPhase,
} from '../support/story';
import { bmcOf, unfencedRecovery } from '../support/unfenced';

const begin = systems();
const offs = (system: RecoverySystem): string[] => actsOn(system).filter((a) => a.startsWith('fencing.off'));
const alertsAbout = async (system: RecoverySystem, letter: string) =>
  (await system.inventory.alerts({ open: true })).filter((a) =>
    a.key.startsWith(`host:${system.host(letter)}`),
  );

describe('a host that is degraded', () => {
  it('is not one too many that may be fenced because a person allowed to fence it', async () => {
    const system = await begin();
    system.controls.killDaemon(system.host('a'));
    system.controls.freeze(system.host('b'));
    const run = await system.recoverHost('a');
    await eventually('held as degraded', async () =>
      (await untilPhase(run, 'held')).sentence.includes('is degraded, not dead'),
    );
    await run.executeUpdate(approveFencingUpdate, { args: [said('its guests are hung')] });
    const held = await eventually('held for the blast radius', async () => {
      const status = await untilPhase(run, 'held');
      return status.sentence.includes('are in trouble at once') && status;
    });
    expect(held.nextCommand).toContain('vmedic incident approve');
    expect(offs(system)).toEqual([]);
    await run.executeUpdate(approveFencingUpdate, { args: [said('the other one as well')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
    await judge(system);
  });

  it('only since its fence began is not switched off before a person says so', async () => {
    const system = await begin();
    const bmc = bmcOf(system, 'a');
    const { run } = await unfencedRecovery(system, 'a', 'frozen');
    system.controls.killDaemon(system.host('a'));
    system.controls.thaw(system.host('a'));
    system.controls.setDevice(bmc, { mode: 'works' });
    const held = await untilPhase(run, 'held');
    expect(held.sentence).toContain('is degraded, not dead');
    expect(offs(system)).toEqual([]);
    expect(await system.inventory.host(system.host('a'))).toMatchObject({ standing: 'in-service' });
    await run.executeUpdate(approveFencingUpdate, { args: [said('its guests are hung')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
    expect(offs(system)).toHaveLength(1);
    await judge(system);
  });
});

describe('an incident that is stopped', () => {
  it('after its host was proven off names the VMs that stay down, and the command that brings them back', async () => {
    const system = await begin({ storage: 'nfs' });
    system.controls.cutPower(system.host('a'));
    system.controls.placeLock('/simulated/shared/vm-001.raw', system.spec.pools[0]!.id, 'backup-server');
    const run = await system.recoverHost('a');
    await untilPhase(run, 'blocked-locks');
    await run.executeUpdate(abortUpdate, { args: [said('we look into the lock')] });
    const result = await run.result();
    expect(result.outcome).toBe('aborted');
    expect(result.sentence).toContain('2 VMs of');
    expect(result.sentence).toContain('vm-001, vm-004');
    expect(await alertsAbout(system, 'a')).toMatchObject([
      { severity: 'critical', nextCommand: expect.stringContaining('vmedic host recover') as string },
    ]);
    expect(await system.inventory.incident(result.incidentId)).toMatchObject({
      nextCommand: expect.stringContaining('vmedic host recover') as string,
    });
    await judge(system, { down: system.vmsOf('a') });
  });

  it('while its fence finds the host back with a new boot starts nothing, and names what is down', async () => {
    let found = (): void => undefined;
    let goOn = (): void => undefined;
    const isFound = new Promise<void>((resolve) => (found = resolve));
    const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
    const system = await begin({
      async intercept({ name, act }) {
        const result = await act();
        if (name === 'fenceLevel' && (result as { kind: string }).kind === 'alive-again') {
          found();
          await mayGoOn;
        }
        return result;
      },
    });
    const { run } = await unfencedRecovery(system, 'a', 'dark');
    system.controls.powerOn(system.host('a'));
    system.controls.setDevice(system.spec.devices[0]!.id, { mode: 'works' });
    await isFound;
    await run.executeUpdate(abortUpdate, { args: [said('we look at the host first')] });
    goOn();
    const result = await run.result();
    expect(result.outcome).toBe('aborted');
    expect(result.sentence).toContain('vm-001, vm-004');
    expect(await alertsAbout(system, 'a')).toMatchObject([{ severity: 'critical' }]);
    expect(actsOn(system)).toEqual([]);
    await judge(system, { down: system.vmsOf('a') });
  });
});

it('says that it is disarmed before the first "off", and hears an abort meanwhile', async () => {
  const system = await begin();
  const by = { by: 'bob', reason: 'the network is being rebuilt', at: new Date().toISOString() };
  system.controls.freeze(system.host('a'));
  await system.inventory.setSwitch({ scope: 'fleet', armed: false, ...by });
  const run = await system.recoverHost('a');
  const blocked = await untilPhase(run, 'blocked-unfenced');
  expect(blocked.sentence).toContain('disarmed');
  await run.executeUpdate(abortUpdate, { args: [said('we wait for the network')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'aborted' });
  expect(offs(system)).toEqual([]);
  expect(await system.inventory.host(system.host('a'))).toMatchObject({ standing: 'in-service' });
  await judge(system, { down: system.vmsOf('a') });
});

it("does not take a person's word for a host whose hypervisor is dead and whose kernel answers", async () => {
  const system = await begin();
  const bmc = bmcOf(system, 'a');
  const { run } = await unfencedRecovery(system, 'a', 'frozen');
  const fence = fencingRun(system, 'a');
  await fence.executeUpdate(holdUpdate, { args: [said('let me look first')] });
  system.controls.killDaemon(system.host('a'));
  system.controls.thaw(system.host('a'));
  await run.executeUpdate(attestFencedUpdate, { args: [said('it looked dead to me')] });
  await eventually('the attestation refused', async () =>
    (await timelineOf(system, incidentOfHost(system, 'a'))).some((e) => e.sentence.includes('not taken')),
  );
  expect(actsOn(system)).toEqual([]);
  system.controls.startDaemon(system.host('a'));
  system.controls.setDevice(bmc, { mode: 'works' });
  await fence.executeUpdate(resumeUpdate, { args: [said('go on')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'dismissed' });
  await judge(system);
});

it('says that an old definition is left on a host that does not answer, and goes on when it does', async () => {
  const system = await begin();
  const vm = system.vm('vm-001');
  const [a, c] = [system.host('a'), system.host('c')];
  const definition = await system.inventory.definition(vm);
  system.controls.defineByHand(c, vm, 'vm-001', definition?.text ?? '');
  await system.inventory.recordSighting(vm, c, new Date().toISOString());
  system.controls.destroyByHand(a, vm);
  system.controls.addRule({
    ...{ id: 'gone', port: 'hypervisor', call: 'start', target: a, times: 1 },
    then: { kind: 'world', when: 'after', control: 'freeze', args: [c] },
  });
  const run = await system.restartVm('vm-001', { target: a });
  const stuck = await untilVmPhase(run, 'stuck');
  expect(stuck.fault).toMatchObject({ code: 'OLD_DEFINITION_LEFT', facts: { host: c, target: a } });
  await eventually('an alert', async () =>
    (await system.inventory.alerts({ open: true })).some((x) => x.key === `vm-stuck:${vm}`),
  );
  system.controls.thaw(c);
  await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: a });
  expect((await system.inventory.sightings([vm])).map((s) => s.hostId)).toEqual([a]);
  expect(actsOn(system).filter((x) => x.startsWith('hypervisor.start'))).toHaveLength(1);
  await judge(system);
});
