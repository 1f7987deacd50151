import { clusterId, hostId, vmId } from '../../../domain/ids';
import {
  type Finding,
  isReadinessAlert,
  isRiskAlert,
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

it('is one alert for all when one cause strikes many VMs', () => {
  const many = Array.from({ length: 30 }, (_, i) => aboutVm(i, `cannot ${i}`));
  expect(readinessAlerts(report(many))).toMatchObject([
    { key: 'readiness-risk:one:image-unreadable:many', sentence: '30 VMs, for instance: cannot 0' },
  ]);
});
