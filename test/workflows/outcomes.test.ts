/** What a recovery comes to when the world is not as simple as a dead host: each ending, and what was and was not done on the way. */
import { fenceDeviceId } from '../../domain/ids';
import { limits } from '../../domain/limits';
import { failureTypes } from '../../workflows/inputs';
import { abortUpdate, holdUpdate, resolveStuckUpdate, resumeUpdate } from '../../workflows/messages';
import { sampleWorld } from '../../drivers/simulated/sample-world';
import type { WorldSpec } from '../../drivers/simulated/world-spec';
import { judge } from '../support/judge';
import { quickPolicy } from '../support/recovery-system';
import {
  actsOn,
  eventually,
  evidenceOfAge,
  failureOf,
  fencingRun,
  incidentOfHost,
  said,
  systems,
  timelineOf,
  untilPhase,
  untilVmPhase,
} from '../support/story';

const begin = systems();
const offs = (acts: readonly string[]): string[] => acts.filter((a) => a.startsWith('fencing.off'));

it('a restart writes down anew that the VM runs, so that no list from the middle of it is newer', async () => {
  const system = await begin();
  const vm = system.vm('vm-001');
  const before = await system.inventory.vm(vm);
  system.controls.destroyByHand(system.host('a'), vm);
  await (await system.restartVm('vm-001', { target: system.host('a') })).result();
  const after = await system.inventory.vm(vm);
  expect(before?.observed.state).toBe('running');
  expect(after?.observed).toMatchObject({ state: 'running', reason: 'started by vmedic' });
  expect(Date.parse(after?.observed.at ?? '')).toBeGreaterThan(Date.parse(before?.observed.at ?? ''));
  await judge(system);
});

describe('a host that is back before anything was sent', () => {
  it('with the same boot id, ends the incident with nothing done', async () => {
    const system = await begin();
    system.controls.freeze(system.host('a'));
    const run = await system.recoverHost('a');
    await run.executeUpdate(holdUpdate, { args: [said('wait')] });
    system.controls.thaw(system.host('a'));
    await run.executeUpdate(resumeUpdate, { args: [said('go on')] });
    await expect(run.result()).resolves.toMatchObject({ outcome: 'dismissed', vms: [] });
    expect(actsOn(system)).toEqual([]);
    await judge(system);
  });

  it('with a new boot id, gets its VMs back on itself, unfenced, and the boot is accepted', async () => {
    const system = await begin();
    const a = system.host('a');
    system.controls.cutPower(a);
    system.controls.powerOn(a);
    const result = await (await system.recoverHost('a')).result();
    expect(result).toMatchObject({ outcome: 'recovered', sentence: 'all 2 VMs run again' });
    expect(result.vms.map((v) => v.target)).toEqual([a, a]);
    expect(offs(actsOn(system))).toEqual([]);
    const { bootId } = system.controls.snapshot().hosts.find((h) => h.id === a) ?? {};
    expect(await system.inventory.host(a)).toMatchObject({ standing: 'in-service', bootId });
    await judge(system);
  });
});

it('fences nothing of a degraded host while nobody says yes, and ends when its daemon is back', async () => {
  const system = await begin();
  system.controls.killDaemon(system.host('a'));
  const run = await system.recoverHost('a');
  const held = await untilPhase(run, 'held');
  expect(held.sentence).toContain('is degraded, not dead');
  expect(held.nextCommand).toContain('vmedic incident approve');
  expect(actsOn(system)).toEqual([]);
  system.controls.startDaemon(system.host('a'));
  await expect(run.result()).resolves.toMatchObject({ outcome: 'dismissed' });
  expect(actsOn(system)).toEqual([]);
  await judge(system);
});

