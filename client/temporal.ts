/** Finding and reaching the Temporal server: the environment first, then the config, then the embedded system that runs for it. */
import { readFileSync } from 'node:fs';
import {
  Client,
  Connection,
  type ConnectionOptions,
  type WorkflowClientInterceptor,
} from '@temporalio/client';
import { Refusal, temporalUnreachable } from './errors';

export interface TemporalSettings {
  readonly address: string;
  readonly namespace: string;
  readonly apiKey?: string;
  readonly tls?: {
    readonly serverNameOverride?: string;
    readonly serverRootCACertificate?: Buffer;
    readonly clientCertPair?: { readonly crt: Buffer; readonly key: Buffer };
  };
  /** Where people look at runs; known for the embedded server only. */
  readonly uiUrl?: string;
}

export interface TemporalSession {
  readonly client: Client;
  readonly settings: TemporalSettings;
  close(): Promise<void>;
}

/** How long a server may take to answer before it counts as not there. */
const connectMs = 3_000;

/**
 * The settings of the environment's variables, by the names that every Temporal SDK uses; undefined without `TEMPORAL_ADDRESS`.
 * (The TOML profiles of those SDKs are not read.)
 */
export function settingsOfEnvironment(env: NodeJS.ProcessEnv): TemporalSettings | undefined {
  const address = env['TEMPORAL_ADDRESS'];
  if (!address) return undefined;
  const apiKey = env['TEMPORAL_API_KEY'];
  const tls = tlsOfEnvironment(env);
  return {
    address,
    namespace: env['TEMPORAL_NAMESPACE'] || 'default',
    ...(apiKey && { apiKey }),
    ...(tls !== undefined && { tls }),
  };
}

function tlsOfEnvironment(env: NodeJS.ProcessEnv): TemporalSettings['tls'] {
  const [ca, crt, key] = ['SERVER_CA_CERT_PATH', 'CLIENT_CERT_PATH', 'CLIENT_KEY_PATH'].map(
    (name) => env[`TEMPORAL_TLS_${name}`],
  );
  const serverName = env['TEMPORAL_TLS_SERVER_NAME'];
  if (!ca && !crt && !serverName && env['TEMPORAL_TLS'] !== 'true') return undefined;
  if (Boolean(crt) !== Boolean(key))
    throw new Refusal(
      'usage',
      'TLS_INCOMPLETE',
      'Only one of TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH is set',
      'set both or none',
    );
  return {
    ...(serverName && { serverNameOverride: serverName }),
    ...(ca && { serverRootCACertificate: readFileSync(ca) }),
    ...(crt && key && { clientCertPair: { crt: readFileSync(crt), key: readFileSync(key) } }),
  };
}

/** Understood by the client's connection and by the worker's. */
export function connectionOptions(
  settings: TemporalSettings,
): Pick<ConnectionOptions, 'address' | 'tls'> & { apiKey?: string } {
  return {
    address: settings.address,
    ...(settings.apiKey !== undefined && { apiKey: settings.apiKey }),
    ...(settings.tls !== undefined ? { tls: settings.tls } : settings.apiKey !== undefined && { tls: true }),
  };
}

/**
 * Connects, or refuses with a sentence when nobody answers in time.
 *
 * @param interceptor Sees each start before it is sent.
 */
export async function connectTemporal(
  settings: TemporalSettings,
  interceptor?: WorkflowClientInterceptor,
): Promise<TemporalSession> {
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...connectionOptions(settings), connectTimeout: connectMs });
  } catch (cause) {
    throw temporalUnreachable(settings.address, cause);
  }
  const client = new Client({
    ...{ connection, namespace: settings.namespace },
    ...(interceptor !== undefined && { interceptors: { workflow: [interceptor] } }),
  });
  return { client, settings, close: () => connection.close() };
}
