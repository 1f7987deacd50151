import type { VmedicConfig } from './types';

/** The parts about the front door with every reference made absolute. */
export function withAbsoluteFront(
  { api, notify, signingKey }: VmedicConfig,
  absolute: (reference: string) => string,
): Pick<VmedicConfig, 'api' | 'notify' | 'signingKey'> {
  return {
    ...(api !== undefined && {
      api: {
        ...api,
        ...(api.tls !== undefined && {
          tls: { certificate: absolute(api.tls.certificate), key: absolute(api.tls.key) },
        }),
        ...(api.webhooks !== undefined && {
          webhooks: api.webhooks.map(({ name, secret }) => ({ name, secret: absolute(secret) })),
        }),
      },
    }),
    ...(notify !== undefined && {
      notify: notify.map((channel) => {
        if (channel.driver === 'webhook') return { ...channel, secret: absolute(channel.secret) };
        if (channel.driver === 'alertmanager' && channel.token !== undefined)
          return { ...channel, token: absolute(channel.token) };
        return channel;
      }),
    }),
    ...(signingKey !== undefined && { signingKey: absolute(signingKey) }),
  };
}
