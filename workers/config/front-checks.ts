import { durationMs } from './duration';
import type { ConfigProblem, Path, Places } from './problems';
import type { VmedicConfig } from './types';

/** `127.0.0.0/8`, `::1` and the name that stands for them: what only this machine can reach. */
export function isLoopback(listen: string): boolean {
  const address = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return address === 'localhost' || address === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

/** The least that a heartbeat may be apart: Alertmanager evaluates in seconds. */
const heartbeatMsMin = 1_000;

export function frontProblems(config: VmedicConfig, places: Places): ConfigProblem[] {
  const { api, alerts, notify = [] } = config;
  const problems: ConfigProblem[] = [];
  if (api?.listen !== undefined && !isLoopback(api.listen) && api.tls === undefined)
    problems.push(
      places.problem(
        'error',
        ['api', 'listen'],
        `${api.listen} can be reached from other machines, and without tls tokens would travel in the clear; add tls: { certificate, key }, or listen on 127.0.0.1 behind a proxy`,
      ),
    );
  notify.forEach((channel, n) => {
    const name = channelName(channel);
    const first = notify.findIndex((other) => channelName(other) === name);
    if (first !== n)
      problems.push(
        places.problem('error', ['notify', n], `${name} is named twice; each would be told everything twice`),
      );
  });
  if (alerts?.heartbeat !== undefined && durationMs(alerts.heartbeat) < heartbeatMsMin)
    problems.push(places.problem('error', ['alerts', 'heartbeat'], 'is below 1s'));
  return problems;
}

/** What deliveries to this channel are kept under; stays the same while the entry does. */
export const channelName = (channel: NonNullable<VmedicConfig['notify']>[number]): string => {
  if (channel.driver === 'webhook') return `webhook:${channel.name}`;
  return channel.driver === 'alertmanager' ? `alertmanager:${channel.url}` : 'log';
};

export function frontReferences(config: VmedicConfig): { item: string | undefined; path: Path }[] {
  const { api, notify = [], signingKey } = config;
  return [
    { item: api?.tls?.certificate, path: ['api', 'tls', 'certificate'] },
    { item: api?.tls?.key, path: ['api', 'tls', 'key'] },
    ...(api?.webhooks ?? []).map(({ secret }, w) => ({
      item: secret,
      path: ['api', 'webhooks', w, 'secret'],
    })),
    ...notify.flatMap((channel, n) => {
      if (channel.driver === 'webhook') return [{ item: channel.secret, path: ['notify', n, 'secret'] }];
      if (channel.driver === 'alertmanager') return [{ item: channel.token, path: ['notify', n, 'token'] }];
      return [];
    }),
    { item: signingKey, path: ['signingKey'] },
  ];
}
