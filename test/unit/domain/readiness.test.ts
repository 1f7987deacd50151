import { clusterId, fenceDeviceId, hostId, poolId, vmId } from '../../../domain/ids';
import type { Cluster, Host, Pool } from '../../../domain/fleet';
import { defaultPolicy } from '../../../domain/limits';
import {
  assessReadiness,
  type DeviceFact,
  type HostFacts,
  type ReadinessFacts,
  type ReadinessReport,
  type VmFacts,
} from '../../../domain/readiness';
import { isOlder } from '../../../domain/readiness/host-checks';

const at = '2026-11-21T12:00:00.000Z';
const pool: Pool = { id: poolId('p'), type: 'dir', path: '/p', lockStrategy: 'none' };
const one = clusterId('one');
const [a, b, c] = ['hv-a', 'hv-b', 'hv-c'].map(hostId) as [Host['id'], Host['id'], Host['id']];

const hostOf = (id: Host['id'], more: Partial<Host> = {}): Host => ({
  ...{ id, clusterId: one, capacity: { memoryMiB: 100, vcpus: 10 }, pools: [pool.id], networks: [] },
  fenceLevels: ['bmc', 'outlet'].map((name) => ({
    name,
    devices: [{ id: fenceDeviceId(`${id}-${name}`), agent: 'x' }],
  })),
  ...more,
});
const reads = (id: Host['id'], says: DeviceFact['says'] = 'on', level = 'bmc'): DeviceFact => ({
  ...{ hostId: id, level, deviceId: fenceDeviceId(`${id}-${level}`), says, detail: 'so' },
});
const good = (id: Host['id'], more: Partial<HostFacts> = {}): HostFacts => ({
  ...{ host: hostOf(id), standing: 'in-service' },
  devices: [reads(id), reads(id, 'on', 'outlet')],
  list: { kind: 'read', value: { hostId: id, observedAt: at, vms: [] } },
  survey: {
    kind: 'read',
    value: {
      ...{ commands: [{ name: 'qemu', version: '7.2.22' }], rivals: [], mounts: [], statd: true },
      lvm: undefined,
    },
  },
  images: {
    kind: 'read',
    value: ['web', 'db', 'big'].map((n) => ({ path: `/p/${n}`, seen: 'usable', detail: '' })),
  },
  ...more,
});
const vmOf = (
  name: string,
  host: Host['id'],
  memoryMiB = 10,
  more: Partial<VmFacts['record']> = {},
): VmFacts => ({
  definitionStored: true,
  record: {
    ...{ vmId: vmId(`id-${name}`), name, clusterId: one, hostId: host, desired: 'running', protected: true },
    ...{ persistent: true, priority: 3, antiAffinity: undefined, definitionVersion: 1, epoch: 1, version: 1 },
    observed: { state: 'running', reason: 'booted', at },
    shape: {
      ...{ memoryMiB, vcpus: 1, networks: [], consolePath: undefined },
      disks: [{ device: 'vda', path: `/p/${name}`, format: 'raw', poolId: pool.id, shareable: false }],
    },
    ...more,
  },
});
const assess = (
  hosts: readonly HostFacts[],
  vms: readonly VmFacts[],
  more: Partial<ReadinessFacts> = {},
): ReadinessReport => {
  const cluster: Cluster = {
    ...{ id: one, mode: 'automatic', policy: defaultPolicy, vms: {} },
    hosts: hosts.map((h) => h.host),
  };
  const pools = [{ pool, strategy: { kind: 'read', value: 'answers' }, lockTest: undefined }] as const;
  return assessReadiness({ cluster, at, hosts, pools, vms, ...more });
};
const verdicts = (report: ReadinessReport): string[] =>
  report.vms.map((v) => `${v.name} ${v.verdict}${v.target === undefined ? '' : ` on ${v.target}`}`);
const found = (report: ReadinessReport): string[] => report.findings.map((f) => `${f.severity} ${f.check}`);

it('of a cluster in good order finds nothing, and says where each VM would go', () => {
  const report = assess([good(a), good(b), good(c)], [vmOf('web', a), vmOf('db', b)]);
  expect(found(report)).toEqual([]);
  expect(verdicts(report)).toEqual(['web comes-back on hv-c', 'db comes-back on hv-c']);
});

it.each(['nolock', 'local_lock=posix'])(
  'sends no VM to a host that has its pool mounted with %s',
  (option) => {
    const mounts = [
      {
        ...{ poolId: pool.id, path: '/p', kind: 'mount' as const, source: 'nfs:/p', fileSystem: 'nfs' },
        ...{ options: ['rw', 'vers=3', option], fstabOptions: undefined },
      },
    ];
    const b2 = good(b);
    const survey = b2.survey.kind === 'read' ? { ...b2.survey.value, mounts } : undefined!;
    const odd: HostFacts = { ...b2, survey: { kind: 'read', value: survey } };
    const locked = [
      {
        ...({ strategy: { kind: 'read', value: 'answers' }, lockTest: undefined } as const),
        pool: { ...pool, type: 'nfs', lockStrategy: 'nfs3-notify' } as const,
      },
    ];
    const web = [vmOf('web', a)];
    expect(verdicts(assess([good(a), odd], web, { pools: locked }))).toEqual(['web would-not']);
    expect(verdicts(assess([good(a), odd, good(c)], web, { pools: locked }))).toEqual([
      'web comes-back on hv-c',
    ]);
  },
);

