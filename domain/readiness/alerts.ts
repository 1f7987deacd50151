/** What a survey's findings come to as alerts: one for each, under a key that stays while the finding does. */
import type { ClusterId } from '../ids';
import type { Finding, ReadinessCheck, ReadinessReport, Subject } from './report';

export interface ReadinessAlert {
  readonly key: string;
  readonly sentence: string;
  readonly nextCommand: string;
}

/** Findings of one kind about so many VMs have one cause, and are one alert. */
const vmsNamedMax = 10;

const prefixes = { blocks: 'readiness', risks: 'readiness-risk' } as const;
/** Of what only lowers the chances. */
export const isRiskAlert = (key: string): boolean => key.startsWith(`${prefixes.risks}:`);

export const isReadinessAlert = (key: string, cluster: ClusterId): boolean =>
  Object.values(prefixes).some((p) => key.startsWith(`${p}:${cluster}:`));

export function readinessAlerts(report: ReadinessReport): ReadinessAlert[] {
  const byKind = grouped(report.findings, (f) => `${f.severity} ${f.check} ${f.about.kind}`);
  return byKind.flatMap((kind) => {
    const subjects = grouped(kind, (f) => f.about.id);
    const [first] = kind;
    if (first?.about.kind !== 'vm' || subjects.length <= vmsNamedMax)
      return subjects.map((own) => alertOf(report.clusterId, own, own[0]?.about));
    const all = alertOf(report.clusterId, [first], undefined);
    return [{ ...all, sentence: `${subjects.length} VMs, for instance: ${first.sentence}` }];
  });
}

/** Without what follows from a host that does not answer: that is no finding of its own, and told by whoever looks for the host. */
export function newsAlerts(report: ReadinessReport): ReadinessAlert[] {
  const silent = report.findings.flatMap((f) => (f.check === 'host-unread' ? [f.about.id as string] : []));
  if (silent.length === 0) return readinessAlerts(report);
  const homeOf = new Map<string, string>(report.vms.map((v) => [v.vmId, v.hostId]));
  const findings = report.findings.filter(
    (f) =>
      !['no-target', 'lock-test-unknown'].includes(f.check) &&
      !silent.includes(f.about.kind === 'vm' ? (homeOf.get(f.about.id) ?? '') : f.about.id),
  );
  // What is one alert about many VMs stays that one: with some of them left out, the others would each become one more.
  const whole = new Set(readinessAlerts(report).map((a) => a.key));
  return readinessAlerts({ ...report, findings }).filter((a) => whole.has(a.key));
}

/** What says that the other could not be looked for. */
const hiddenBy: Partial<Record<ReadinessCheck, readonly ReadinessCheck[]>> = {
  'lock-test-broken': ['lock-test-unknown'],
  'access-cut': ['access-unreachable'],
  'fence-reads-off': ['fence-silent', 'fence-login-refused'],
  'lvm-autoactivation': ['lvm-unread'],
  'lvm-duplicate-name': ['lvm-unread'],
  'lvm-missing-pv': ['lvm-unread'],
  'lvm-not-seen': ['lvm-unread'],
};

/** Known from the inventory alone, or, of a place, found without the host that was not read. */
const heldByNoHost: readonly ReadinessCheck[] = [
  'no-target',
  'definition-not-stored',
  'disk-without-pool',
  'disk-shareable',
];

/** Whether the absence of an alert's finding says that it is cured: only where its subject was looked at. */
export function mayBeCured({ clusterId, findings, unread, vms }: ReadinessReport, key: string): boolean {
  const head = Object.values(prefixes)
    .map((p) => `${p}:${clusterId}:`)
    .find((p) => key.startsWith(p));
  const [check, kind, ...rest] = key.slice(head?.length ?? 0).split(':');
  const id = rest.join(':');
  const hiding = hiddenBy[check as ReadinessCheck] ?? [];
  if (findings.some((f) => hiding.includes(f.check) && f.about.id === id)) return false;
  if (unread === undefined) return true;
  if (kind === 'host') return !unread.hosts.some((h) => h === id);
  if (kind === 'pool') return !unread.pools.some((p) => p === id);
  // Where the VM's own host was not read, nobody has compared its volumes with the others'.
  const home = vms.find((v) => v.vmId === id)?.hostId;
  if (check === 'no-target' && home !== undefined && unread.hosts.includes(home)) return false;
  if (heldByNoHost.includes(check as ReadinessCheck)) return true;
  // Of VMs: any host may be the one that something is wrong on, unless the VM is no more.
  return kind === 'vm' && !vms.some((v) => v.vmId === id);
}

function alertOf(cluster: ClusterId, own: readonly Finding[], about: Subject | undefined): ReadinessAlert {
  const [first] = own as readonly [Finding];
  const whom = about === undefined ? 'many' : `${about.kind}:${about.id}`;
  return {
    key: `${prefixes[first.severity]}:${cluster}:${first.check}:${whom}`,
    sentence: own.map((f) => f.sentence).join('; '),
    nextCommand: `${first.next}; then vmedic readiness`,
  };
}

function grouped(findings: readonly Finding[], by: (f: Finding) => string): Finding[][] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) groups.set(by(finding), [...(groups.get(by(finding)) ?? []), finding]);
  return [...groups.values()];
}