it('leaves a BMC alone after the refusals allowed, and asks again when told to', async () => {
  const system = await begin();
  const device = fenceDeviceId(`${system.host('a')}-bmc`);
  system.controls.setDevice(device, { passwordOk: false });
  system.controls.freeze(system.host('a'));
  const run = await system.recoverHost('a');
  await untilPhase(run, 'blocked-unfenced');
  const fence = fencingRun(system, 'a');
  const before = (await fence.describe()).historyLength;
  await eventually('two more rounds', async () => (await fence.describe()).historyLength > before + 20);
  expect(system.controls.loginRefusals(device)).toBe(limits.fenceLoginRefusalsMax);
  system.controls.setDevice(device, { passwordOk: true });
  await run.executeUpdate(resumeUpdate, { args: [said('password corrected')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('tries the second fence level when the first stays silent', async () => {
  const system = await begin({ spec: withSecondLevel });
  system.controls.setDevice(fenceDeviceId(`${system.host('a')}-bmc`), { mode: 'silent' });
  system.controls.freeze(system.host('a'));
  await expect((await system.recoverHost('a')).result()).resolves.toMatchObject({ outcome: 'recovered' });
  const proof = (await timelineOf(system, incidentOfHost(system, 'a'))).find((e) => e.kind === 'evidence');
  expect(proof?.sentence).toContain(
    `${system.host('a')}-pdu-1 reads off, ${system.host('a')}-pdu-2 reads off`,
  );
  await judge(system);
});

function withSecondLevel(prefix: string): WorldSpec {
  const plain = sampleWorld({ hosts: 3, vmsPerHost: 2, prefix, policy: quickPolicy });
  const feeds = (host: string) => ['1', '2'].map((n) => fenceDeviceId(`${host}-pdu-${n}`));
  return {
    ...plain,
    hosts: plain.hosts.map((h) => ({
      ...h,
      fenceLevels: [...h.fenceLevels, { name: 'power feeds', devices: feeds(h.id) }],
    })),
    devices: [
      ...plain.devices,
      ...plain.hosts.flatMap((h) => feeds(h.id).map((id) => ({ id, wiredTo: h.id, kind: 'feed' as const }))),
    ],
  };
}

describe('evidence that has aged', () => {
  const old = limits.evidenceAgeMsMax + 60_000;

  it('is read again before it is used', async () => {
    const system = await begin();
    system.controls.cutPower(system.host('a'));
    const evidence = await evidenceOfAge(system, 'a', old);
    const failed = { hostId: system.host('a'), evidence };
    const run = await system.restartVm('vm-001', { failed });
    await expect(run.result()).resolves.toMatchObject({ phase: 'running' });
    const journal = system.controls.journal();
    const read = journal.find((e) => e.kind === 'call' && e.port === 'fencing' && e.call === 'status');
    const started = journal.find((e) => e.kind === 'call' && e.call === 'start');
    expect(read?.seq).toBeLessThan(started?.seq ?? 0);
    await judge(system, { down: system.vmsOf('a').slice(1) });
  });

  it('is contradicted by a device that now says "on": the VM is stuck, and nothing starts', async () => {
    const system = await begin();
    const evidence = await evidenceOfAge(system, 'a', old);
    const run = await system.restartVm('vm-001', { failed: { hostId: system.host('a'), evidence } });
    const status = await untilVmPhase(run, 'stuck');
    expect(status.fault).toMatchObject({ code: 'EVIDENCE_CONTRADICTED' });
    expect(status.sentence).toContain('now reads "on"');
    expect(actsOn(system)).toEqual([]);
    await run.executeUpdate(abortUpdate, { args: [said('the host is fine')] });
    expect(await failureOf(run)).toMatchObject({ type: failureTypes.compensated });
    // Not judged as a whole: the old reading was never the world's, which is what a checker rightly objects to.
    expect(actsOn(system)).toEqual([]);
  });

  it('proves nothing once its host was seen to answer', async () => {
    const system = await begin();
    const evidence = await evidenceOfAge(system, 'a', 0);
    await system.inventory.lapseEvidence(system.host('a'), new Date().toISOString());
    const run = await system.restartVm('vm-001', { failed: { hostId: system.host('a'), evidence } });
    const status = await untilVmPhase(run, 'stuck');
    expect(status.sentence).toContain('it was seen to answer at');
    await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said('it is fine'), resolution: 'give-up' }] });
    expect(await failureOf(run)).toMatchObject({ type: failureTypes.stuck });
    expect(actsOn(system)).toEqual([]);
    await judge(system);
  });
});

it('is stuck, with the holder named, on a lock that is still held after a proven power-off', async () => {
  const system = await begin({ storage: 'nfs' });
  const path = '/simulated/shared/vm-001.raw';
  system.controls.addRule({
    ...{ id: 'taken', port: 'hypervisor', call: 'start', target: system.vm('vm-001'), times: 1 },
    then: {
      kind: 'world',
      when: 'before',
      control: 'placeLock',
      args: [path, system.spec.pools[0]?.id, 'backup-server'],
    },
  });
  system.controls.cutPower(system.host('a'));
  const result = await (await system.recoverHost('a')).result();
  const vm = result.vms.find((v) => v.name === 'vm-001');
  expect(vm).toMatchObject({ phase: 'stuck', fault: { code: 'EVIDENCE_CONTRADICTED' } });
  expect(vm?.fault?.sentence).toContain('held open by backup-server');
  const run = system.client.workflow.getHandle(`vm:${system.vm('vm-001')}`);
  system.controls.removeLock(path);
  await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said('backup done'), resolution: 'retry' }] });
  await expect(run.result()).resolves.toMatchObject({ phase: 'running' });
  await judge(system);
});

