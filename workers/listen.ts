/** Where the API listens. */
import { isLoopback, type VmedicConfig } from './config';

/** Loopback: whoever wants to be reached from elsewhere says so, and names a certificate. */
export const defaultListen = '127.0.0.1:7780';

export interface ListenAt {
  readonly host: string;
  readonly port: number;
  readonly loopback: boolean;
}

/** `VMEDIC_API_LISTEN`, else the config's, else loopback. */
export function listenAt(config: VmedicConfig, env: NodeJS.ProcessEnv): ListenAt {
  const text = env['VMEDIC_API_LISTEN'] ?? config.api?.listen ?? defaultListen;
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`${text} is no address:port to listen on, for instance ${defaultListen}`);
  return { host, port, loopback: isLoopback(text) };
}
