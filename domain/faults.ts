import type { FaultClass, FaultRule } from './fault-rule';
import { guestRepairFaults } from './guest-repair-faults';
import { vsphereFaults } from './vsphere-faults';

export type { FaultClass };

/**
 * The one table of what can go wrong. A fault's code is a stable contract: it is the `type` of the Temporal failure, the `code` of
 * `--json` errors and the key of runbooks. Its class decides what may follow:
 *
 * - `transient`: nothing happened, or a read failed; trying again is safe.
 * - `permanent`: nothing happened, and trying again the same way is useless.
 * - `outcome-unknown`: it may have happened. Never mapped to success or failure; the device is read until it is known.
 */
export const faultTable = {
  HYPERVISOR_UNREACHABLE: {
    class: 'transient',
    sentence: 'The hypervisor of {host} does not answer: {detail}',
    next: 'vmedic host show {host}',
  },
  HYPERVISOR_LOGIN_REFUSED: {
    class: 'permanent',
    sentence: '{host} answers, and does not let VMedic in: {detail}',
    next: 'correct the uri under hypervisor of {host} in the config, or the key or certificate that it goes with; virsh -c {uri} list shows the same',
  },
  HYPERVISOR_BUSY: {
    class: 'transient',
    sentence: 'Too many calls to {host} are waiting already; this one was not sent',
    next: 'it is tried again by itself',
  },
  LIST_INCOMPLETE: {
    class: 'transient',
    sentence: 'The list of VMs on {host} could not be read completely: {detail}',
    next: 'vmedic host show {host}',
  },
  CALL_OUTCOME_UNKNOWN: {
    class: 'outcome-unknown',
    sentence: '"{call}" on {host} was not answered in time; it may have taken effect',
    next: 'it is read back by itself; see vmedic vm show {vm}',
  },
  LOCK_HELD: {
    class: 'permanent',
    sentence: 'The disk {path} of {vm} is held open by {holder}: somebody may be writing to it',
    next: 'find who holds it before anything else; runbook "stuck"',
  },
  START_REFUSED: {
    class: 'permanent',
    sentence: '{host} refused to start {vm}: {detail}',
    next: 'cure the cause named, then vmedic vm restart {vm}',
  },
  SHUT_DOWN_REFUSED: {
    class: 'permanent',
    sentence: '{host} did not ask the guest of {vm} to shut down: {detail}',
    next: 'shut it down from within, then vmedic vm stop {vm} --reason "..."',
  },
  PAUSED_VM_REFUSED: {
    class: 'permanent',
    sentence: 'Nothing was done about {vm}, which stood paused on {host}: {detail}',
    next: 'vmedic vm show {vm}',
  },
  DEFINE_REFUSED: {
    class: 'permanent',
    sentence: '{host} refused the definition of {vm}: {detail}',
    next: 'cure the cause named, then vmedic vm restart {vm}',
  },
  UNDEFINE_REFUSED: {
    class: 'permanent',
    sentence: 'The definition of {vm} on {host} could not be taken away or changed: {detail}',
    next: 'see to {vm} on {host}, then vmedic vm show {vm}',
  },
  OLD_DEFINITION_LEFT: {
    class: 'permanent',
    sentence:
      '{vm} runs on {target}; an old definition of it is left on {host}, which could start it a second time: {detail}',
    next: 'bring {host} back, or vmedic host fence {host}; it goes on by itself then',
  },
  VM_NOT_FOUND: {
    class: 'permanent',
    sentence: '{vm} is not known to {host} (read from its complete list)',
    next: 'vmedic vm show {vm}',
  },
  DEFINITION_NOT_STORED: {
    class: 'permanent',
    sentence: 'No definition of {vm} was stored while its host lived, so it cannot be made anywhere else',
    next: 'define it by hand on a host, then vmedic vm restart {vm}',
  },
  PERMIT_REFUSED: {
    class: 'permanent',
    sentence: '{vm} must not start on {host} now: {detail}',
    next: 'vmedic vm show {vm}',
  },
  EVIDENCE_CONTRADICTED: {
    class: 'permanent',
    sentence: '{host} was read as off, and yet {detail}: the proof does not hold, so nothing was done',
    next: 'find out which of the two is true (runbook "stuck"); a retry asks {host} itself, so it must answer or be fenced anew',
  },
  EVIDENCE_AGED: {
    class: 'transient',
    sentence: 'The evidence that {host} is off is older than allowed and is read again',
    next: 'it is read again by itself',
  },
  FENCE_DEVICE_SILENT: {
    class: 'transient',
    sentence: 'Fence device {device} of {host} does not answer: {detail}',
    next: 'check its power and network; or see that {host} is off and vmedic incident attest-fenced',
  },
  FENCE_LOGIN_REFUSED: {
    class: 'permanent',
    sentence:
      'Fence device {device} of {host} refused the login; it is left alone after {limit} refusals because BMCs lock accounts',
    next: 'correct its password, then vmedic incident resume',
  },
  FENCE_OFF_NOT_TAKEN: {
    class: 'transient',
    sentence: 'Fence device {device} was told to switch {host} off and still reads "{power}"',
    next: 'try another fence level; or see that {host} is off and vmedic incident attest-fenced',
  },
  FENCE_OUTCOME_UNKNOWN: {
    class: 'outcome-unknown',
    sentence: 'Fence device {device} did not answer after "off" was sent to {host}; it may be off',
    next: 'it is read again by itself; or vmedic incident attest-fenced',
  },
  HOST_COMMAND_FAILED: {
    class: 'transient',
    sentence: 'A command on {host} failed: {detail}',
    next: 'vmedic host show {host}',
  },
  STORAGE_NOT_READY: {
    class: 'transient',
    sentence: 'Storage of {vm} is not ready on {host}: {detail}',
    next: 'see to the pool, then vmedic vm restart {vm}; runbook "storage-not-ready"',
  },
  POOL_UNSUPPORTED: {
    class: 'permanent',
    sentence: 'Pool {pool} has no lock strategy here, so nothing on it is ever started elsewhere by guess',
    next: 'vmedic config check; protect {vm} by other means',
  },
  LOCKS_NOT_RELEASED: {
    class: 'permanent',
    sentence: 'Locks of {host} on pool {pool} are not released: {detail}',
    next: 'runbook "blocked-locks"',
  },
  ACCESS_NOT_CHANGED: {
    class: 'permanent',
    sentence: 'Access of {host} to pool {pool} is not {what}: {detail}',
    next: 'see to the exports of its server; runbook "returned-host"',
  },
  NO_CAPACITY: {
    class: 'permanent',
    sentence: 'No host can take {vm}: {detail}',
    next: 'free or add capacity, then vmedic vm restart {vm}',
  },
  RECORD_CHANGED: {
    class: 'transient',
    sentence: 'The record of {what} was changed by somebody else meanwhile',
    next: 'it is read again by itself',
  },
  INVENTORY_UNREACHABLE: {
    class: 'transient',
    sentence: 'The inventory does not answer: {detail}',
    next: 'check PostgreSQL; vmedic status',
  },
  UNKNOWN_HOST: {
    class: 'permanent',
    sentence: 'There is no host {host} in the config; known: {known}',
    next: 'vmedic host list',
  },
  UNKNOWN_VM: {
    class: 'permanent',
    sentence: 'There is no VM {vm} in the inventory',
    next: 'vmedic vm list',
  },
  GUEST_DEGRADED: {
    class: 'permanent',
    sentence: '{vm} runs on {host}, and its health check ({check}) did not pass in {seconds} s',
    next: 'look at its console; runbook "guest-degraded"',
  },
  ...guestRepairFaults,
  ABORTED: {
    class: 'permanent',
    sentence: '{by} stopped the recovery of {what}: {detail}',
    next: 'vmedic vm restart {vm}',
  },
  ALERT_NOT_DELIVERED: {
    class: 'transient',
    sentence: 'The alert {key} could not be delivered: {detail}',
    next: 'it is delivered again by itself; vmedic status shows it meanwhile',
  },
  RUN_LOST: {
    class: 'outcome-unknown',
    sentence: 'The run of {vm} ended without saying how: {detail}',
    next: 'vmedic vm show {vm}, then vmedic vm restart {vm}',
  },
  DISARMED: {
    class: 'transient',
    sentence: 'Nothing new is done while VMedic is disarmed: {detail}',
    next: '{command}',
  },
  RESTART_BUDGET_SPENT: {
    class: 'permanent',
    sentence:
      '{vm} was restarted {used} times in {minutes} minutes and is down again: it is not tried any more',
    next: 'find out why it stops; then vmedic incident resolve {incident} --vm {id} --retry --reason "..."',
  },
  VM_WHEREABOUTS_UNKNOWN: {
    class: 'transient',
    sentence: 'Nobody can say that {vm} runs nowhere, so it is not started: {detail}',
    next: 'vmedic vm show {vm}',
  },
  HOST_NOT_CLEAN: {
    class: 'permanent',
    sentence: '{host} cannot take VMs again yet: {detail}',
    next: 'cure the cause named, then vmedic host readmit {host}',
  },
  RECOVERY_NOT_ASKED: {
    class: 'transient',
    sentence: 'The recovery of {what} could not be asked for: {detail}',
    next: 'it is asked for again by itself',
  },
  LOOK_NOT_ENDED: {
    class: 'transient',
    sentence: 'A look at {host} did not come to its end in {seconds} s and was given up',
    next: 'it is looked at again by itself',
  },
  UNKNOWN_INCIDENT: {
    class: 'permanent',
    sentence: 'There is no incident {incident} in the inventory',
    next: 'vmedic incident list',
  },
  VM_NOT_IN_INVENTORY: {
    class: 'permanent',
    sentence:
      '{vm} is in no inventory of the hosts that should know it, so none of its files was touched: {detail}',
    next: 'register {vm} again with its files, then repeat the order; runbook "volume-move"',
  },
  UNKNOWN_DISK: {
    class: 'permanent',
    sentence: '{vm} has no disk {disk}; it has: {known}',
    next: 'vmedic vm show {vm}',
  },
  DISK_NOT_MOVABLE: {
    class: 'permanent',
    sentence: 'Disk {disk} of {vm} cannot be moved: {detail}',
    next: 'cure the cause named, then repeat the order',
  },
  POOL_NOT_USABLE: {
    class: 'permanent',
    sentence: 'Pool {pool} cannot take a disk of {vm}: {detail}',
    next: 'choose another pool, or cure the cause named; pools are in the config',
  },
  POOL_FULL: {
    class: 'permanent',
    sentence: 'Pool {pool} has {free} bytes free, and {needed} are needed for the disk of {vm}',
    next: 'free room there or choose another pool',
  },
  MOVE_NOT_DONE: {
    class: 'permanent',
    sentence: 'The disk of {vm} was not moved: {detail}',
    next: 'cure the cause named, then repeat the order; the disk is where it was',
  },
  MOVE_STOPPED: {
    class: 'permanent',
    sentence: '{by} stopped the move of a disk of {vm}: {detail}',
    next: 'the disk is where it was; repeat the order when it suits',
  },
  MOVE_REFUSED: {
    class: 'permanent',
    sentence: 'The move of a disk of {vm} was refused: {detail}',
    next: 'cure the cause named, then repeat the order; nothing was begun',
  },
  MOVE_BUSY: {
    class: 'permanent',
    sentence: 'Somebody else is at work on the disks of {vm}: {detail}',
    next: 'wait until that is over, then repeat the order',
  },
  MOVE_STILL_RUNNING: {
    class: 'outcome-unknown',
    sentence: 'The move of a disk of {vm} may still be under way: {detail}',
    next: 'it is read again by itself; runbook "volume-move"',
  },
  MOVE_PARTIAL: {
    class: 'permanent',
    sentence: 'Some of {vm} is at the old place and some at the new one: {detail}',
    next: 'runbook "volume-move"',
  },
  MOVE_NOT_KNOWN: {
    class: 'outcome-unknown',
    sentence: 'Where the disk of {vm} is now is not known: {detail}',
    next: 'it is read again by itself; runbook "volume-move"',
  },
  DISK_FILE_MISSING: {
    class: 'permanent',
    sentence: '{vm} names a file that is not there: {detail}',
    next: 'do not start it on an older copy; runbook "volume-move"',
  },
  COPY_DIFFERS: {
    class: 'permanent',
    sentence: 'The copy of the disk of {vm} is not equal to the disk: {detail}',
    next: 'the copy is removed and the disk stays where it was; look at the target pool, then repeat the order',
  },
  NOT_REMOVED: {
    class: 'permanent',
    sentence: '{path} was left behind by the move of {vm} and was not removed: {detail}',
    next: 'see that nothing needs it, then remove it by hand',
  },
  ...vsphereFaults,
  UNDO_FAILED: {
    class: 'permanent',
    sentence: 'The way back of {vm} could not be finished: {detail}',
    next: 'vmedic incident show {incident}; runbook "stuck"',
  },
} as const satisfies Record<string, FaultRule>;

