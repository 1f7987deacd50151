/** One request's way: who asks, what is asked, has it been answered before, is it written down; then the act. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { canonicalJson } from '../../domain/timeline';
import { traceHeader } from '../../domain/trace-parent';
import { admit } from './caller';
import type { Caller, HttpDoor } from './door';
import { asProblem, type Mistake, Problem, problemDocument } from './problems';
import { type Answer, type Asked, type Route, writtenAlready } from './route';

type AnyAsked = Asked<unknown, unknown, unknown>;

const anybody: Caller = { name: 'anybody', id: '', role: 'viewer' };

export async function serve(
  door: HttpDoor,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  // What is only looked at, again and again, leaves no trace.
  if (door.trace === undefined || route.method === 'get') return answerTo(door, route, request, reply);
  const about = { method: request.method, route: route.path, requestId: request.id };
  return door.trace({ ...about, parent: request.headers[traceHeader] }, async (note) => {
    const answer = await answerTo(door, route, request, reply);
    note(reply.statusCode);
    return answer;
  });
}

async function answerTo(
  door: HttpDoor,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { needs } = route;
  const caller = needs === 'nobody' || needs === 'sender' ? anybody : await admit(door, needs, request);
  const asked: AnyAsked = { ...parsed(route, request), caller, request, reply };
  const act = (): Promise<Answer | typeof writtenAlready> => audited(door, route, asked);
  // Who signed a message is known only in its handler, which drops repeats by the message's own id: a stranger shall leave no row.
  const key = route.method === 'post' && needs !== 'sender' ? idempotencyKey(request) : undefined;
  const answer = key === undefined ? await act() : await once(door, key, asked, act);
  if (answer === writtenAlready) return reply;
  void reply.code(answer.status).headers({ ...answer.headers });
  return reply.send(answer.body ?? null);
}

/** Every mistake of a request at once. */
function parsed(route: Route, request: FastifyRequest) {
  const mistakes: Mistake[] = [];
  const part = (place: Mistake['in'], schema: z.ZodType | undefined, value: unknown): unknown => {
    if (schema === undefined) return {};
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const issue of result.error.issues)
      mistakes.push({ in: place, at: issue.path.map(String).join('.'), sentence: issue.message });
    return {};
  };
  const params = part('path', route.params, request.params);
  const query = part('query', route.query, request.query);
  const body = part('body', route.body, request.body ?? (route.method === 'post' ? {} : undefined));
  if (mistakes.length > 0) {
    const first = mistakes[0] as Mistake;
    const where = `${first.in}${first.at === '' ? '' : ` ${first.at}`}`;
    throw new Problem(400, 'INVALID_REQUEST', `${where}: ${first.sentence}`, { errors: mistakes });
  }
  return { params, query, body };
}

const keyPattern = /^[\x21-\x7e]{1,200}$/;

function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && keyPattern.test(key)) return key;
  const sentence = '1 to 200 visible ASCII characters';
  throw new Problem(400, 'INVALID_REQUEST', `header idempotency-key: ${sentence}`, {
    errors: [{ in: 'header', at: 'idempotency-key', sentence }],
  });
}

/** How long the one who has a key may take: longer than any answer here does. */
const leaseMs = 60_000;

async function once(
  door: HttpDoor,
  key: string,
  { caller, request, body }: AnyAsked,
  act: () => Promise<Answer | typeof writtenAlready>,
): Promise<Answer | typeof writtenAlready> {
  const asked = createHash('sha256')
    .update(`${request.method} ${request.url}\n${canonicalJson(body)}`)
    .digest('hex');
  const claim = await door.inventory.claimAnswer({
    ...{ caller: caller.id, key, asked, at: new Date().toISOString(), leaseMs },
  });
  if (claim.claim === 'answered') {
    const { status, headers, body: before } = claim.answer;
    return { status, body: before, headers: { ...headers, 'idempotency-replayed': 'true' } };
  }
  if (claim.claim === 'other-request')
    throw new Problem(422, 'KEY_OF_ANOTHER_REQUEST', 'This Idempotency-Key was used for another request', {
      next: 'take a new key for each thing that is asked for',
    });
  if (claim.claim === 'under-way')
    throw new Problem(
      409,
      'KEY_UNDER_WAY',
      'The request with this Idempotency-Key is being answered just now',
      {
        headers: { 'retry-after': '1' },
      },
    );
  try {
    const answer = await act();
    if (answer !== writtenAlready)
      await door.inventory.keepAnswer(caller.id, key, {
        status: answer.status,
        headers: { ...answer.headers },
        body: answer.body ?? null,
      });
    return answer;
  } catch (error) {
    await keepRefusal(door, caller.id, key, request.id, error);
    throw error;
  }
}

/** A clear no is an answer like any other; "nobody answered" is not, and may be asked again with the same key. */
async function keepRefusal(
  door: HttpDoor,
  caller: string,
  key: string,
  requestId: string,
  error: unknown,
): Promise<void> {
  const problem = asProblem(error);
  if (problem.status >= 500) return door.inventory.dropAnswer(caller, key);
  await door.inventory.keepAnswer(caller, key, {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json' },
    body: problemDocument(problem, requestId),
  });
}

/** Nothing is changed that is not in the trail: the row is written before the act, and completed with what became of it. */
export async function audited(
  door: HttpDoor,
  route: Route,
  asked: AnyAsked,
): Promise<Answer | typeof writtenAlready> {
  if (route.change === undefined) return route.handle(asked, door);
  const change = route.change(asked);
  const id = await door.inventory.noteAudit({
    ...change,
    at: new Date().toISOString(),
    who: onBehalf(asked),
    via: 'api',
    origin: asked.request.ip,
    answer: 'asked',
    requestId: asked.request.id,
  });
  try {
    const answer = await route.handle(asked, door);
    await complete(door, id, answer === writtenAlready ? 'ok' : String(answer.status));
    return answer;
  } catch (error) {
    const { status, code } = asProblem(error);
    await complete(door, id, `${status} ${code}`);
    throw error;
  }
}

/** What was done stays done: a row that says "asked" is true, and better than an answer that says "failed". */
async function complete(door: HttpDoor, id: number, answer: string): Promise<void> {
  try {
    await door.inventory.noteAuditAnswer(id, answer);
  } catch (error) {
    door.log.warn({ err: error, audit: id, answer }, 'the audit trail could not be completed');
  }
}

/** A bot that speaks for a person names them; both stand in the trail and in the incident. */
export function onBehalf({ caller, body }: Pick<AnyAsked, 'caller' | 'body'>): string {
  const person = (body as { onBehalfOf?: unknown } | undefined)?.onBehalfOf;
  return typeof person === 'string' ? `${person} (by ${caller.name})` : caller.name;
}
