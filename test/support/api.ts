/** The API on a port of its own, in this process: every route on a real Temporal server, a real inventory and a simulated datacenter. */
import { type Logger, pino } from 'pino';
import { createApp } from '../../client/http/app';
import type { HttpDoor } from '../../client/http/door';
import { makeToken } from '../../client/tokens';
import { newSigningKey, reportOf, signingKey, signReport } from '../../client/report';
import type { Role } from '../../domain/access';
import { type RecoverySystem, recoverySystem, type SystemOptions } from './recovery-system';

export interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface Ask {
  readonly as?: Role | 'nobody' | { readonly token: string };
  readonly body?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiUnderTest {
  readonly system: RecoverySystem;
  readonly base: string;
  readonly door: HttpDoor;
  readonly tokens: Readonly<Record<Role, string>>;
  /** Every line that the API logged. */
  readonly logged: string[];
  get(url: string, ask?: Ask): Promise<Answered>;
  post(url: string, ask?: Ask): Promise<Answered>;
  close(): Promise<void>;
}

export const senderSecret = `whsec_${Buffer.from('a secret that nobody else has').toString('base64')}`;

export async function apiUnderTest(options: SystemOptions & Partial<HttpDoor> = {}): Promise<ApiUnderTest> {
  const system = await recoverySystem(options);
  const logged: string[] = [];
  const log: Logger = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const key = signingKey(newSigningKey(), 'the test');
  const door: HttpDoor = {
    ...{
      fleet: system.fleet,
      inventory: system.inventory,
      taskQueue: system.taskQueue,
      log,
      version: '0.0.0',
    },
    temporal: () =>
      Promise.resolve({
        client: system.client,
        settings: { address: 'the test server', namespace: 'default' },
        close: () => Promise.resolve(),
      }),
    senders: [{ name: 'pager', secret: () => senderSecret }],
    sign: async (incident) => signReport(await reportOf(system.inventory, incident), key),
    ...('temporal' in options || 'inventory' in options || 'sign' in options
      ? (options as Partial<HttpDoor>)
      : {}),
  };
  const app = await createApp(door);
  const base = await app.listen({ host: '127.0.0.1', port: 0 });
  const tokens = { viewer: '', operator: '', approver: '' };
  for (const role of ['viewer', 'operator', 'approver'] as const) {
    const made = makeToken({ name: `the-${role}`, role, by: 'tester', expiresAt: undefined });
    await system.inventory.createToken(made.record);
    tokens[role] = made.text;
  }
  const ask =
    (method: 'GET' | 'POST') =>
    async (url: string, asked: Ask = {}): Promise<Answered> => {
      const { as = 'operator', body, form, headers = {} } = asked;
      const token = typeof as === 'object' ? as.token : as === 'nobody' ? undefined : tokens[as];
      const response = await fetch(new URL(url, base), {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...(form !== undefined && { body: new URLSearchParams(form).toString() }),
      });
      const text = await response.text();
      return {
        ...{ status: response.status, text, body: parsedOrEmpty(text) },
        headers: Object.fromEntries(response.headers),
      };
    };
  return {
    ...{ system, base, door, tokens, logged },
    get: ask('GET'),
    post: ask('POST'),
    async close() {
      await app.close();
      await system.close();
    },
  };
}

function parsedOrEmpty(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Metrics and event streams are no JSON; their tests read the text.
    return {};
  }
}
