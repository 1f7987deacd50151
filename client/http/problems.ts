/** Errors as RFC 9457 problem details: a stable code, one sentence, and the way out. What is inside of us stays there. */
import type { FastifyError } from 'fastify';
import { z } from 'zod';
import { DriverFault } from '../../domain/faults';
import { isUnanswered, Refusal } from '../errors';

export const problemSchema = z
  .object({
    type: z.string().meta({ description: 'urn:vmedic:problem: and the code.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().meta({ description: 'Stable, for programs; a fault code where there is one.' }),
    next: z.string().optional().meta({ description: 'The command that moves it on.' }),
    requestId: z.string(),
    errors: z
      .array(z.object({ in: z.string(), at: z.string(), sentence: z.string() }))
      .optional()
      .meta({ description: 'Every mistake of the request at once, each with its place.' }),
  })
  .meta({ description: 'RFC 9457 problem details.' });
export type ProblemDocument = z.infer<typeof problemSchema>;

export interface Mistake {
  readonly in: 'path' | 'query' | 'body' | 'header';
  readonly at: string;
  readonly sentence: string;
}

/** An answer that is a problem, thrown where it is found. */
export class Problem extends Error {
  override readonly name = 'Problem';
  constructor(
    readonly status: number,
    readonly code: string,
    sentence: string,
    readonly more: {
      readonly next?: string | undefined;
      readonly errors?: readonly Mistake[];
      readonly headers?: Readonly<Record<string, string>>;
      readonly cause?: unknown;
    } = {},
  ) {
    super(sentence, more.cause === undefined ? {} : { cause: more.cause });
  }
}

const titles: Readonly<Record<number, string>> = {
  400: 'The request is not understood',
  401: 'Who asks is not known',
  403: 'Not allowed',
  404: 'Not found',
  405: 'This cannot be done here',
  406: 'No such form of it',
  409: 'Not now',
  413: 'Too large',
  415: 'Not a form that is understood',
  422: 'The request contradicts an earlier one',
  429: 'Too many requests',
  500: 'A defect of VMedic',
  503: 'A part of VMedic does not answer',
};

/** When to ask again after a 503, in seconds. */
const askAgainSeconds = '5';

/** What any error is told as. Only a defect is not told about: it is logged. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Refusal) return ofRefusal(error);
  if (isUnanswered(error)) return unanswered(error);
  if (error instanceof DriverFault) {
    const { code, sentence, next } = error.fault;
    return new Problem(code.startsWith('UNKNOWN_') ? 404 : 409, code, sentence, { next, cause: error });
  }
  return ofFastify(error) ?? defect(error);
}

function ofRefusal(error: Refusal): Problem {
  const more = { next: error.next, cause: error };
  if (error.kind === 'unreachable')
    return new Problem(503, error.code, error.message, {
      ...more,
      headers: { 'retry-after': askAgainSeconds },
    });
  if (error.kind === 'refused') return new Problem(409, error.code, error.message, more);
  return new Problem(error.code.startsWith('UNKNOWN_') ? 404 : 400, error.code, error.message, more);
}

function unanswered(cause: unknown): Problem {
  const fault = cause instanceof DriverFault ? cause.fault : undefined;
  return new Problem(
    503,
    fault?.code ?? 'TEMPORAL_UNREACHABLE',
    fault?.sentence ??
      'Temporal did not answer in time; what was asked may still have been taken, and asking again does no harm',
    { next: fault?.next ?? 'vmedic status', cause, headers: { 'retry-after': askAgainSeconds } },
  );
}

/** What the web framework refuses before a route is reached: bodies too large, of another form, or broken. */
function ofFastify(error: unknown): Problem | undefined {
  const { code, statusCode, message } = error as Partial<FastifyError>;
  // The rate limit's error has a status alone.
  if (statusCode === 429) return new Problem(429, 'TOO_MANY_REQUESTS', message ?? '', { cause: error });
  if (code === undefined || statusCode === undefined || statusCode >= 500) return undefined;
  return new Problem(titles[statusCode] === undefined ? 400 : statusCode, code, message ?? '', {
    cause: error,
  });
}

const defect = (cause: unknown): Problem =>
  new Problem(500, 'DEFECT', 'VMedic met a fault of its own; its log has the rest under this request id', {
    cause,
  });

export const problemDocument = (problem: Problem, requestId: string): ProblemDocument => ({
  type: `urn:vmedic:problem:${problem.code}`,
  title: titles[problem.status] ?? 'Refused',
  status: problem.status,
  detail: problem.message,
  code: problem.code,
  ...(problem.more.next !== undefined && { next: problem.more.next }),
  requestId,
  ...(problem.more.errors !== undefined && { errors: [...problem.more.errors] }),
});
