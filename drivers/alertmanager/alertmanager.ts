/**
 * Alerts to Prometheus Alertmanager by its API v2. Alertmanager knows an alert by its labels, so they stay the same from the raise to the end;
 * everything that changes is an annotation. It forgets what it is not told of again, which is why what is open is restated.
 */
import type { StandingNotifierPort, Told } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import { aboutOf } from './about';

export interface AlertmanagerSetup {
  readonly url: string;
  /** Read at each use. */
  readonly token?: () => string;
  /** Where people read more; shown as the alert's source. */
  readonly generatorUrl?: string;
}

interface PostedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL?: string;
}

const answerMs = 10_000;
/** Believed without a further word, where nobody restates it in time. */
const firstValidMs = 300_000;
/** Alerts in one request: each is below 2 KB. */
const alertsPerRequest = 200;

/** That VMedic lives. It is always firing: when it resolves, VMedic is gone, or one of its parts is. */
export const heartbeatName = 'VMedicAlive';

export function createAlertmanager(setup: AlertmanagerSetup): StandingNotifierPort {
  const post = async (alerts: readonly PostedAlert[], key: string, signal: AbortSignal): Promise<void> => {
    for (let from = 0; from < alerts.length; from += alertsPerRequest)
      await send(setup, alerts.slice(from, from + alertsPerRequest), key, signal);
  };
  return {
    deliver: (alert, signal) => post([posted(alert, firstValidMs, setup)], alert.key, signal),
    async restate(open, alive, validMs, signal) {
      const heartbeat = alive ? [heartbeatOf(validMs)] : [];
      await post([...heartbeat, ...open.map((a) => posted(a, validMs, setup))], 'all that is open', signal);
    },
  };
}

/** `unfenced:hv-a` → `VMedicUnfenced`: the kind of alert is what routes and silences are written for. */
export const alertName = (key: string): string =>
  `VMedic${(key.split(':')[0] ?? '')
    .split(/[^A-Za-z0-9]+/)
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('')}`;

function posted(alert: Told, validMs: number, { generatorUrl }: AlertmanagerSetup): PostedAlert {
  const about = aboutOf(alert, Date.now());
  const annotations = {
    summary: alert.sentence,
    ...(alert.nextCommand !== undefined && { next: alert.nextCommand }),
    ...(alert.acknowledgedBy !== undefined && { acknowledged_by: alert.acknowledgedBy }),
    ...about.annotations,
  };
  return {
    labels: {
      alertname: alertName(alert.key),
      severity: alert.severity,
      vmedic_key: alert.key,
      ...about.labels,
    },
    annotations,
    startsAt: alert.raisedAt,
    endsAt: alert.clearedAt ?? new Date(Date.now() + validMs).toISOString(),
    ...(generatorUrl !== undefined && { generatorURL: generatorUrl }),
  };
}

const heartbeatOf = (validMs: number): PostedAlert => ({
  labels: { alertname: heartbeatName, severity: 'none' },
  annotations: {
    summary:
      'VMedic is alive: its inventory, Temporal and its workers answer. When this resolves, they do not.',
  },
  startsAt: new Date().toISOString(),
  endsAt: new Date(Date.now() + validMs).toISOString(),
});

async function send(
  { url, token }: AlertmanagerSetup,
  alerts: readonly PostedAlert[],
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const undelivered = (detail: string, cause?: unknown): DriverFault =>
    new DriverFault('ALERT_NOT_DELIVERED', { key, detail: `${url}: ${detail}` }, { cause });
  let response: Response;
  try {
    response = await fetch(new URL('api/v2/alerts', url.endsWith('/') ? url : `${url}/`), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token()}` }),
      },
      body: JSON.stringify(alerts),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw undelivered(reasonOf(cause), cause);
  }
  if (response.ok) {
    await response.body?.cancel();
    return;
  }
  const said = (await response.text()).replace(/\s+/g, ' ').slice(0, 300);
  throw undelivered(`it answered ${response.status}: ${said}`);
}

/** The network's own word lies beneath fetch's. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return error.name === 'TimeoutError' ? `no answer within ${answerMs / 1000} s` : error.message;
}
