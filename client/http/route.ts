/** What a route is: one declaration that validates what is asked, describes it in OpenAPI and says who may ask. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Role } from '../../domain/access';
import type { Caller, HttpDoor } from './door';

export interface Asked<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly caller: Caller;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** For routes that write their answer themselves, piece by piece. */
export const writtenAlready = Symbol('the answer is written already');

/** What a change leaves in the audit trail. */
export interface Change {
  readonly action: string;
  readonly target: string;
  readonly reason: string;
}

interface Shape<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: 'get' | 'post';
  /** As OpenAPI writes it: `/v1/hosts/{host}`. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** `nobody`: open to all; `sender`: the handler knows its caller by the message's own signature. */
  readonly needs: Role | 'nobody' | 'sender';
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** How the body is written: JSON when left out. */
  readonly bodyForm?: 'form';
  /** By status; problems are added to all that may have them. */
  readonly answers: Readonly<Record<number, { readonly says: string; readonly schema?: z.ZodType }>>;
  /** Media types of the first answer, where it is not JSON alone. */
  readonly forms?: readonly string[];
  /** Statuses of problems beyond those that every route of its kind may answer with. */
  readonly problems?: readonly number[];
  readonly headers?: readonly { readonly name: string; readonly says: string; readonly required?: boolean }[];
  readonly change?: (asked: Asked<z.output<P>, z.output<Q>, z.output<B>>) => Change;
  readonly handle: (
    asked: Asked<z.output<P>, z.output<Q>, z.output<B>>,
    door: HttpDoor,
  ) => Promise<Answer | typeof writtenAlready>;
}

/** A route with its types forgotten, as the server and the description see it. */
export type Route = Shape<z.ZodType, z.ZodType, z.ZodType>;

export const route = <P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  shape: Shape<P, Q, B>,
): Route => shape;
