import { clusterId, hostId, poolId, vmId } from '../../../domain/ids';
import {
  type Finding,
  isReadinessAlert,
  isRiskAlert,
  mayBeCured,
  newsAlerts,
  readinessAlerts,
  type ReadinessReport,
} from '../../../domain/readiness';

const one = clusterId('one');
const report = (findings: readonly Finding[]): ReadinessReport => ({
  ...{ clusterId: one, at: '2026-03-01T12:00:00.000Z', vms: [], findings },
});
const aboutVm = (n: number, sentence: string): Finding => ({
  ...{ check: 'image-unreadable', severity: 'risks', sentence, next: 'see to the pool' },
  about: {
    ...{ kind: 'vm', name: `vm-${n}` },
    id: vmId(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
  },
});
const aboutHost: Finding = {
  ...{ check: 'fence-silent', severity: 'blocks', about: { kind: 'host', id: hostId('hv-a') } },
  ...{ sentence: 'bmc-a is silent', next: 'check its power' },
};

it('is one alert for each finding and whom it is about, with the cure', () => {
  const alerts = readinessAlerts(report([aboutHost, aboutVm(1, 'b cannot'), aboutVm(1, 'c cannot')]));
  expect(alerts).toEqual([
    {
      key: 'readiness:one:fence-silent:host:hv-a',
      sentence: 'bmc-a is silent',
      nextCommand: 'check its power; then vmedic readiness',
    },
    expect.objectContaining({ sentence: 'b cannot; c cannot' }),
  ]);
  expect(alerts.map((a) => isRiskAlert(a.key))).toEqual([false, true]);
  expect(alerts.every((a) => isReadinessAlert(a.key, one))).toBe(true);
  expect(alerts.some((a) => isReadinessAlert(a.key, clusterId('on')))).toBe(false);
});

describe('with a host that could not be read', () => {
  const unread = { hosts: [hostId('hv-b')], pools: [poolId('shared')] };
  const silent: Finding = {
    ...{ check: 'host-unread', severity: 'risks', about: { kind: 'host', id: hostId('hv-b') } },
    ...{ sentence: 'hv-b does not answer', next: 'see' },
  };

  it.each<[string, boolean]>([
    ['readiness:one:fence-silent:host:hv-a', true],
    ['readiness:one:fence-reads-off:host:hv-b', false],
    ['readiness-risk:one:mount-nolock:pool:shared', false],
    ['readiness-risk:one:mount-nolock:pool:other', true],
    ['readiness-risk:one:image-unreadable:many', false],
  ])('%s may be taken back: %s', (key, cured) => {
    expect(mayBeCured({ ...report([silent]), unread }, key)).toBe(cured);
    expect(mayBeCured(report([]), key)).toBe(true);
  });

  it('takes back what no host has a say in, and what was said of a VM that is no more', () => {
    const [here, gone, onSilent] = [1, 2, 3].map((n) =>
      vmId(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
    );
    const vms = [
      { vmId: here, hostId: hostId('hv-a') },
      { vmId: onSilent, hostId: hostId('hv-b') },
    ] as unknown as ReadinessReport['vms'];
    const cured = (key: string): boolean => mayBeCured({ ...report([silent]), vms, unread }, key);
    expect(cured(`readiness:one:no-target:vm:${here}`)).toBe(true);
    expect(cured(`readiness:one:no-target:vm:${onSilent}`)).toBe(false);
    expect(cured('readiness:one:disk-without-pool:many')).toBe(true);
    expect(cured(`readiness-risk:one:image-unreadable:vm:${here}`)).toBe(false);
    expect(cured(`readiness-risk:one:image-unreadable:vm:${gone}`)).toBe(true);
  });

  it('leaves one alert about many VMs the one that it is, though some of them are left out', () => {
    const many = Array.from({ length: 12 }, (_, i) => aboutVm(i, `cannot ${i}`));
    const vms = many.map((f, i) => ({
      vmId: f.about.id,
      hostId: hostId(i < 4 ? 'hv-b' : 'hv-a'),
    })) as unknown as ReadinessReport['vms'];
    expect(newsAlerts({ ...report([silent, aboutHost, ...many]), vms }).map((a) => a.sentence)).toEqual([
      'bmc-a is silent',
    ]);
  });

  it('takes back nothing that could not be looked for, though every host was read', () => {
    const unknown: Finding = {
      ...{ check: 'lock-test-unknown', severity: 'risks', about: { kind: 'pool', id: poolId('shared') } },
      ...{ sentence: 'it could not be tested', next: 'cure it' },
    };
    expect(mayBeCured(report([unknown]), 'readiness-risk:one:lock-test-broken:pool:shared')).toBe(false);
    expect(mayBeCured(report([unknown]), 'readiness-risk:one:lock-test-broken:pool:other')).toBe(true);
  });

  it('tells what does not follow from that', () => {
    const home = (n: number, host: string) => ({
      ...{ vmId: vmId(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`), name: `vm-${n}` },
      ...{ hostId: hostId(host), verdict: 'would-not' as const, target: undefined, because: [], risks: [] },
    });
    const noTarget: Finding = { ...aboutVm(2, 'nowhere to go'), check: 'no-target' };
    const findings = [silent, aboutHost, aboutVm(1, 'of hv-b'), aboutVm(2, 'of hv-a'), noTarget];
    const told = newsAlerts({ ...report(findings), vms: [home(1, 'hv-b'), home(2, 'hv-a')] });
    expect(told.map((a) => a.sentence)).toEqual(['bmc-a is silent', 'of hv-a']);
  });
});

it('is one alert for all when one cause strikes many VMs', () => {
  const many = Array.from({ length: 30 }, (_, i) => aboutVm(i, `cannot ${i}`));
  expect(readinessAlerts(report(many))).toMatchObject([
    { key: 'readiness-risk:one:image-unreadable:many', sentence: '30 VMs, for instance: cannot 0' },
  ]);
});
