/** From what a vCenter answered to the one sentence that an operator reads. The cause stays with it. */
import { DriverFault, type Fault, fault } from '../../domain/faults';
import { isVimError, NoAnswer, NoPassword, NotTrusted, VimFault, Withheld } from './errors';

export interface Site {
  readonly vcenter: string;
  readonly username: string;
  readonly url: string;
  /** Where its password is written, for people. */
  readonly secret: string;
}

/** Faults that come when it is not known whether the act was done: the host, not vCenter, fell silent. */
const unknownFaults = new Set([
  'Timedout',
  'HostCommunication',
  'SystemErrorFault',
  'SystemError',
  'HostNotReachable',
  'HostNotConnected',
]);

/** A fault that says that the act may have been done. */
export const leavesUnknown = (error: unknown): boolean =>
  (error instanceof NoAnswer && error.sent) || (error instanceof VimFault && unknownFaults.has(error.type));

/** Certainly not carried out: it never left, or the session was refused before anything was looked at. */
export const wasNotSent = (error: unknown): boolean =>
  (error instanceof NoAnswer && !error.sent) ||
  (error instanceof VimFault && error.type === 'NotAuthenticated');

/** vCenter looked at the call and said no: neither an ended session, nor a missing right, nor silence of a host. */
export const saysNo = (error: unknown): error is VimFault =>
  error instanceof VimFault &&
  !leavesUnknown(error) &&
  error.type !== 'NoPermission' &&
  error.type !== 'NotAuthenticated';

export function faultFor(error: VimFault | NoAnswer | Withheld, site: Site): Fault {
  const { vcenter, username: user, url, secret } = site;
  if (error instanceof NotTrusted) return fault('VCENTER_NOT_TRUSTED', { vcenter, url, detail: error.why });
  if (error instanceof NoPassword)
    return fault('VCENTER_NO_PASSWORD', { vcenter, user, secret, detail: error.why });
  if (error instanceof NoAnswer)
    return fault('VCENTER_UNREACHABLE', { vcenter, detail: `${error.method}: ${error.why}` });
  if (error instanceof Withheld)
    return error.denied
      ? fault('VCENTER_NOT_ALLOWED', {
          vcenter,
          user,
          what: `read ${namesIn(error)}`,
          privilege: 'System.Read',
        })
      : fault('VCENTER_UNREACHABLE', { vcenter, detail: error.message });
  if (error.type === 'InvalidLogin') return fault('VCENTER_LOGIN_REFUSED', { vcenter, user, secret });
  if (error.type === 'NotAuthenticated')
    return fault('VCENTER_SESSION_ENDED', { vcenter, call: error.method });
  if (error.type === 'NoPermission')
    return fault('VCENTER_NOT_ALLOWED', {
      ...{ vcenter, user, what: error.method.replace(/_Task$/, '') },
      privilege: error.privilege ?? 'not named',
    });
  return fault('VCENTER_REFUSED', { vcenter, call: error.method, detail: detailOf(error) });
}

const namesIn = (error: Withheld): string =>
  [...new Set(error.missing.map((m) => `${m.path} of ${m.obj.value}`))].slice(0, 3).join(', ');

/** The fault's own type, which people can look up, and the file it speaks of. */
export const detailOf = (error: VimFault): string =>
  error.file === undefined ? error.type : `${error.type} (${error.file})`;

/** Runs a read; whatever the vCenter says instead of an answer becomes a `DriverFault`. */
export async function asDriverFault<T>(site: Site, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isVimError(error)) throw error;
    const { code, facts } = faultFor(error, site);
    throw new DriverFault(code, facts, { cause: error });
  }
}
