import type { Logger } from 'pino';
import type { NotifierPort } from '../activities/ports';

/** Writes alerts to the log, where a log shipper finds them by `alert`. */
export function logNotifier(log: Logger): NotifierPort {
  return {
    deliver(alert) {
      const { key, severity, sentence, nextCommand, incidentId, raisedAt, clearedAt } = alert;
      const level =
        clearedAt !== undefined || severity === 'info' ? 'info' : severity === 'warning' ? 'warn' : 'error';
      const state = clearedAt === undefined ? 'raised' : 'cleared';
      log[level]({ alert: key, state, severity, incidentId, nextCommand, raisedAt, clearedAt }, sentence);
      return Promise.resolve();
    },
  };
}