it('waits with foreign locks for a person, and goes on when they are gone', async () => {
  const system = await begin({ storage: 'nfs' });
  const path = '/simulated/shared/vm-001.raw';
  system.controls.cutPower(system.host('a'));
  system.controls.placeLock(path, system.spec.pools[0]!.id, 'backup-server');
  const run = await system.recoverHost('a');
  const blocked = await untilPhase(run, 'blocked-locks');
  expect(blocked.sentence).toContain('locked by backup-server');
  expect(actsOn(system).some((a) => a.startsWith('hypervisor.start'))).toBe(false);
  system.controls.removeLock(path);
  await run.executeUpdate(resumeUpdate, { args: [said('the backup is over')] });
  await expect(run.result()).resolves.toMatchObject({ outcome: 'recovered' });
  await judge(system);
});

it('says that a guest runs and is not healthy', async () => {
  const system = await begin({ policy: { health: { kind: 'guest-agent', timeoutMs: 300 } } });
  system.controls.setHealth(system.vm('vm-001'), 'never');
  system.controls.cutPower(system.host('a'));
  const result = await (await system.recoverHost('a')).result();
  expect(result).toMatchObject({
    ...{ outcome: 'partially-recovered', sentence: '1 of 2 VMs run again; not: vm-001 (guest-degraded)' },
  });
  await judge(system);
});

it('names the VM that nobody has room for, and why', async () => {
  const system = await begin({ spec: (prefix) => cramped(prefix) });
  system.controls.cutPower(system.host('a'));
  const result = await (await system.recoverHost('a')).result();
  expect(result.outcome).toBe('partially-recovered');
  const without = result.vms.filter((v) => v.phase === 'no-capacity');
  expect(without).toHaveLength(1);
  expect(without[0]?.fault?.sentence).toMatch(
    /No host can take vm-00\d: .*hv-c has 0 MiB free of the 4 MiB needed/,
  );
  await judge(system, { down: without.map((v) => v.vmId) });
});

/** Room for three of the four VMs' memory on the two hosts that stay. */
function cramped(prefix: string): WorldSpec {
  const plain = sampleWorld({ hosts: 3, vmsPerHost: 2, prefix, policy: quickPolicy });
  const memory = (i: number): number => (i === 1 ? 12 : 8);
  return {
    ...plain,
    hosts: plain.hosts.map((h, i) => ({ ...h, capacity: { ...h.capacity, memoryMiB: memory(i) } })),
  };
}
