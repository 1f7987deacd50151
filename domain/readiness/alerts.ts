/** What a survey's findings come to as alerts: one for each, under a key that stays while the finding does. */
import type { ClusterId } from '../ids';
import type { Finding, ReadinessReport, Subject } from './report';

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
