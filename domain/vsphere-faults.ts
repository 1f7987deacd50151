/** The rows of the fault table that a vCenter is the cause of. */
import type { FaultRule } from './fault-rule';

export const vsphereFaults = {
  VCENTER_UNREACHABLE: {
    class: 'transient',
    sentence: 'vCenter {vcenter} does not answer: {detail}',
    next: 'vmedic doctor vcenter',
  },
  VCENTER_SESSION_ENDED: {
    class: 'transient',
    sentence: 'vCenter {vcenter} did not carry out {call}: the session had ended',
    next: 'nothing: the next call logs in again',
  },
  VCENTER_NOT_TRUSTED: {
    class: 'permanent',
    sentence: 'vCenter {vcenter} at {url} is not the one that is trusted, so nothing was sent: {detail}',
    next: 'make sure that it is yours, then correct thumbprint or ca of {vcenter} under vcenters in the config',
  },
  VCENTER_LOGIN_REFUSED: {
    class: 'permanent',
    sentence:
      'vCenter {vcenter} refused the login of {user}; the same password is not sent again for 5 minutes, because accounts are locked',
    next: 'correct username or password of {vcenter} under vcenters in the config (password: {secret}; a changed file is read by itself)',
  },
  VCENTER_NO_PASSWORD: {
    class: 'permanent',
    sentence: 'vCenter {vcenter} was not asked for want of the password of {user}: {detail}',
    next: 'make the secret readable, or correct password of {vcenter} under vcenters in the config (password: {secret})',
  },
  VCENTER_NOT_ALLOWED: {
    class: 'permanent',
    sentence: 'vCenter {vcenter} does not allow {user} to {what} (privilege {privilege})',
    next: 'give its role that privilege; vmedic doctor vcenter lists those that are needed',
  },
  VCENTER_CHANGED: {
    class: 'permanent',
    sentence: 'At {url} answers another vCenter ({found}) than {vcenter} ({wanted})',
    next: 'correct url or instanceUuid of {vcenter} in the config',
  },
  VCENTER_HOST_UNKNOWN: {
    class: 'permanent',
    sentence: 'vCenter {vcenter} has no host "{name}" for {host}; it has: {known}',
    next: "correct hypervisor.name of {host} in the config: the host's name as vCenter shows it",
  },
  VCENTER_REFUSED: {
    class: 'permanent',
    sentence: 'vCenter {vcenter} refused {call}: {detail}',
    next: 'cure the cause named, then try again',
  },
  VM_ASKS: {
    class: 'outcome-unknown',
    sentence: '{vm} on {host} waits for an answer to a question before it starts: {question}',
    next: 'answer it in vCenter; what becomes of the start is read back by itself',
  },
  VSPHERE_HA_IN_CHARGE: {
    class: 'transient',
    sentence:
      'vSphere HA is on for the cluster of {host}, and it restarts {vm} itself: VMedic watches and does not compete',
    next: 'wait for vSphere HA; or switch it off for that cluster, then vmedic vm restart {vm}',
  },
} as const satisfies Record<string, FaultRule>;
