/** Alerts as signed messages (Standard Webhooks): one id per message, the same at every attempt, so that a receiver can drop repeats. */
import { createHash, createHmac } from 'node:crypto';
import type { NotifierPort, Told } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';

export interface WebhookSetup {
  readonly url: string;
  /** `whsec_` and base64, or any other text; read at each use. */
  readonly secret: () => string;
}

const answerMs = 10_000;

export function createWebhook({ url, secret }: WebhookSetup): NotifierPort {
  return {
    async deliver(alert, signal) {
      const undelivered = (detail: string, cause?: unknown): DriverFault =>
        new DriverFault('ALERT_NOT_DELIVERED', { key: alert.key, detail: `${url}: ${detail}` }, { cause });
      const id = messageId(alert);
      const timestamp = String(Math.floor(Date.now() / 1000));
      const body = JSON.stringify(messageOf(alert));
      const signature = createHmac('sha256', keyOf(secret()))
        .update(`${id}.${timestamp}.${body}`)
        .digest('base64');
      let response: Response;
      try {
        response = await fetch(url, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'webhook-id': id,
            'webhook-timestamp': timestamp,
            'webhook-signature': `v1,${signature}`,
          },
          body,
          redirect: 'error',
          signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
        });
      } catch (cause) {
        signal.throwIfAborted();
        throw undelivered(reasonOf(cause), cause);
      }
      await response.body?.cancel();
      if (!response.ok) throw undelivered(`it answered ${response.status}`);
    },
  };
}

const keyOf = (secret: string): Buffer =>
  secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);

const stateOf = (alert: Told): 'raised' | 'cleared' => (alert.clearedAt === undefined ? 'raised' : 'cleared');

function messageId(alert: Told): string {
  const key = alert.dedupeKey ?? `${alert.key}@${alert.raisedAt}/${stateOf(alert)}`;
  return `vmedic-${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
}

function messageOf(alert: Told) {
  const { incident, subject, dedupeKey: _, round = 0, ...record } = alert;
  const since = subject?.since ?? incident?.openedAt ?? alert.raisedAt;
  const open = incident === undefined ? undefined : Date.parse(incident.closedAt ?? new Date().toISOString());
  return {
    type: `alert.${stateOf(alert)}`,
    timestamp: alert.clearedAt ?? alert.raisedAt,
    data: {
      ...record,
      page: round + 1,
      ...(subject !== undefined && {
        subject: {
          ...{ cluster: subject.clusterId, host: subject.hostId, since: subject.since },
          wentTo: subject.wentTo,
          ...(subject.vm !== undefined && {
            ...{ vm: subject.vm.vmId, vmName: subject.vm.name, target: subject.vm.hostId },
          }),
        },
      }),
      ...(incident !== undefined && {
        incident: {
          id: incident.incidentId,
          target: incident.target,
          cluster: incident.clusterId,
          phase: incident.phase,
          outcome: incident.outcome,
          openedAt: incident.openedAt,
          downtimeSeconds: Math.max(0, Math.round(((open ?? 0) - Date.parse(since)) / 1000)),
          cause: incident.triggers[0]?.reason,
          source: incident.triggers[0]?.by,
        },
      }),
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return error.name === 'TimeoutError' ? `no answer within ${answerMs / 1000} s` : error.message;
}
