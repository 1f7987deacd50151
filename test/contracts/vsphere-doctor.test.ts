import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { main } from '../../client/cli/main';
import type { VsphereSim } from '../../lab/vsphere/simulator';
import type { VcenterFinding } from '../../workers/doctor';
import { describeOnVcenter, startVcenter } from '../support/vcenter';

const reading = [
  'RetrieveServiceContent',
  'Login',
  'Logout',
  'CurrentTime',
  'RetrievePropertiesEx',
  'CreateContainerView',
  'DestroyView',
  'HasPrivilegeOnEntities',
];

describeOnVcenter('vmedic doctor vcenter', () => {
  let sim: VsphereSim;
  let folder: string;
  beforeEach(async () => {
    sim = await startVcenter({ hosts: 2 });
    folder = mkdtempSync(join(tmpdir(), 'vmedic-doctor-'));
  });
  afterEach(async () => {
    await sim.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const config = (more: object = {}) => ({
    version: 1,
    vcenters: [
      {
        id: 'vc',
        url: sim.url,
        username: sim.username,
        password: 'file:password',
        thumbprint: sim.thumbprint,
        ...more,
      },
    ],
    pools: [{ id: 'one', type: 'vmfs', path: '/vmfs/volumes/LocalDS_0', lockStrategy: 'none' }],
    clusters: [
      {
        id: 'esx',
        hosts: ['DC0_C0_H0', 'DC0_C0_H1'].map((name) => ({
          id: name.replaceAll('_', '-').toLowerCase(),
          hypervisor: { driver: 'vsphere', vcenter: 'vc', name },
          commands: { driver: 'vsphere' },
          capacity: { memoryMiB: 4_096, vcpus: 4 },
          pools: ['one'],
        })),
      },
    ],
  });

  async function run(
    written: object,
    more: readonly string[] = [],
  ): Promise<{ code: number; findings: VcenterFinding[]; said: string }> {
    const file = join(folder, 'vmedic.yaml');
    writeFileSync(file, stringify(written));
    writeFileSync(join(folder, 'password'), sim.password, { mode: 0o600 });
    const said: string[] = [];
    const print = (text: string): void => void said.push(text);
    const io = { env: {}, cwd: folder, stdout: print, stderr: () => undefined, live: false, color: false };
    const code = await main(['doctor', 'vcenter', '--config', file, '--json', ...more], io);
    const { findings = [] } = JSON.parse(said.join('')) as { findings?: VcenterFinding[] };
    return { code, findings, said: said.join('') };
  }

  const blocking = (findings: readonly VcenterFinding[]): string[] =>
    findings.filter((f) => f.severity === 'blocks').map((f) => f.sentence);

  it('finds nothing in the way of a sound installation, and changes nothing', async () => {
    const before = await sim.state();
    const { code, findings } = await run(config());
    expect(blocking(findings)).toEqual([]);
    expect(code).toBe(0);
    expect([...new Set(findings.map((f) => f.what))].sort()).toEqual(
      ['clock', 'datastore', 'host', 'reach', 'rights', 'version', 'vm'].sort(),
    );
    const sent = [...new Set((await sim.calls()).map((c) => c.method))];
    expect(sent.filter((m) => !reading.includes(m))).toEqual([]);
    expect(await sim.state()).toEqual(before);
  });

  it('names all that stands in the way, each with what to do', async () => {
    await sim.order('host', { name: 'DC0_C0_H0', state: 'disconnected' });
    await sim.order('datastore', { name: 'LocalDS_0', accessible: false });
    await sim.order('deny', { name: 'Resource.HotMigrate' });
    await sim.order('cluster', { name: 'DC0_C0', ha: true });
    const { code, findings } = await run(config());
    expect(code).toBe(3);
    const said = findings.map((f) => f.sentence).join('\n');
    for (const part of [
      'vCenter calls DC0_C0_H0 disconnected',
      'is not accessible on DC0_C0_H1',
      'lacks Resource.HotMigrate',
      'vSphere HA is on for DC0_C0',
    ])
      expect(said).toContain(part);
    expect(findings.filter((f) => f.severity !== 'fine' && f.next === undefined)).toEqual([]);
  });

  it.each([
    ['an untrusted vCenter', { thumbprint: 'ab'.repeat(32) }, 'is not the one that is trusted'],
    ['another vCenter', { instanceUuid: 'another' }, 'answers another vCenter'],
    ['a wrong user', { username: 'nobody' }, 'refused the login of nobody'],
  ])('says of %s what it is, in one sentence', async (_, wrong, sentence) => {
    const { code, findings, said } = await run(config(wrong));
    expect(code).toBe(3);
    expect(blocking(findings)).toEqual([expect.stringContaining(sentence)]);
    expect(said).not.toContain(sim.password);
  });

  it('names what it would move of a scratch VM, moves it when told so, and brings it back', async () => {
    const [name = ''] = Object.keys((await sim.state()).vms);
    const stores = {
      pools: ['LocalDS_0', 'LocalDS_1'].map((id) => ({
        id,
        type: 'vmfs',
        path: `/vmfs/volumes/${id}`,
        lockStrategy: 'none',
      })),
    };
    const written = {
      ...config(),
      ...stores,
      clusters: config().clusters.map((c) => ({
        ...c,
        hosts: c.hosts.map((h) => ({ ...h, pools: ['LocalDS_0', 'LocalDS_1'] })),
      })),
    };
    const order = ['--move-scratch-vm', name, '--to', 'LocalDS_1'];
    const named = await run(written, order);
    expect(named.code).toBe(0);
    expect(named.said).toContain(`would move`);
    expect(await sim.calls('RelocateVM_Task')).toEqual([]);
    const done = await run(written, [...order, '--yes']);
    expect(done.said).toContain('there: vCenter');
    expect(done.code).toBe(0);
    expect(await sim.calls('RelocateVM_Task')).toHaveLength(2);
    expect((await sim.state()).vms[name]?.disks[0]?.file).toContain('[LocalDS_0]');
    await sim.plan({ preset: 'lie' });
    expect((await run(written, [...order, '--yes'])).code).toBe(3);
    await sim.order('vm', { vm: name, power: 'on' });
    const running = await run(written, [...order, '--yes']);
    expect([running.code, running.said]).toEqual([3, expect.stringContaining('a scratch VM is off')]);
  });

  it('has nothing to look at without a vCenter, and says where one is declared', async () => {
    const { vcenters: _, ...without } = config();
    const hosts = without.clusters
      .flatMap((c) => c.hosts)
      .map((h) => ({
        ...h,
        hypervisor: { driver: 'libvirt', uri: 'qemu:///system' },
        commands: { driver: 'ssh', target: h.id },
        pools: [],
      }));
    const { code, said } = await run({ ...without, clusters: [{ id: 'kvm', hosts }] });
    expect(code).toBe(2);
    expect(said).toContain('names no vCenter');
  });
});
