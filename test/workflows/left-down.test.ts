/** Whatever leaves a VM down says so, by name, with the command that brings it back. */
import { abortUpdate } from '../../workflows/messages';
import { incidentId } from '../../domain/ids';
import type { AlertRecord } from '../../domain/records';
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import {
  actsOn,
  endedCancelled,
  eventually,
  failureOf,
  fencingRun,
  incidentOfHost,
  said,
  systems,
} from '../support/story';
import { bmcOf, unfencedRecovery } from '../support/unfenced';

const begin = systems();
const openAlert = async (system: RecoverySystem, key: string): Promise<AlertRecord | undefined> =>
  (await system.inventory.alerts({ open: true })).find((a) => a.key === key);

it('a fence that a person ordered names the VMs that went down with the host, until they are back', async () => {
  const system = await begin();
  const a = system.host('a');
  await (await system.fenceHost('a')).result();
  const alert = await openAlert(system, `down:${a}`);
  expect(alert).toMatchObject({
    severity: 'critical',
    nextCommand: `vmedic host recover ${a} --reason "..."`,
  });
  expect(alert?.sentence).toContain('vm-001, vm-004');
  const epoch = 2;
  const again = { epoch, incidentId: incidentId({ kind: 'host', hostId: a }, epoch) };
  await expect((await system.recoverHost('a', again)).result()).resolves.toMatchObject({
    outcome: 'recovered',
  });
  expect(await openAlert(system, `down:${a}`)).toBeUndefined();
  await judge(system);
});

it('an incident stopped while nobody knows whether its host is off says that of its VMs', async () => {
  const system = await begin();
  const { run } = await unfencedRecovery(system, 'a', 'dark');
  await run.executeUpdate(abortUpdate, { args: [said('I go and look')] });
  const result = await run.result();
  expect(result.sentence).toContain('run is not known: vm-001, vm-004');
  expect(await openAlert(system, `host:${system.host('a')}:${result.incidentId}`)).toMatchObject({
    severity: 'warning',
    nextCommand: expect.stringContaining('vmedic host recover') as string,
  });
  await judge(system, { down: system.vmsOf('a') });
});

describe('a recovery cancelled in Temporal while its fence is under way', () => {
  it('takes the fence with it, as long as nothing was sent', async () => {
    const system = await begin();
    const bmc = bmcOf(system, 'a');
    const { run } = await unfencedRecovery(system, 'a', 'frozen');
    await run.cancel();
    expect(await endedCancelled(run)).toBe(true);
    system.controls.setDevice(bmc, { mode: 'works' });
    await expect(fencingRun(system, 'a').result()).resolves.toMatchObject({ kind: 'aborted' });
    expect(actsOn(system)).toEqual([]);
    expect(await system.inventory.host(system.host('a'))).toMatchObject({ standing: 'in-service' });
    expect(await openAlert(system, `unfenced:${system.host('a')}`)).toBeUndefined();
    system.controls.thaw(system.host('a'));
    await judge(system);
  });

  it('lets a fence that has sent its "off" come to its end, which names the VMs that are down', async () => {
    const system = await begin();
    system.controls.addRule({
      ...{ id: 'slow', port: 'fencing', call: 'off' },
      then: { kind: 'delay', ms: 1_000 },
    });
    system.controls.freeze(system.host('a'));
    const run = await system.recoverHost('a');
    await eventually('"off" on its way', () =>
      system.controls.journal().some((e) => e.kind === 'call' && e.call === 'off'),
    );
    await run.cancel();
    expect(await endedCancelled(run)).toBe(true);
    await expect(fencingRun(system, 'a').result()).resolves.toMatchObject({ kind: 'fenced' });
    const incident = incidentOfHost(system, 'a');
    const alert = await openAlert(system, `host:${system.host('a')}:${incident}`);
    expect(alert).toMatchObject({ severity: 'critical' });
    expect(alert?.sentence).toContain('vm-001, vm-004');
    expect((await system.inventory.incident(incidentOfHost(system, 'a')))?.nextCommand).toContain(
      'host recover',
    );
    await judge(system, { down: system.vmsOf('a') });
  });
});

it('a restart that brought its VM back nowhere leaves an alert, until a restart does', async () => {
  const system = await begin();
  const vm = system.vm('vm-001');
  system.controls.shutDownGuest(system.host('a'), vm);
  system.controls.addRule({
    ...{ id: 'no', port: 'hypervisor', call: 'start' },
    then: { kind: 'fail-before', fault: { code: 'START_REFUSED' } },
  });
  await failureOf(await system.restartVm('vm-001'));
  const alert = await openAlert(system, `vm:${vm}`);
  expect(alert).toMatchObject({ severity: 'critical' });
  expect(alert?.sentence).toContain('vm-001: blocked');
  system.controls.clearRule('no');
  const again = { epoch: 2, incidentId: incidentId({ kind: 'vm', vmId: vm }, 2) };
  await (await system.restartVm('vm-001', again)).result();
  expect(await openAlert(system, `vm:${vm}`)).toBeUndefined();
  await judge(system);
});
