/** What recoveries on real hosts find besides a dead host: one that rebooted by itself, VMs that vanish, old definitions, dumb guests. */
import { openSync, closeSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../lab/wait-for';
import { vmId } from '../../domain/ids';
import { describeOnRealHosts } from '../support/real-hosts';
import { RealRecovery } from '../support/real-recovery';

/** Long enough for a guest that boots in a fraction of a second, short enough to wait for one that never does. */
const dumbFor = { kind: 'console', pattern: 'VMEDIC-BEAT seq=', timeout: '4s' } as const;

describeOnRealHosts('a recovery on real hosts', () => {
  let real: RealRecovery;
  beforeAll(async () => {
    real = await RealRecovery.open({
      transient: 2,
      rawVms: ['dumb'],
      vmConfig: { dumb: { health: dumbFor } },
    });
  }, 180_000);
  beforeEach(() => real.reset(), 120_000);
  afterAll(() => real.close(), 60_000);

  it('of a host that rebooted by itself brings its VMs back on it, and fences nothing', async () => {
    const host = real.lab.host('hv-b');
    await host.powerOff();
    await host.powerOn();
    const run = await real.recover('hv-b');
    await real.endsAs(run, 'recovered');
    const timeline = await real.inventory.timeline(run.incidentId);
    expect(timeline.filter((e) => e.kind === 'evidence' || e.sentence.includes('"off" is sent'))).toEqual([]);
    expect(await host.runningVms()).toEqual(expect.arrayContaining(real.vmsOf('hv-b')));
    expect(await real.brokenPromises({ restarted: real.vmsOf('hv-b'), onItself: 'hv-b' })).toEqual([]);
  });

  it('makes a transient VM anew elsewhere: nothing of it was left anywhere', async () => {
    const vm = real.lab.vm('vm-06');
    expect(vm.entry.transient).toBe(true);
    await real.cutPower(vm.home.id);
    await real.endsAs(await real.recover(vm.home.id), 'recovered');
    expect(await real.brokenPromises({ restarted: real.vmsOf(vm.home.id) })).toEqual([]);
  });

  it('of one transient VM that somebody destroyed starts it once more', async () => {
    const vm = real.lab.vm('vm-05');
    await vm.destroy();
    expect(await vm.state()).toBe('absent');
    const run = await real.restart('vm-05');
    const ending = await real.ending(run);
    expect(ending).toMatchObject({ kind: 'finished', result: { phase: 'running', name: 'vm-05' } });
    expect(await real.brokenPromises({ restarted: ['vm-05'] })).toEqual([]);
  });

  it('takes old definitions away, and starts none of them', async () => {
    const vm = real.lab.vm('vm-01');
    const old = join(real.lab.folder, 'xml', 'old.xml');
    const text = readFileSync(vm.entry.xmlFile, 'utf8').replace('</uuid>', '</uuid><title>old</title>');
    writeFileSync(old, text);
    const others = real.lab.hosts.filter((host) => host !== vm.home);
    for (const host of others) await host.virshOrThrow(['define', old]);
    await waitFor('the old definitions to be seen', 30_000, async () => {
      const sightings = await real.inventory.sightings([vmId(vm.uuid)]);
      return sightings.length === real.lab.hosts.length;
    });
    await real.cutPower(vm.home.id);
    await real.endsAs(await real.recover(vm.home.id), 'recovered');
    for (const host of others)
      if ((await vm.state(host)) !== 'absent')
        expect(await host.virshOrThrow(['dumpxml', vm.name])).not.toContain('<title>old');
    expect(await real.brokenPromises({ restarted: real.vmsOf(vm.home.id) })).toEqual([]);
  });

  it('says so of a guest that runs and prints nothing, and calls the others back all the same', async () => {
    const { disk } = real.lab.vm('dumb').entry;
    const bootSector = readFileSync(disk).subarray(0, 512);
    await real.cutPower('hv-a');
    write(disk, Buffer.alloc(512));
    const run = await real.recover('hv-a');
    await real.endsAs(run, 'partially-recovered', { dumb: 'guest-degraded' });
    write(disk, bootSector);
    await real.told(run.incidentId, /dumb runs on hv-\w; its health check \(console\) did not pass/, 1_000);
    expect((await real.inventory.incident(run.incidentId))?.summary).toContain('not: dumb (guest-degraded)');
    const restarted = real.vmsOf('hv-a').filter((name) => name !== 'dumb');
    // It runs elsewhere than at home, as it should, and has booted nothing.
    expect(await real.brokenPromises({ restarted })).toEqual([
      expect.stringMatching(/^dumb was on hv-a, which kept it, and runs on hv-[bc]$/),
    ]);
  });

  it('is judged by the world: what is missing, doubled, stale or misrecorded is seen', async () => {
    const [one, two] = [real.lab.vm('vm-01'), real.lab.vm('vm-02')];
    await one.define(real.lab.host('hv-c'));
    await one.destroy();
    const record = await real.inventory.vm(vmId(two.uuid));
    await real.inventory.updateVm(vmId(two.uuid), record?.version ?? 0, { hostId: 'hv-c' as never });
    expect(await real.brokenPromises({ restarted: ['vm-03'] })).toEqual([
      'vm-01 runs nowhere',
      'vm-02 runs on hv-b, and the record says hv-c',
      'vm-03 was booted 0 times and not 1',
      'a definition is left of vm-01 on hv-a',
      'a definition is left of vm-01 on hv-c',
    ]);
  });
});

/** In place: the image stays the file that it is. */
function write(disk: string, bytes: Buffer): void {
  const file = openSync(disk, 'r+');
  writeSync(file, bytes, 0, bytes.length, 0);
  closeSync(file);
}
