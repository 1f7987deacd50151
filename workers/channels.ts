import type { NotifierPort, StandingNotifierPort } from '../activities/ports';
import { createAlertmanager } from '../drivers/alertmanager';
import { createWebhook } from '../drivers/webhook';
import { channelName, type VmedicConfig } from './config';

export interface Channel {
  /** Deliveries are kept under it: the same for as long as the config's entry is. */
  readonly name: string;
  readonly notifier: NotifierPort;
  /** For receivers that forget what they are not told again. */
  readonly standing: StandingNotifierPort | undefined;
}

/** Who is told, besides the log, which each worker writes itself. */
export function openChannels(config: VmedicConfig, secret: (reference: string) => string): Channel[] {
  return (config.notify ?? []).flatMap((entry): Channel[] => {
    if (entry.driver === 'log') return [];
    const name = channelName(entry);
    if (entry.driver === 'webhook')
      return [
        {
          name,
          notifier: createWebhook({ url: entry.url, secret: () => secret(entry.secret) }),
          standing: undefined,
        },
      ];
    const { token } = entry;
    const standing = createAlertmanager({
      url: entry.url,
      ...(token !== undefined && { token: () => secret(token) }),
    });
    return [{ name, notifier: standing, standing }];
  });
}
