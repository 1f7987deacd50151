import { z } from 'zod';
import { queuesWithoutWorker } from '../../troubles';
import type { HttpDoor } from '../door';
import { metricsText, metricsType } from '../metrics';
import { route, type Route } from '../route';
import { named } from '../schemas';

const health = named('Health', z.object({ alive: z.literal(true), version: z.string() }));
const readiness = named(
  'Readiness',
  z.object({ ready: z.boolean(), parts: z.record(z.string(), z.string()) }),
);

const patienceMs = 3_000;

async function answers(ask: () => Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${patienceMs / 1000} s`), patienceMs);
  });
  try {
    return await Promise.race([ask().then(() => 'answers'), late]);
  } catch (error) {
    // Whatever the reason, it does not answer; whoever may read logs finds it there.
    return `does not answer${error instanceof Error ? ` (${error.name})` : ''}`;
  } finally {
    clearTimeout(timer);
  }
}

async function readinessOf(door: HttpDoor) {
  const [inventory, temporal] = await Promise.all([
    answers(() => door.inventory.ping()),
    answers(async () => {
      const unpolled = await queuesWithoutWorker(await door.temporal(), door.taskQueue);
      door.log.debug({ unpolled }, 'queues without a worker');
    }),
  ]);
  return { ready: inventory === 'answers' && temporal === 'answers', parts: { inventory, temporal } };
}

export const operationRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/healthz', tag: 'operations', needs: 'nobody' },
    summary: 'Whether this process lives',
    answers: { 200: { says: 'It does.', schema: health } },
    handle: (_, door) => Promise.resolve({ status: 200, body: { alive: true, version: door.version } }),
  }),
  route({
    ...{ method: 'get', path: '/readyz', tag: 'operations', needs: 'nobody' },
    summary: 'Whether it can do what it is asked: the inventory and Temporal answer',
    answers: {
      200: { says: 'It can.', schema: readiness },
      503: { says: 'It cannot; `parts` says why.', schema: readiness },
    },
    async handle(_, door) {
      const body = await readinessOf(door);
      return { status: body.ready ? 200 : 503, body };
    },
  }),
  route({
    ...{ method: 'get', path: '/metrics', tag: 'operations', needs: 'viewer' },
    summary: 'Metrics in the Prometheus text format',
    answers: { 200: { says: 'The metrics.' } },
    forms: ['text/plain'],
    async handle(_, door) {
      return { status: 200, body: await metricsText(door), headers: { 'content-type': metricsType } };
    },
  }),
];
