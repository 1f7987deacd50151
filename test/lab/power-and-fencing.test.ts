/** One host of three fails, in every way that its power and its BMCs have; the real hypervisors, BMCs and processes throughout. */
import { RealRecovery } from '../support/real-recovery';
import { describeOnRealHosts } from '../support/real-hosts';

describeOnRealHosts('a failed host of a real cluster', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open();
  }, 180_000);
  beforeEach(() => real.reset(), 120_000);
  afterAll(() => real.close(), 60_000);

  it('without power: its VMs run again elsewhere, each once, and nothing else is touched', async () => {
    await real.cutPower('hv-a');
    const run = await real.recover('hv-a');
    await real.endsAs(run, 'recovered');
    await real.judge({ restarted: real.vmsOf('hv-a') });
  });

  it('frozen: none of its VMs starts elsewhere before its power was read as off', async () => {
    const lost = real.vmsOf('hv-b');
    const boots = real.watchBoots(lost);
    await real.lab.host('hv-b').freeze();
    const run = await real.recover('hv-b');
    const proof = await real.told(run.incidentId, /is off: hv-b-ipmi reads off/);
    await real.endsAs(run, 'recovered');
    expect(await real.lab.host('hv-b').state()).toBe('off');
    const seen = boots.seen();
    for (const name of lost) expect(seen.get(name)).toBeGreaterThan(Date.parse(proof.at));
    await real.judge({ restarted: lost });
  });
});