export type FaultCode = keyof typeof faultTable;
export type FaultFacts = Readonly<Record<string, string>>;

/** A fault as plain data: what failure details, timelines and `--json` carry. */
export interface Fault {
  readonly code: FaultCode;
  readonly class: FaultClass;
  readonly sentence: string;
  readonly next: string;
  readonly facts: FaultFacts;
}

const fill = (text: string, facts: FaultFacts): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => facts[name] ?? `(${name} not known)`);

export function fault(code: FaultCode, facts: FaultFacts = {}): Fault {
  const rule = faultTable[code];
  return {
    code,
    class: rule.class,
    sentence: fill(rule.sentence, facts),
    next: fill(rule.next, facts),
    facts,
  };
}

/** The fault with what to do about it, as one text. */
export const withNextStep = ({ sentence, next }: Pick<Fault, 'sentence' | 'next'>): string =>
  `${sentence.replace(/[.;:]?$/, '.')} Next: ${next}`;

export const isFaultCode = (text: unknown): text is FaultCode =>
  typeof text === 'string' && Object.hasOwn(faultTable, text);

/** What drivers throw, and nothing else. `activities/fault-boundary.ts` alone turns it into a Temporal failure. */
export class DriverFault extends Error {
  override readonly name = 'DriverFault';
  readonly fault: Fault;

  constructor(code: FaultCode, facts: FaultFacts = {}, options: { cause?: unknown } = {}) {
    const made = fault(code, facts);
    super(made.sentence, options);
    this.fault = made;
  }
}
