/** Hosts of a real cluster fail in the ways that power and BMCs have: real hypervisors, fence agents, BMCs and processes throughout. */
import { readFileSync } from 'node:fs';
import { waitFor } from '../../lab/wait-for';
import { describeOnRealHosts } from '../support/real-hosts';
import { RealRecovery, type Started } from '../support/real-recovery';
import { secretsIn } from '../support/written-down';

describeOnRealHosts('a failed host of a real cluster', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open();
  }, 180_000);
  beforeEach(() => real.reset(), 120_000);
  afterAll(() => real.close(), 60_000);

  const bmc = (
    host: string,
    kind: 'ipmi' | 'redfish',
    ...faults: Parameters<typeof real.lab.setBmcFaults>[2]
  ) => real.lab.setBmcFaults(host, kind, faults);
  const sentences = async (run: Started): Promise<string[]> =>
    (await real.inventory.timeline(run.incidentId)).map((entry) => entry.sentence);

  it('without power: its VMs run again elsewhere, each once, and nothing else is touched', async () => {
    await real.cutPower('hv-a');
    const run = await real.recover('hv-a');
    await real.endsAs(run, 'recovered');
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-a') })).toEqual([]);
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
    expect(await real.brokenPromises({ restarted: lost })).toEqual([]);
  });

  it('with a dead libvirtd and living guests: nothing is fenced or started, and it is dismissed when the daemon is back', async () => {
    const host = real.lab.host('hv-c');
    await host.killLibvirtd();
    const run = await real.recover('hv-c');
    const held = await real.untilPhase(run, 'held');
    expect(held.summary).toContain('hv-c is degraded, not dead');
    expect(held.nextCommand).toContain('vmedic incident approve');
    for (const name of real.vmsOf('hv-c')) await real.lab.vm(name).beats(2);
    await host.startLibvirtd();
    await real.endsAs(run, 'dismissed');
    expect((await sentences(run)).filter((s) => /"off" is sent|start on/.test(s))).toEqual([]);
    expect(await real.brokenPromises({ restarted: [] })).toEqual([]);
  });

  it('whose BMCs are silent: nothing starts until an operator attests that it is off', async () => {
    const lost = real.vmsOf('hv-a');
    const boots = real.watchBoots(lost);
    await bmc('hv-a', 'ipmi', { kind: 'silent' });
    await bmc('hv-a', 'redfish', { kind: 'gone' });
    await real.lab.host('hv-a').powerOff();
    const run = await real.recover('hv-a');
    const blocked = await real.untilPhase(run, 'blocked-unfenced');
    expect(blocked.nextCommand).toContain('vmedic incident attest-fenced');
    expect(boots.seen().size).toBe(0);
    await real.order(run, { update: 'attestFenced' }, 'I pulled both plugs');
    await real.endsAs(run, 'recovered');
    await real.told(run.incidentId, /tester attests that hv-a is off: I pulled both plugs/, 1_000);
    expect(await real.brokenPromises({ restarted: lost })).toEqual([]);
  });

  it('whose BMCs say "ok" and cut nothing: nothing starts until one of them does as told', async () => {
    const lost = real.vmsOf('hv-b');
    const boots = real.watchBoots(lost);
    for (const kind of ['ipmi', 'redfish'] as const) await bmc('hv-b', kind, { kind: 'lying' });
    await real.lab.host('hv-b').freeze();
    const run = await real.recover('hv-b');
    const blocked = await real.untilPhase(run, 'blocked-unfenced');
    expect(blocked.summary).toContain('was told to switch hv-b off and still reads "on"');
    expect(boots.seen().size).toBe(0);
    await bmc('hv-b', 'redfish');
    await real.endsAs(run, 'recovered');
    expect(await real.lab.host('hv-b').state()).toBe('off');
    expect(await real.brokenPromises({ restarted: lost })).toEqual([]);
  });

  it('whose first BMC is gone is switched off by the second', async () => {
    await bmc('hv-c', 'ipmi', { kind: 'gone' });
    await real.lab.host('hv-c').freeze();
    const run = await real.recover('hv-c');
    await real.endsAs(run, 'recovered');
    expect(await sentences(run)).toEqual(
      expect.arrayContaining(['"off" is sent to hv-c-redfish', 'hv-c is off: hv-c-redfish reads off']),
    );
    expect(await sentences(run)).not.toContain('"off" is sent to hv-c-ipmi');
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-c') })).toEqual([]);
  });

  it('whose BMCs refuse the login is left alone after two refusals each, until the password is right', async () => {
    for (const kind of ['ipmi', 'redfish'] as const) await bmc('hv-a', kind, { kind: 'refuse-login' });
    await real.lab.host('hv-a').powerOff();
    const run = await real.recover('hv-a');
    const refusals = () => real.loginRefusals('hv-a');
    await real.incidentWhen(run, 'out of logins', (i) => i.summary.includes('refused the login'));
    await waitFor('both budgets to be spent', 60_000, async () => (await refusals()).every((n) => n === 2));
    await real.retries(run, 3);
    expect(await refusals()).toEqual([2, 2]);
    for (const kind of ['ipmi', 'redfish'] as const) await bmc('hv-a', kind);
    await real.order(run, { update: 'resume' }, 'the password is right now');
    await real.endsAs(run, 'recovered');
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-a') })).toEqual([]);
  });

  it('together with a second one of three: nothing is fenced until somebody approves', async () => {
    const lost = [...real.vmsOf('hv-a'), ...real.vmsOf('hv-b')];
    await Promise.all(['hv-a', 'hv-b'].map((host) => real.lab.host(host).powerOff()));
    const runs = await Promise.all(['hv-a', 'hv-b'].map((host) => real.recover(host)));
    for (const run of runs) {
      const held = await real.untilPhase(run, 'held');
      expect(held.summary).toMatch(/hv-a, hv-b.*1 allowed/);
    }
    for (const run of runs) await real.order(run, { update: 'approveFencing' }, 'the rack lost its power');
    for (const run of runs) await real.endsAs(run, 'recovered');
    expect(await real.brokenPromises({ restarted: lost })).toEqual([]);
  });

  it('that runs on while its BMCs swear that it is off: the locks on its disks give the lie, and nothing starts', async () => {
    const lost = real.vmsOf('hv-b');
    for (const kind of ['ipmi', 'redfish'] as const)
      await bmc('hv-b', kind, { kind: 'lying' }, { kind: 'power-reads', power: 'off' });
    await real.lab.host('hv-b').freeze();
    const run = await real.recover('hv-b');
    await real.endsAs(run, 'partially-recovered', Object.fromEntries(lost.map((name) => [name, 'stuck'])));
    for (const name of lost) {
      const { sentence } = await real.told(run.incidentId, new RegExp(`${name} is stuck`), 1_000);
      expect(sentence).toMatch(/hv-b was read as off, and yet .*held open/);
    }
    await real.lab.host('hv-b').thaw();
    for (const name of lost) {
      await real.lab.vm(name).beats(2);
      await real.giveUp(run, name);
    }
    expect(await real.brokenPromises({ restarted: [], returned: ['hv-b'] })).toEqual([]);
  });

  it('leaves the password of no fence device in a log, a history or a row, whatever its device did', async () => {
    const passwords = ['hv-a', 'hv-b', 'hv-c'].flatMap((host) =>
      (['ipmi', 'redfish'] as const).map((kind) =>
        readFileSync(real.lab.bmc(host)[kind].passwordFile, 'utf8').trim(),
      ),
    );
    const written = await real.writtenDown();
    expect(secretsIn(written, passwords)).toEqual([]);
    // The refused logins are told, so what the agents said was heard.
    expect(secretsIn(written, ['refused the login'])).toEqual(
      expect.arrayContaining(['secret 0 stands in histories', 'secret 0 stands in rows']),
    );
  });
});
