import type { Timestamp } from '../../domain/observations';
import type { IncidentId } from '../../domain/ids';
import type { AlertRecord, IncidentRecord } from '../../domain/records';

export type Notice = 'raised' | 'cleared';

/** One message to one channel. `dedupeKey` is the same at every attempt, and of no other message. */
export interface Delivery {
  readonly alertId: number;
  readonly channel: string;
  readonly notice: Notice;
  readonly round: number;
  readonly attempts: number;
  readonly dedupeKey: string;
  readonly alert: AlertRecord;
  readonly incident: IncidentRecord | undefined;
}

export interface OutcomeFigures {
  readonly cluster: string;
  readonly target: 'host' | 'vm';
  readonly outcome: string;
  readonly count: number;
  readonly sumSeconds: number;
  /** For each bound asked for, how many took at most so long. */
  readonly atMost: readonly number[];
}

/**
 * Theory of operation. Alerts are stored state changes; this table says what of it each channel has heard. What is owed is derived from the
 * alerts themselves, again and again, so that nothing has to happen at the moment of a raise. A sender claims what is due by pushing its due
 * time into the future: one that dies is followed by another when that time comes. Fault: `INVENTORY_UNREACHABLE`.
 */
export interface DeliveriesPort {
  /**
   * Writes down what each channel is owed: the raise of every alert that is open or was raised after `since`, its end once it is cleared (news has none),
   * and a further page while it is critical, open, not acknowledged and the last page was `pageAgainMs` ago. Returns how many are new.
   */
  planDeliveries(plan: {
    readonly channels: readonly string[];
    readonly since: Timestamp;
    readonly at: Timestamp;
    readonly pageAgainMs: number;
  }): Promise<number>;
  /** Takes what is due, oldest first; nobody else gets it for `leaseMs`. An end waits until the raise was heard. */
  claimDeliveries(claim: {
    readonly channels: readonly string[];
    readonly at: Timestamp;
    readonly leaseMs: number;
    readonly limit: number;
  }): Promise<Delivery[]>;
  noteDelivered(delivery: Delivery, at: Timestamp): Promise<void>;
  /** @param tried False: nothing was sent, and it is given back with the attempts that it had before it was claimed. */
  noteNotDelivered(delivery: Delivery, why: string, dueAt: Timestamp, tried?: boolean): Promise<void>;
  /** What waits now, for status and metrics. */
  owedDeliveries(): Promise<
    { readonly channel: string; readonly count: number; readonly oldestAt: Timestamp }[]
  >;

  /** News (severity `info`) has no end of its own: what was raised before this moment is over, without a word. */
  endOldNews(raisedBefore: Timestamp, at: Timestamp): Promise<void>;

  /**
   * Open alerts of the incident, or the one with this key. Returns how many were not acknowledged before. The result of an incident that is
   * closed is over once a person has seen it.
   */
  acknowledgeAlerts(
    which: { readonly incidentId: IncidentId } | { readonly key: string },
    by: string,
    at: Timestamp,
  ): Promise<number>;

  /**
   * Removes closed incidents with their timelines, cleared alerts, audit rows, receipts and kept answers from before. The newest incident
   * of each target stays, because epochs are counted on from it. In portions; returns how many incidents went.
   */
  removeOlderThan(before: { readonly records: Timestamp; readonly answers: Timestamp }): Promise<number>;

  /** Closed incidents, removed ones included, so that the counts never fall. */
  outcomeFigures(boundsSeconds: readonly number[]): Promise<OutcomeFigures[]>;
}
