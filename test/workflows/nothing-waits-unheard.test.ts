/** What cannot go on by itself says so, each time for its own cause; and what was started is not called running once it is not. */
import type { FaultRule } from '../../drivers/simulated/fault-rules';
import { approveFencingUpdate, hostFailedSignal, resumeUpdate } from '../../workflows/messages';
import { judge } from '../support/judge';
import type { RecoverySystem } from '../support/recovery-system';
import {
  actsOn,
  eventually,
  evidenceOfAge,
  incidentOfHost,
  said,
  systems,
  untilPhase,
  untilVmPhase,
} from '../support/story';

const begin = systems();
const failing = (port: FaultRule['port'], call: string): FaultRule => ({
  ...{ id: 'fails', port, call },
  then: { kind: 'fail-before', fault: { code: 'HOST_COMMAND_FAILED' } },
});
const waitsFor = async (system: RecoverySystem, what: string) =>
  eventually(`an alert about ${what}`, async () =>
    (await system.inventory.alerts({ open: true })).find((a) => a.sentence.includes(what)),
  );

it('a storage server that does not answer is told to a person, and the release goes on when it does', async () => {
  const system = await begin({ storage: 'nfs' });
  system.controls.addRule(failing('storageLocks', 'list'));
  system.controls.cutPower(system.host('a'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'blocked-locks');
  expect(await waitsFor(system, 'failed on order')).toMatchObject({ severity: 'critical' });
  system.controls.clearRule('fails');
  await run.executeUpdate(resumeUpdate, { args: [said('the server is back')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it.each([
  ['hostCommands', 'markHealth'],
  ['volumes', 'makeReady'],
] as const)(
  'a target on which %s.%s keeps failing does not keep the VM waiting for ever',
  async (port, call) => {
    const system = await begin();
    system.controls.addRule(failing(port, call));
    system.controls.cutPower(system.host('a'));
    const result = await (await system.recoverHost('a')).result();
    expect(result.outcome).toBe('partially-recovered');
    expect(result.vms.map((v) => v.fault?.code)).toEqual(['HOST_COMMAND_FAILED', 'HOST_COMMAND_FAILED']);
    await judge(system, { down: system.vmsOf('a') });
  },
);

it('a second cause to wait for a person is told like the first', async () => {
  const system = await begin({ storage: 'nfs' });
  system.controls.killDaemon(system.host('a'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'held');
  await waitsFor(system, 'is degraded, not dead');
  system.controls.placeLock('/simulated/shared/vm-001.raw', system.spec.pools[0]!.id, 'backup-server');
  await run.executeUpdate(approveFencingUpdate, { args: [said('its guests are hung')] });
  expect(await waitsFor(system, 'backup-server')).toMatchObject({
    nextCommand: expect.stringContaining('vmedic incident resume') as string,
  });
  system.controls.removeLock('/simulated/shared/vm-001.raw');
  await run.executeUpdate(resumeUpdate, { args: [said('the backup is over')] });
  await run.result();
});

describe('a VM whose start was read back', () => {
  it('and whose host is proven off while its guest is waited for is brought back elsewhere', async () => {
    const system = await begin({ policy: { health: { kind: 'guest-agent', timeoutMs: 2_000 } } });
    const [a, b] = [system.host('a'), system.host('b')];
    system.controls.setHealth(system.vm('vm-001'), 'never');
    system.controls.cutPower(a);
    const evidence = await evidenceOfAge(system, 'a', 0);
    const run = await system.restartVm('vm-001', { target: b, failed: { hostId: a, evidence } });
    await untilVmPhase(run, 'verifying');
    system.controls.cutPower(b);
    system.controls.setHealth(system.vm('vm-001'), { afterMs: 0 });
    const proof = await evidenceOfAge(system, 'b', 0);
    const news = { hostId: b, incidentId: incidentOfHost(system, 'b'), evidence: proof };
    await run.signal(hostFailedSignal, news);
    await expect(run.result()).resolves.toMatchObject({ phase: 'running', target: system.host('c') });
  });

  it('and that crashes while its guest is waited for is stuck, and not "running, and not healthy"', async () => {
    const system = await begin({ policy: { health: { kind: 'guest-agent', timeoutMs: 1_500 } } });
    const vm = system.vm('vm-001');
    system.controls.setHealth(vm, 'never');
    system.controls.cutPower(system.host('a'));
    await (await system.fenceHost('a')).result();
    const run = await system.restartVm('vm-001', { target: system.host('b') });
    await untilVmPhase(run, 'verifying');
    system.controls.crashGuest(system.host('b'), vm);
    const stuck = await untilVmPhase(run, 'stuck');
    expect(stuck.fault?.sentence).toContain('it was started, ran, and is at rest again');
    await run.terminate();
  });

  it('and that comes to rest each time is tried on three hosts, and then said', async () => {
    const system = await begin();
    const vm = system.vm('vm-001');
    system.controls.shutDownGuest(system.host('a'), vm);
    for (const host of system.spec.hosts.map((h) => h.id))
      system.controls.addRule({
        ...{ id: `ends-${host}`, port: 'hypervisor', call: 'start', target: host },
        then: { kind: 'world', when: 'after', control: 'shutDownGuest', args: [host, vm] },
      });
    const run = await system.restartVm('vm-001');
    await expect(run.result()).rejects.toThrow();
    expect(actsOn(system).filter((x) => x.startsWith('hypervisor.start'))).toHaveLength(3);
    await waitsFor(system, 'it was started and is at rest again');
    await judge(system, { down: [vm] });
  });
});
