/** VMedic itself dies in the middle of a recovery on real hosts: what is left of it, and what comes after it, bring every VM back once. */
import { describeOnRealHosts } from '../support/real-hosts';
import { RealRecovery } from '../support/real-recovery';
import type { Part } from '../support/own-system';

describeOnRealHosts('a recovery on real hosts', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open();
  }, 180_000);
  beforeEach(() => real.reset(), 120_000);
  afterAll(() => real.close(), 60_000);

  it.each<[Part, string, string, RegExp]>([
    ['worker', 'the first VM is being started', 'hv-a', /: start on/],
    ['worker', 'the power is being cut', 'hv-b', /"off" is sent/],
    ['temporal', 'the host is proven off', 'hv-c', /is off: /],
    ['inventory', 'the host is proven off', 'hv-a', /is off: /],
  ])('goes on to its end when the %s is killed while %s', async (part, _when, host, moment) => {
    await real.lab.host(host).freeze();
    const run = await real.recover(host);
    await real.told(run.incidentId, moment);
    await real.system.kill(part);
    const killedAt = real.system.killedAt;
    await real.endsAs(run, 'recovered');
    const { closedAt } = await real.incidentWhen(run, 'closed', (i) => i.closedAt !== undefined);
    expect(Date.parse(closedAt ?? '')).toBeGreaterThan(killedAt);
    expect(await real.brokenPromises({ restarted: real.vmsOf(host) })).toEqual([]);
  });

  it('is one run, however many ask for it at once', async () => {
    await real.cutPower('hv-b');
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => real.recover('hv-b', `alarm ${i} says that hv-b is down`)),
    );
    expect(answers.filter((a) => a.answer === 'started')).toHaveLength(1);
    expect(new Set(answers.map((a) => `${a.incidentId} ${a.runId}`)).size).toBe(1);
    const [run] = answers;
    if (run === undefined) throw new Error('nobody was answered');
    await real.endsAs(run, 'recovered');
    const late = await real.recover('hv-b', 'an alarm that came late');
    expect(late).toMatchObject({ answer: 'same', open: false, incidentId: run.incidentId });
    expect(await real.runsOf('recoverHost', run.incidentId)).toBe(1);
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-b') })).toEqual([]);
  });
});
