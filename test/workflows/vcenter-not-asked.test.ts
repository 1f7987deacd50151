/** A vCenter that cannot be asked: what the watch says of it, once, and that nothing is concluded of any host. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { environment } from '../../activities/environment';
import { type Look, lookActivities } from '../../activities/look-at-host';
import { watchActivities } from '../../activities/watch';
import { troublesOf } from '../../client/troubles';
import { DriverFault } from '../../domain/faults';
import type { HostId } from '../../domain/ids';
import { discover } from '../support/recovery-system';
import { eventually } from '../support/story';
import { describeOnVcenter } from '../support/vcenter';
import { type VcenterSystem, vcenterSystem } from '../support/vcenter-system';

const everyMs = 40;

describeOnVcenter('a vCenter that cannot be asked', () => {
  let esx: VcenterSystem;
  let watch: MockActivityEnvironment;
  let watching: Promise<unknown>;
  /** By the watch, of anybody. */
  let asked: string[];

  beforeEach(async () => {
    esx = await vcenterSystem({ hosts: 3, vms: 2, disks: 1, worker: 'elsewhere' });
    await discover(esx.ports, esx.fleet);
    asked = [];
    watch = quietly();
  });
  afterEach(async () => {
    watch.cancel();
    await watching.catch(() => undefined);
    await esx.close();
  });

  const quietly = () => new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
  const env = () => environment(esx.ports, esx.fleet);
  const open = () => esx.inventory.alerts({ open: true });

  function beginWatch(of = env()): void {
    const ask = (id: string) => {
      asked.push(id);
      return Promise.reject(new DriverFault('HYPERVISOR_BUSY', { host: id }));
    };
    const supervision = { recoveries: { recoverHost: ask, restartMissingVm: ask }, owner: undefined };
    const { watchCluster } = watchActivities(of, supervision);
    watching = watch.run(() => watchCluster({ clusterId: esx.cluster, everyMs }));
  }

  /** What `vmedic status` would say once nobody has been seen for a minute. */
  async function troubles(): Promise<{ what: string; next: string }[]> {
    const [hosts, vms, alerts] = [await esx.inventory.hosts(), await esx.inventory.vms(), await open()];
    const lastSeenAt = new Date(Date.now() - 60_000).toISOString();
    const long = hosts.map((h) => ({ ...h, lastSeenAt }));
    return troublesOf({ fleet: esx.fleet, hosts: long, vms, open: [], alerts, unpolled: [] });
  }

  const detail = 'vmedic@a: Permission denied (publickey)';
  /** Something at the host's address lets nobody in. */
  function refusing(a: HostId) {
    const { hypervisor } = esx.ports;
    const list: typeof hypervisor.list = (host, signal) => {
      if (host !== a) return hypervisor.list(host, signal);
      const cause = new DriverFault('HYPERVISOR_LOGIN_REFUSED', {
        host,
        detail,
        uri: 'qemu+ssh://vmedic@a/system',
      });
      return Promise.reject(new DriverFault('HYPERVISOR_UNREACHABLE', { host, detail }, { cause }));
    };
    const port = Object.assign(Object.create(hypervisor) as typeof hypervisor, { list });
    return environment({ ...esx.ports, hypervisor: port }, esx.fleet);
  }

  it('that refuses the login is one trouble with its way out, holds every act, and is no word about a host', async () => {
    await esx.sim.rule({ method: 'Login', action: 'fault:InvalidLogin' });
    await esx.sim.order('expire-sessions');
    beginWatch();
    await eventually('the alert', async () => (await open()).length > 0);
    // Twice as long as a silent host is given before its recovery is asked for.
    const until = Date.now() + 800;
    await eventually('time to act', () => Date.now() > until);
    expect(asked).toEqual([]);
    const said = await troubles();
    expect(said.map((t) => t.what)).toEqual([
      `vCenter vc refused the login of ${esx.sim.username}; the same password is not sent again for 5 minutes, because accounts are locked. ` +
        `Its hosts (${esx.hosts.join(', ')}) are not watched meanwhile: nothing is fenced or restarted there`,
    ]);
    expect(said[0]?.next).toContain('correct username or password of vc under vcenters in the config');
    expect((await esx.sim.calls('Login')).filter((c) => c.status !== 200).length).toBeLessThanOrEqual(1);
    const [a] = esx.hosts as [HostId];
    const looks: Look[] = [];
    await quietly().run(async () => {
      looks.push(await lookActivities(env()).lookAtHost({ hostId: a, withPower: true }));
    });
    const verdict = looks[0]?.verdict;
    expect(verdict).toMatchObject({ verdict: 'suspect', missing: 'any word of its hypervisor' });
    expect(verdict?.why).toContain('vCenter vc refused the login');
  });

  it('that is down for a while is told of once, and taken back when it answers', async () => {
    await esx.sim.order('restart', { downMs: 1_500 });
    beginWatch();
    await eventually('the alert', async () => (await open()).length > 0);
    expect((await troubles()).map((t) => t.what)).toEqual([
      expect.stringContaining('vCenter vc does not answer'),
    ]);
    await eventually('its end', async () => (await open()).length === 0);
    expect(asked).toEqual([]);
    expect((await esx.inventory.alerts()).map((a) => a.key)).toEqual([
      'unasked:vcenter:vc:VCENTER_UNREACHABLE',
    ]);
  });

  it('a host that refuses the login is one trouble of its own, and no host that is silent', async () => {
    const [a] = esx.hosts as [HostId];
    beginWatch(refusing(a));
    await eventually('the alert', async () => (await open()).length > 0);
    const what = (await troubles()).filter((t) => t.what.includes(a));
    expect(what).toEqual([
      {
        what: `${a} answers, and does not let VMedic in: ${detail}. It is not watched meanwhile: nothing is fenced or restarted there`,
        since: expect.any(String) as string,
        next: expect.stringContaining('virsh -c qemu+ssh://vmedic@a/system list') as string,
      },
    ]);
    expect(asked).toEqual([]);
  });

  it('a host that is off is recovered whatever answers at its address', async () => {
    const [a] = esx.hosts as [HostId];
    const bmc = esx.fleet.clusters[0]!.hosts[0]!.fenceLevels[0]!.devices[0]!;
    await esx.ports.fencing.off(a, bmc, new AbortController().signal);
    beginWatch(refusing(a));
    await eventually('its recovery is asked for', () => asked.length > 0);
    expect(asked).toEqual([a]);
  });
});
