import type { ClusterId, HostId, VmId } from '../../domain/ids';
import type { Timestamp } from '../../domain/observations';
import type { AlertRecord, IncidentRecord } from '../../domain/records';

/** Of whom an alert tells, also one of no incident. */
export interface AlertSubject {
  readonly clusterId: ClusterId;
  readonly hostId?: HostId;
  /** `hostId`: where the record has it now; after a recovery that is where it went. */
  readonly vm?: { readonly vmId: VmId; readonly name: string; readonly hostId: HostId };
  /** Of a host's closed incident: where its VMs run now, and how many. */
  readonly wentTo?: readonly { readonly hostId: string; readonly vms: number }[];
  /** Since when it is down as far as is known: a host since it was last seen, which is earlier than anybody noticed. */
  readonly since: Timestamp;
}

/** An alert with what it takes to tell it well. All but the alert itself may be missing: whoever raises one just then knows no more. */
export interface Told extends AlertRecord {
  readonly incident?: IncidentRecord | undefined;
  readonly subject?: AlertSubject | undefined;
  /** The same at every attempt to deliver this one message, and of no other. */
  readonly dedupeKey?: string;
  /** 0 for the first page, more while nobody acknowledges. */
  readonly round?: number;
}

/** Tells people. Alerts are stored first; this only delivers them, once per key and state. Faults are for the caller to retry. */
export interface NotifierPort {
  /** Done when the receiver has taken it. Fault: `ALERT_NOT_DELIVERED`. */
  deliver(alert: Told, signal: AbortSignal): Promise<void>;
}

/** A receiver that forgets: it must hear of everything that is open again and again, and that VMedic itself is alive. */
export interface StandingNotifierPort extends NotifierPort {
  /** @param validMs how long the receiver shall believe it without hearing more. */
  restate(open: readonly Told[], alive: boolean, validMs: number, signal: AbortSignal): Promise<void>;
}
