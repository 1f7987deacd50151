import { rmSync } from 'node:fs';
import { exitCodes } from '../../client/cli/exit-codes';
import type { OpenSession } from '../../client/cli/session';
import { clusterId, poolId } from '../../domain/ids';
import type { Finding, ReadinessReport } from '../../domain/readiness';
import { fleet, folder, hvA, inventory, run, session, vm } from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const web = vm('web');
const db = vm('db');
const silent: Finding = {
  ...{ check: 'fence-silent', severity: 'blocks', about: { kind: 'host', id: hvA } },
  ...{ sentence: 'Fence device hv-a-bmc of hv-a does not answer', next: 'check its power' },
};
const autostart: Finding = {
  ...{ check: 'autostart', severity: 'risks', about: { kind: 'vm', id: web.vmId, name: 'web' } },
  ...{ sentence: 'hv-a starts web by itself at boot', next: 'virsh autostart --disable web on hv-a' },
};
const report = (more: Partial<ReadinessReport> = {}): ReadinessReport => ({
  clusterId: clusterId('one'),
  at: new Date().toISOString(),
  vms: [
    {
      ...{ vmId: web.vmId, name: 'web', hostId: hvA, verdict: 'would-not', target: undefined },
      ...{ because: [silent], risks: [autostart] },
    },
    {
      ...{ vmId: db.vmId, name: 'db', hostId: hvA, verdict: 'comes-back', target: hvA },
      ...{ because: [], risks: [] },
    },
  ],
  findings: [silent, autostart],
  ...more,
});
const ask = (argv: readonly string[], found: ReadinessReport | undefined = report()) =>
  run(['readiness', '--last', ...argv], {
    open: session(inventory({ readiness: () => Promise.resolve(found) })),
  });

it('says of each VM whether it would come back, then each reason once with what to do, and ends with 4', async () => {
  const ran = await ask([]);
  expect(ran.exit).toBe(exitCodes.partly);
  expect(ran.stdout).toContain('1 of 2 protected VMs would come back now');
  expect(ran.stdout).toMatch(/^web +hv-a +no +fence-silent$/m);
  expect(ran.stdout).toMatch(/^db +hv-a +yes +hv-a$/m);
  expect(ran.stdout.split('does not answer')).toHaveLength(2);
  expect(ran.stdout).toContain(
    'blocks: Fence device hv-a-bmc of hv-a does not answer [fence-silent]\n  do: check its power',
  );
  expect(ran.stdout.indexOf('blocks:')).toBeLessThan(ran.stdout.indexOf('risk:'));
});

it('of one VM says only what concerns it, and ends with 0 when it would come back', async () => {
  const good = await ask(['--vm', 'db']);
  expect(good.exit).toBe(exitCodes.done);
  expect(good.stdout).not.toContain('web');
  expect(good.stdout).toContain('Nothing stands in the way.');
  const bad = await ask(['--vm', 'web', '--json']);
  expect(bad.exit).toBe(exitCodes.partly);
  expect(JSON.parse(bad.stdout)).toMatchObject({
    ready: false,
    reports: [{ vms: [{ name: 'web', because: [{ check: 'fence-silent' }] }], findings: [{}, {}] }],
  });
});

it('says how the locks of a dead host would be released, for each pool that hosts of the cluster use', async () => {
  const pools = ['lab-nfs', 'unused'].map((id) => ({
    ...{ id: poolId(id), type: 'nfs' as const, lockStrategy: 'nfs3-notify' as const },
  }));
  const clusters = fleet.clusters.map((c) => ({
    ...c,
    hosts: c.hosts.map((h) => ({ ...h, pools: [poolId('lab-nfs')] })),
  }));
  const open: OpenSession = async (...where) => ({
    ...(await session(inventory({ readiness: () => Promise.resolve(report()) }))(...where)),
    fleet: { pools, clusters },
  });
  const ran = await run(['readiness', '--last'], { open });
  expect(ran.stdout).toContain("A dead host's locks: lab-nfs (nfs) by nfs3-notify\n");
  const json = await run(['readiness', '--last', '--json'], { open });
  expect((JSON.parse(json.stdout) as { pools: object[] }).pools).toEqual([pools[0]]);
});

it('refuses a cluster that is not declared, and says so when nothing was checked yet', async () => {
  const unknown = await ask(['--cluster', 'two']);
  expect(unknown.exit).toBe(exitCodes.usage);
  expect(unknown.stderr).toContain('There is no cluster two in the config; known: one');
  const never = await run(['readiness', '--last'], { open: session(inventory()) });
  expect(never.exit).toBe(exitCodes.refused);
  expect(never.stderr).toContain('never checked');
});
