/** The description of the API, OpenAPI 3.1, made of the same schemas that validate. */
import { z } from 'zod';
import type { Route } from './route';
import { components, problem } from './schemas';

type Json = Readonly<Record<string, unknown>>;

const problemSays: Readonly<Record<number, string>> = {
  400: 'The request is not understood; every mistake is named.',
  401: 'No token, or one that is not valid.',
  403: 'The token has not the role that this needs.',
  404: 'There is no such thing.',
  409: 'Not now: other work holds it, or its state does not allow it.',
  413: 'The body is too large.',
  415: 'The body is of a form that is not understood.',
  422: 'The Idempotency-Key belongs to another request.',
  429: 'Too many requests from this address; Retry-After says when to ask again.',
  500: 'A defect of VMedic; its log has the rest under the request id.',
  503: 'A part of VMedic does not answer; ask again.',
};

const ref = (schema: z.ZodType): Json => {
  const known = components.get(schema);
  if (known !== undefined) return { $ref: `#/components/schemas/${known.id}` };
  return strip(z.toJSONSchema(schema, { io: 'input' }));
};

/** Which problems a route may answer with follows from what it has. */
function problemsOf(route: Route): number[] {
  const all = new Set<number>([429, 500, ...(route.problems ?? [])]);
  const add = (...statuses: number[]): void => statuses.forEach((s) => all.add(s));
  if (route.needs !== 'nobody') add(401, 503);
  if (route.needs !== 'nobody' && route.needs !== 'sender') add(403);
  if (route.params !== undefined) add(400, 404);
  if (route.query !== undefined) add(400);
  if (route.method === 'post') add(400, 409, 413, 415);
  // Signed messages have ids of their own, and no keys.
  if (route.method === 'post' && route.needs !== 'sender') add(422);
  return [...all].sort((a, b) => a - b);
}

function answersOf(route: Route): Json {
  const good = Object.entries(route.answers).map(([status, { says, schema }], n) => {
    const types = [
      ...(schema === undefined ? [] : ['application/json']),
      ...(n === 0 ? (route.forms ?? []) : []),
    ];
    const content = types.map((type) => [
      type,
      type === 'application/json' && schema !== undefined
        ? { schema: ref(schema) }
        : { schema: { type: 'string' } },
    ]);
    return [
      status,
      { description: says, ...(content.length > 0 && { content: Object.fromEntries(content) as Json }) },
    ];
  });
  const bad = problemsOf(route).map((status) => [
    status,
    {
      description: problemSays[status] ?? 'A problem.',
      content: { 'application/problem+json': { schema: ref(problem) } },
    },
  ]);
  return Object.fromEntries([...good, ...bad]) as Json;
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, Json>>;
  readonly required?: readonly string[];
}

function parametersOf(route: Route): Json[] {
  const of = (place: 'path' | 'query', schema: z.ZodType | undefined): Json[] => {
    if (schema === undefined) return [];
    const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' }) as ObjectSchema;
    return Object.entries(properties).map(([name, { description, ...rest }]) => ({
      ...{ name, in: place, required: required.includes(name), schema: rest },
      ...(description !== undefined && { description }),
    }));
  };
  const headers = (route.headers ?? []).map(({ name, says, required = false }) => ({
    ...{ name, in: 'header', required, description: says, schema: { type: 'string' } },
  }));
  const key =
    route.method === 'post' && route.needs !== 'sender'
      ? [
          {
            ...{ name: 'Idempotency-Key', in: 'header', required: false },
            description: 'The same key again gives the same answer, and nothing is done twice.',
            schema: { type: 'string', pattern: '^[!-~]{1,200}$' },
          },
        ]
      : [];
  return [...of('path', route.params), ...of('query', route.query), ...headers, ...key];
}

const strip = ({ $schema: _, $id: __, ...schema }: Json): Json => schema;

export function openApi(routes: readonly Route[], version: string): Json {
  const { schemas } = z.toJSONSchema(components, {
    uri: (id) => `#/components/schemas/${id}`,
    io: 'input',
  });
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const body =
      route.body === undefined
        ? {}
        : {
            requestBody: {
              required: true,
              content: {
                [route.bodyForm === 'form' ? 'application/x-www-form-urlencoded' : 'application/json']: {
                  schema: ref(route.body),
                },
              },
            },
          };
    (paths[route.path] ??= {})[route.method] = {
      operationId: operationId(route),
      tags: [route.tag],
      summary: route.summary,
      ...(route.description !== undefined && { description: route.description }),
      parameters: parametersOf(route),
      ...body,
      responses: answersOf(route),
      ...(route.needs === 'nobody' || route.needs === 'sender'
        ? { security: [] }
        : { security: [{ token: [] }], 'x-role': route.needs }),
    };
  }
  return {
    openapi: '3.1.0',
    info: {
      ...{ title: 'VMedic', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      description:
        'Starts recoveries, follows them, and takes what people say to them. Starts answer 202 with a Location, 200 when the same incident ' +
        'is handled already, 409 when other work holds the host or the VM. Errors are RFC 9457 problem details.',
    },
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, strip(schema as Json)])),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Made by vmedic token create.' },
      },
    },
  };
}

/** `post /v1/hosts/{host}/recover` → `postHostsHostRecover`. */
function operationId({ method, path }: Route): string {
  const words = path
    .replace(/^\/v1/, '')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '');
  return method + words.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join('');
}