it('counts neither a VM that is unprotected nor one that is meant to be off', () => {
  const off = vmOf('db', a, 10, { desired: 'stopped' });
  const free = vmOf('web', a, 10, { protected: false });
  const report = assess(
    [good(a, { devices: [reads(a, 'silent'), reads(a, 'silent', 'outlet')] }), good(b)],
    [off, free],
  );
  expect(verdicts(report)).toEqual(['db stopped', 'web unprotected']);
});

describe('fencing', () => {
  const verdictWith = (...devices: DeviceFact[]) => {
    const report = assess([good(a, { devices }), good(b)], [vmOf('web', a)]);
    return [verdicts(report)[0]?.split(' ')[1], ...found(report)];
  };

  it('a level that does not answer is a risk while another one does, and blocks when none does', () => {
    expect(verdictWith(reads(a, 'silent'), reads(a, 'on', 'outlet'))).toEqual([
      'comes-back',
      'risks fence-silent',
    ]);
    expect(verdictWith(reads(a, 'silent'), reads(a, 'login-refused', 'outlet'))).toEqual([
      'would-not',
      'blocks fence-silent',
      'blocks fence-login-refused',
    ]);
  });

  it('a device that reads "off" of a host that answers blocks, however well the others are', () => {
    expect(verdictWith(reads(a, 'off'), reads(a, 'on', 'outlet'))).toEqual([
      'would-not',
      'blocks fence-reads-off',
    ]);
  });

  it('"off" of a host that does not answer is no lie', () => {
    const silent = good(a, {
      devices: [reads(a, 'off'), reads(a, 'off', 'outlet')],
      list: { kind: 'not-read', detail: 'no answer' },
    });
    expect(found(assess([silent, good(b)], []))).toEqual(['risks host-unread']);
  });

  it('of one host keeps no other host’s VMs from coming back', () => {
    const report = assess(
      [good(a, { devices: [reads(a, 'silent'), reads(a, 'silent', 'outlet')] }), good(b), good(c)],
      [vmOf('db', b)],
    );
    expect(verdicts(report)).toEqual(['db comes-back on hv-a']);
  });
});

describe('room after the failure of one host', () => {
  it('is given by priority, and who is left over is told what each host lacks', () => {
    const small = { host: hostOf(b, { capacity: { memoryMiB: 20, vcpus: 10 } }) };
    const report = assess(
      [good(a), good(b, small)],
      [vmOf('web', a, 15), vmOf('db', a, 15, { priority: 1 })],
    );
    expect(verdicts(report)).toEqual(['web would-not', 'db comes-back on hv-b']);
    expect(report.vms[0]?.because[0]?.sentence).toBe(
      'If hv-a failed, no host could take web: hv-b has 5 MiB free of the 15 MiB needed',
    );
  });

  it('is not what the host itself frees', () => {
    expect(verdicts(assess([good(a)], [vmOf('web', a)]))).toEqual(['web would-not']);
  });
});

describe('what could not be read is never taken for good', () => {
  const nowhere = (more: Partial<HostFacts>) => {
    const report = assess([good(a), good(b, more)], [vmOf('web', a)]);
    expect(verdicts(report)).toEqual(['web would-not']);
    return report.vms[0]?.because[0]?.sentence;
  };
  const notRead = { kind: 'not-read', detail: 'no answer' } as const;

  it.each<[string, Partial<HostFacts>, string]>([
    ['a host whose list could not be read', { list: notRead }, 'hv-b does not answer'],
    ['a host that could not be looked into', { survey: notRead }, 'hv-b cannot be looked into'],
    [
      'a host from which the disks could not be looked at',
      { images: notRead },
      'hv-b could not look at /p/web: no answer',
    ],
    [
      'a host that did not say of a disk whether it opens',
      { images: { kind: 'read', value: [] } },
      'hv-b did not say whether it can open /p/web',
    ],
    ['a host in maintenance', { standing: 'maintenance' }, 'hv-b is maintenance'],
  ])('%s takes no VM', (_, more, why) => {
    expect(nowhere(more)).toContain(why);
  });

  it('a strategy that this VMedic cannot reach blocks', () => {
    const report = assess([good(a), good(b)], [vmOf('web', a)], {
      pools: [{ pool, strategy: { kind: 'not-read', detail: 'port closed' }, lockTest: undefined }],
    });
    expect([verdicts(report)[0]?.split(' ')[1], ...found(report)]).toEqual([
      'would-not',
      'blocks strategy-unreachable',
    ]);
  });
});

it.each([
  ['2.8.1', '2.10.0', true],
  ['2.10.0', '2.10.0', false],
  ['7.2', '2.10.0', false],
  ['2.9', '2.10.0', true],
  ['unknown', '2.10.0', false],
])('%s is older than %s: %s', (version, least, older) => {
  expect(isOlder(version, least)).toBe(older);
});
