/**
 * What a port answers when nobody answers it, and what it answers when something was sent and the answer never came. One table for both
 * ways to the world (in this process, over a socket), so that a dead host, an aborted call and a lost connection look the same.
 */
import type { ActOutcome } from '../../activities/ports';
import { DriverFault, fault, type FaultCode, type FaultFacts } from '../../domain/faults';
import type { FenceDevice } from '../../domain/fleet';
import type { Timestamp } from '../../domain/observations';
import type { MoveOrder } from '../../domain/volume-move';
import type { PortName } from './journal';

export interface PortCall {
  readonly port: PortName;
  readonly call: string;
  readonly args: readonly unknown[];
}

const hypervisorActs: readonly string[] = [
  ...['define', 'start', 'resume', 'endPaused'],
  ...['shutDown', 'end', 'undefine', 'disableAutostart'],
];

const moveActs: readonly string[] = ['submit', 'cancel', 'switchOver', 'letGo', 'remove'];

/** Calls that answer with an outcome instead of throwing. */
export const answersOutcome = ({ port, call }: PortCall): boolean =>
  (port === 'hypervisor' && hypervisorActs.includes(call)) ||
  (port === 'volumeMoves' && moveActs.includes(call));

/** Everything the call is about, the first being its main target: hosts, devices, pools, VMs. */
export function targetsOf({ port, call, args }: PortCall): string[] {
  const [first, second, third] = args;
  if (port === 'notifier') return [(first as { key: string }).key];
  if (port === 'hypervisor' && (call === 'start' || call === 'resume')) {
    const permit = first as { target: string; vmId: string };
    return [permit.target, permit.vmId];
  }
  if (port === 'volumes' && call === 'makeReady') {
    const permit = first as { target: string; vmId: string };
    return [permit.target, permit.vmId];
  }
  if (port === 'volumeMoves') {
    const said = first as { order?: MoveOrder } & MoveOrder;
    const order = said.order ?? said;
    return [order.hostId, ...(order.vmId === undefined ? [] : [order.vmId]), order.attempt];
  }
  const idOf = (x: unknown): string[] => {
    if (typeof x === 'string') return [x];
    if (typeof x !== 'object' || x === null) return [];
    if ('vmId' in x && typeof x.vmId === 'string') return [x.vmId];
    return 'id' in x && typeof x.id === 'string' ? [x.id] : [];
  };
  return [...idOf(first), ...idOf(second), ...idOf(third)];
}

function factsOf(called: PortCall, detail: string): FaultFacts {
  const [host, second] = targetsOf(called);
  const device = called.port === 'fencing' ? (called.args[1] as FenceDevice).id : undefined;
  return {
    detail,
    call: called.call,
    ...(host === undefined ? {} : { host, pool: host, key: host }),
    ...(second === undefined ? {} : { vm: second }),
    ...(device === undefined ? {} : { device }),
  };
}

const silentCode: Readonly<Record<PortName, FaultCode>> = {
  fencing: 'FENCE_DEVICE_SILENT',
  hypervisor: 'HYPERVISOR_UNREACHABLE',
  hostCommands: 'HOST_COMMAND_FAILED',
  storageLocks: 'HOST_COMMAND_FAILED',
  storageAccess: 'HOST_COMMAND_FAILED',
  volumes: 'HOST_COMMAND_FAILED',
  volumeMoves: 'HYPERVISOR_UNREACHABLE',
  survey: 'HOST_COMMAND_FAILED',
  heartbeats: 'HOST_COMMAND_FAILED',
  guestRepair: 'HOST_COMMAND_FAILED',
  notifier: 'ALERT_NOT_DELIVERED',
};

/** Nothing was sent, or nothing that acts. Returns the port's answer for silence, or throws its fault. */
export function silence(called: PortCall, detail: string, now: Timestamp): unknown {
  const { port, call } = called;
  if (port === 'hypervisor' && call === 'probe')
    return { source: 'hypervisor', says: 'silent', observedAt: now };
  if (port === 'hostCommands' && call === 'bootId') return { says: 'silent', detail };
  if (port === 'hostCommands' && call === 'reaches') return 'not-known';
  if (port === 'heartbeats' && call === 'look') return 'not-known';
  if (port === 'hostCommands' && call === 'claim') return { says: 'not-known', detail };
  return failed(called, silentCode[port], factsOf(called, detail));
}

/** It was sent and not answered: it may have happened. */
export function unknownOutcome(called: PortCall, detail: string, now: Timestamp): unknown {
  if (answersOutcome(called)) return failed(called, 'CALL_OUTCOME_UNKNOWN', factsOf(called, detail));
  if (called.port === 'fencing' && called.call === 'off')
    return failed(called, 'FENCE_OUTCOME_UNKNOWN', factsOf(called, detail));
  return silence(called, detail, now);
}

/** The fault in the shape the port promises: acts that answer with an outcome return it, everything else throws it. */
export function failed(called: PortCall, code: FaultCode, facts: FaultFacts): ActOutcome {
  const known = { ...factsOf(called, ''), ...facts };
  if (!answersOutcome(called)) throw new DriverFault(code, known);
  const made = fault(code, known);
  if (made.class === 'outcome-unknown') return { kind: 'unknown', fault: made };
  if (made.class === 'transient') return { kind: 'unreachable', fault: made };
  return { kind: 'refused', fault: made };
}
