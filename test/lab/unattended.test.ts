/** Nobody types: the watch of a real cluster, in mode automatic, on real hosts, BMCs and guests. */
import { setTimeout as delay } from 'node:timers/promises';
import { describeOnRealHosts } from '../support/real-hosts';
import { vmId } from '../../domain/ids';
import type { VmRecord } from '../../domain/records';
import { waitFor } from '../../lab/wait-for';
import { FullStore } from '../support/full-store';
import { RealRecovery } from '../support/real-recovery';

describeOnRealHosts('a real cluster that is left to itself', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    const vmConfig = { 'io-restart': { onIoError: 'restart' }, 'io-leave': { onIoError: 'leave' } } as const;
    real = await RealRecovery.open({ mode: 'automatic', vmConfig, smallStoreOf: 'hv-b' });
  }, 180_000);
  beforeEach(() => real.reset(), 120_000);
  afterAll(() => real.close(), 60_000);

  it('brings the VMs of a host without power back elsewhere, each once', async () => {
    await real.cutPower('hv-a');
    await real.endsAs(await real.noticed({ host: 'hv-a' }), 'recovered');
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-a') })).toEqual([]);
  });

  it('starts a VM again after its grace that somebody destroyed, on its own host, and fences nothing', async () => {
    const [name] = real.vmsOf('hv-b') as [string];
    const destroyedAt = Date.now();
    await real.lab.vm(name).destroy();
    const run = await real.noticed({ vm: name });
    expect(await real.ending(run)).toMatchObject({
      kind: 'finished',
      result: { phase: 'running', name, target: 'hv-b' },
    });
    expect(Date.now() - destroyedAt).toBeGreaterThan(10_000);
    expect(await real.brokenPromises({ restarted: [name] })).toEqual([]);
  });

  it('leaves a VM alone that is back before its grace ends', async () => {
    const [name] = real.vmsOf('hv-c') as [string];
    const vm = real.lab.vm(name);
    await vm.destroy();
    const run = await real.noticed({ vm: name });
    await vm.start();
    expect(await real.ending(run)).toMatchObject({ kind: 'finished', result: { phase: 'running' } });
    expect(await real.inventory.incident(run.incidentId)).toMatchObject({ outcome: 'dismissed' });
    await delay(3_000);
    expect((await real.inventory.incidents({ open: true })).length).toBe(0);
    expect(await real.brokenPromises({ restarted: [name] })).toEqual([]);
  });

  // Last, because what it makes belongs to no reset.
  it('lets a VM go on whose disk failed, ends and starts it anew, or leaves it to a person, by its policy', async () => {
    const [lasting, passing] = [new FullStore(real.lab, 'hv-c'), new FullStore(real.lab, 'hv-b')];
    const [resumed, left] = [await lasting.guest('io-resume'), await lasting.guest('io-leave')];
    const restarted = await passing.guest('io-restart');
    const guests = [resumed, left, restarted];
    const runs = (v: VmRecord): boolean => v.desired === 'running' && v.observed.state === 'running';
    await waitFor('all three to be known', 30_000, async () => {
      const known = (await real.inventory.vms()).filter(runs).map((v) => v.vmId);
      return guests.every((g) => known.includes(vmId(g.uuid)));
    });

    await Promise.all([lasting.fill(), passing.fill()]);
    for (const guest of guests) expect(await guest.untilPaused()).toBe('paused (I/O error)');
    // Within its grace: what is started anew on a store that is still full would be paused again.
    const ofRestarted = await real.noticed({ uuid: restarted.uuid });
    await passing.makeRoom();
    const [ofResumed, ofLeft] = [
      await real.noticed({ uuid: resumed.uuid }),
      await real.noticed({ uuid: left.uuid }),
    ];
    await real.told(ofResumed.incidentId, /its disk still fails/);
    expect(await resumed.state()).toBe('paused (I/O error)');
    await lasting.makeRoom();
    expect(await real.ending(ofResumed)).toMatchObject({ result: { phase: 'running', target: 'hv-c' } });
    expect(await real.ending(ofRestarted)).toMatchObject({ result: { phase: 'running', target: 'hv-b' } });
    await Promise.all([resumed.beats(), restarted.beats()]);
    expect([await resumed.boots(), await restarted.boots()]).toEqual([1, 2]);

    await real.told(ofLeft.incidentId, /paused \(I\/O error\).*it may write again/);
    expect(await left.state()).toBe('paused (I/O error)');
    await left.resume();
    await real.ending(ofLeft);
    expect(await real.inventory.incident(ofLeft.incidentId)).toMatchObject({ outcome: 'dismissed' });
    expect(await left.boots()).toBe(1);
    for (const guest of guests) await guest.remove();
  }, 180_000);
});
