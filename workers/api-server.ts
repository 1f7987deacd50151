/** The API process: config -> inventory, Temporal, channels -> routes, and the sender of alerts beside them. Stateless; any number may run. */
import { dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { createApp } from '../client/http/app';
import type { HttpDoor } from '../client/http/door';
import { Refusal } from '../client/errors';
import { reportOf, signReport } from '../client/report';
import { connectTemporal, type TemporalSession, type TemporalSettings } from '../client/temporal';
import { migrateInventory, openInventory, type OpenInventory } from '../drivers/postgres';
import type { Installation } from './access';
import { openChannels } from './channels';
import { secretOrThrow } from './config';
import { listenAt } from './listen';
import { startOutbox } from './outbox';
import { reportKey } from './signing-key';
import { startTracing, type Tracing } from './tracing';
import { version } from './version';

export interface ApiSetup {
  readonly installation: Installation;
  readonly inventoryUrl: string;
  readonly temporal: TemporalSettings;
  readonly log: Logger;
  readonly env: NodeJS.ProcessEnv;
  readonly taskQueue?: string;
}

export interface RunningApi {
  /** Where it answers. */
  readonly url: string;
  /** Lets what is under way end, then closes everything. Idempotent. */
  stop(): Promise<void>;
}

/** Streams are let go of at once; what else is under way gets so long. */
const stopMs = 5_000;

/** @throws Refusal when it would be open to other machines without a certificate or without a token. */
export async function startApi(setup: ApiSetup): Promise<RunningApi> {
  const { installation, env, log } = setup;
  const { config, configPath, fleet } = installation;
  const at = listenAt(config, env);
  await migrateInventory(setup.inventoryUrl);
  const inventory = openInventory({ url: setup.inventoryUrl });
  try {
    if (!at.loopback) await refuseUnguarded(installation, inventory);
    const tracing = await startTracing('vmedic-api', env);
    const temporal = lasting(setup.temporal, tracing);
    const secret = (reference: string): string => secretOrThrow(reference, dirname(configPath), env);
    const door: HttpDoor = {
      ...{ fleet, inventory, log, version: version() },
      temporal: temporal.session,
      ...(tracing !== undefined && { trace: tracing.request }),
      ...(setup.taskQueue !== undefined && { taskQueue: setup.taskQueue }),
      senders: (config.api?.webhooks ?? []).map(({ name, secret: reference }) => ({
        name,
        secret: () => secret(reference),
      })),
      sign: async (incident) => signReport(await reportOf(inventory, incident), reportKey(installation, env)),
    };
    const tls = config.api?.tls;
    const app = await createApp(
      door,
      tls === undefined ? {} : { tls: { cert: secret(tls.certificate), key: secret(tls.key) } },
    );
    const outbox = startOutbox({ door, inventory, log, channels: openChannels(config, secret), config });
    const url = await app.listen({ host: at.host, port: at.port });
    log.info({ url }, 'the API answers');
    let stopped: Promise<void> | undefined;
    const end = async (): Promise<void> => {
      await Promise.all([closeApp(app), outbox.stop()]);
      await Promise.all([temporal.close(), inventory.close(), tracing?.stop()]);
    };
    return { url, stop: () => (stopped ??= end()) };
  } catch (error) {
    await inventory.close();
    throw error;
  }
}

async function closeApp(app: FastifyInstance): Promise<void> {
  const force = setTimeout(() => app.server.closeAllConnections(), stopMs);
  app.server.closeIdleConnections();
  await app.close();
  clearTimeout(force);
}

async function refuseUnguarded({ config }: Installation, inventory: OpenInventory): Promise<void> {
  if (config.api?.tls === undefined)
    throw new Refusal(
      'usage',
      'TLS_NEEDED',
      'The API would be open to other machines without TLS: tokens would travel in the clear',
      'add api.tls: { certificate, key } to the config, or listen on 127.0.0.1 behind a proxy',
    );
  const now = Date.now();
  const valid = (await inventory.tokens()).filter(
    (t) => t.revokedAt === undefined && (t.expiresAt === undefined || Date.parse(t.expiresAt) > now),
  );
  if (valid.length === 0)
    throw new Refusal(
      'usage',
      'TOKEN_NEEDED',
      'The API would be open to other machines, and there is no token yet by which anybody is known',
      'vmedic token create NAME --role approver',
    );
}

/** One connection, made at its first use: the API answers for itself while Temporal is away. */
function lasting(settings: TemporalSettings, tracing: Tracing | undefined) {
  let connected: Promise<TemporalSession> | undefined;
  return {
    session: (): Promise<TemporalSession> => {
      connected ??= connectTemporal(settings, tracing?.client).catch((error: unknown) => {
        connected = undefined;
        throw error;
      });
      return connected;
    },
    async close(): Promise<void> {
      // What was never connected needs no closing.
      await (await connected?.catch(() => undefined))?.close();
    },
  };
}
