/** Nobody types: the watch of a real cluster, in mode automatic, on real hosts, BMCs and guests. */
import { setTimeout as delay } from 'node:timers/promises';
import { describeOnRealHosts } from '../support/real-hosts';
import { RealRecovery } from '../support/real-recovery';

describeOnRealHosts('a real cluster that is left to itself', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open({ mode: 'automatic' });
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
});
