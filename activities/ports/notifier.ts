import type { AlertRecord } from '../../domain/records';

/** Tells people. Alerts are stored first; this only delivers them, once per key and state. Faults are for the caller to retry. */
export interface NotifierPort {
  deliver(alert: AlertRecord, signal: AbortSignal): Promise<void>;
}
