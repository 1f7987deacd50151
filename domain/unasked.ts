/**
 * A host that was not asked is not a host that is silent: the way to it is shut, for a reason that a person can cure. Nothing is concluded of the
 * host, and the reason is said once. Pure.
 */
import type { Fault, FaultCode } from './faults';
import type { HostId } from './ids';

export interface Unasked {
  /** What the reason is about: a whole vCenter, or this host alone. */
  readonly about: string;
  readonly fault: Fault;
  /** One that may pass by itself is worth a person's attention only when it is met again. */
  readonly passes: boolean;
}

const ofWholeVcenter: readonly FaultCode[] = [
  'VCENTER_UNREACHABLE',
  'VCENTER_NOT_TRUSTED',
  'VCENTER_LOGIN_REFUSED',
  'VCENTER_NO_PASSWORD',
  'VCENTER_CHANGED',
];
const ofOneHost: readonly FaultCode[] = [
  'VCENTER_NOT_ALLOWED',
  'VCENTER_HOST_UNKNOWN',
  'HYPERVISOR_LOGIN_REFUSED',
];

/** What alerts about it are called; those of one subject differ by the reason. */
const alertPrefix = 'unasked:';
export const aboutVcenter = (id: string): string => `${alertPrefix}vcenter:${id}:`;
export const aboutHost = (id: HostId): string => `${alertPrefix}host:${id}:`;
export const unaskedAlert = ({ about, fault }: Unasked): string => `${about}${fault.code}`;
export const isUnaskedAlert = (key: string): boolean => key.startsWith(alertPrefix);

/** @param cause The fault that is at the bottom of a read that failed. */
export function unaskedBy(cause: Fault, host: HostId): Unasked | undefined {
  const passes = cause.class === 'transient';
  const vcenter = cause.facts['vcenter'];
  if (ofWholeVcenter.includes(cause.code) && vcenter !== undefined)
    return { about: aboutVcenter(vcenter), fault: cause, passes };
  if (ofOneHost.includes(cause.code)) return { about: aboutHost(host), fault: cause, passes };
  return undefined;
}

/** The open alert, if any, that says why this host is not asked. */
export const whyUnasked = <A extends { readonly key: string }>(
  alerts: readonly A[],
  host: { readonly id: HostId; readonly vcenter?: string },
): A | undefined =>
  alerts.find(
    ({ key }) =>
      key.startsWith(aboutHost(host.id)) ||
      (host.vcenter !== undefined && key.startsWith(aboutVcenter(host.vcenter))),
  );
