/** The API as a Fastify instance: limits, errors, and every route of the table. */
import { randomUUID } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import {
  fastify,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { HttpDoor } from './door';
import { observeRequest } from './metrics';
import { openApi } from './openapi';
import { asProblem, Problem, problemDocument } from './problems';
import type { Route } from './route';
import { administrationRoutes } from './routes/administration';
import { operationRoutes } from './routes/operations';
import { orderRoutes } from './routes/orders';
import { readRoutes } from './routes/reads';
import { runRoutes } from './routes/runs';
import { startRoutes } from './routes/starts';
import { keepRawBody, webhookRoutes } from './routes/webhooks';
import { serve } from './serve';

export const routes: readonly Route[] = [
  ...readRoutes,
  ...runRoutes,
  ...startRoutes,
  ...orderRoutes,
  ...administrationRoutes,
  ...webhookRoutes,
  ...operationRoutes,
];

export interface AppOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Requests of one address in a minute. */
  readonly requestsPerMinute?: number;
}

/** A message of Alertmanager about a thousand VMs stays below. */
const bodyBytesMax = 1_048_576;
/** A storm of monitors about one rack, and far below what one process answers. */
const requestsPerMinute = 3_000;
/** A sender that dribbles its request byte by byte is let go. */
const requestMs = 30_000;
const pathParameterMax = 1_024;

export async function createApp(door: HttpDoor, options: AppOptions = {}): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: door.log,
    // What matters of a request is told when it is answered; scrapes and polls would drown the rest.
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, request, reply) => void tellProblem(error, request, reply as never),
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMs,
    routerOptions: { maxParamLength: pathParameterMax },
    genReqId: () => randomUUID(),
    ...(options.tls !== undefined && { https: { ...options.tls, minVersion: 'TLSv1.2' } }),
  }) as unknown as FastifyInstance;
  await app.register(rateLimit, {
    global: true,
    max: options.requestsPerMinute ?? requestsPerMinute,
    timeWindow: 60_000,
  });
  readBodies(app);
  answerHeaders(app);
  app.setErrorHandler((error, request, reply) => tellProblem(error, request, reply));
  app.setNotFoundHandler((request) => {
    throw notFound(request);
  });
  const description = openApi(routes, door.version);
  app.get('/openapi.json', () => description);
  for (const route of routes)
    app.route({
      method: route.method === 'get' ? 'GET' : 'POST',
      url: route.path.replace(/\{(\w+)\}/g, ':$1'),
      handler: (request, reply) => serve(door, route, request, reply),
    });
  return app;
}

function tellProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = asProblem(error);
  if (problem.status >= 500) request.log.error({ err: error }, problem.message);
  return reply
    .code(problem.status)
    .headers({ ...problem.more.headers })
    .type('application/problem+json')
    .send(JSON.stringify(problemDocument(problem, request.id)));
}

/** Bodies as text first: a signature is over the bytes that came. */
function readBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    keepRawBody(request, body as string);
    // Nothing at all stands for nothing said: what is missing is then named field by field.
    if (body === '') done(null, {});
    else void parseJson(request, body as string, done);
  });
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(body as string))),
  );
}

/** What every answer carries. The API serves programs: nothing of it is to be shown, framed or kept by a browser. */
function answerHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({
      'x-request-id': request.id,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions, ip } = request;
    const level = method === 'GET' ? 'debug' : 'info';
    request.log[level](
      { method, route: routeOptions.url, ip, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'answered',
    );
    observeRequest(
      request.method,
      request.routeOptions.url ?? 'none',
      reply.statusCode,
      reply.elapsedTime / 1000,
    );
  });
}

const patterns = routes.map((route) => ({
  method: route.method.toUpperCase(),
  path: new RegExp(`^${route.path.replace(/\{\w+\}/g, '[^/]+')}/?$`),
}));

function notFound(request: FastifyRequest): Problem {
  const path = request.url.split('?')[0] ?? '';
  const methods = patterns.filter((p) => p.path.test(path)).map((p) => p.method);
  if (path === '/openapi.json') methods.push('GET');
  if (methods.length > 0)
    return new Problem(
      405,
      'METHOD_NOT_ALLOWED',
      `${path} takes ${methods.join(', ')}, not ${request.method}`,
      {
        headers: { allow: methods.join(', ') },
      },
    );
  return new Problem(404, 'NO_SUCH_PATH', `There is nothing at ${path}`, {
    next: 'GET /openapi.json lists what there is',
  });
}
