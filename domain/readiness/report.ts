/** What readiness comes to: per VM whether it would come back now, and what stands in its way. */
import type { ClusterId, HostId, PoolId, VmId } from '../ids';
import type { Timestamp } from '../observations';

/** Stable names: scripts and dashboards select by them. */
export const readinessChecks = [
  'fence-none',
  'fence-silent',
  'fence-login-refused',
  'fence-reads-off',
  'host-unread',
  'host-commands',
  'host-standing',
  'rival-manager',
  'command-missing',
  'command-old',
  'mount-missing',
  'mount-nolock',
  'mount-local-lock',
  'mount-soft',
  'mount-no-netdev',
  'mount-no-statd',
  'locks-never-released',
  'lock-test-broken',
  'lock-test-unknown',
  'strategy-missing',
  'strategy-unreachable',
  'access-cut',
  'access-unreachable',
  'lvm-unread',
  'lvm-autoactivation',
  'lvm-duplicate-name',
  'lvm-missing-pv',
  'lvm-not-seen',
  'lvm-active-elsewhere',
  'image-unreadable',
  'definition-not-stored',
  'disk-without-pool',
  'disk-shareable',
  'autostart',
  'no-target',
] as const;
export type ReadinessCheck = (typeof readinessChecks)[number];

export type Subject =
  | { readonly kind: 'host'; readonly id: HostId }
  | { readonly kind: 'pool'; readonly id: PoolId }
  | { readonly kind: 'vm'; readonly id: VmId; readonly name: string };

export interface Finding {
  readonly check: ReadinessCheck;
  /** `blocks`: VMs would not come back because of it. `risks`: they would, with less to protect them, or fewer hosts to go to. */
  readonly severity: 'blocks' | 'risks';
  readonly about: Subject;
  readonly sentence: string;
  /** What to do about it. */
  readonly next: string;
}

/** `unprotected` and `stopped` are not brought back, on purpose. */
export type VmVerdict = 'comes-back' | 'would-not' | 'unprotected' | 'stopped';

export interface VmReadiness {
  readonly vmId: VmId;
  readonly name: string;
  readonly hostId: HostId;
  readonly verdict: VmVerdict;
  /** Where it would go if its host failed now. */
  readonly target: HostId | undefined;
  /** Why it would not come back; empty when it would. */
  readonly because: readonly Finding[];
  /** What is wrong besides with it, its host and its pools. */
  readonly risks: readonly Finding[];
}

export interface Unread {
  readonly hosts: readonly HostId[];
  /** That one of those hosts uses. */
  readonly pools: readonly PoolId[];
}

export interface ReadinessReport {
  readonly clusterId: ClusterId;
  readonly at: Timestamp;
  readonly vms: readonly VmReadiness[];
  /** Everything found, each once. */
  readonly findings: readonly Finding[];
  /** What could not be looked at whole, so that nothing follows from a finding's absence there. Left out where all was. */
  readonly unread?: Unread;
}

export const countOf = (report: ReadinessReport, verdict: VmVerdict): number =>
  report.vms.filter((v) => v.verdict === verdict).length;
