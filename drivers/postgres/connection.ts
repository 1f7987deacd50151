/**
 * Theory of operation. The only file that opens connections. Every call ends: a connection that cannot be had, a statement that the server
 * does not finish and a server that does not answer each have a deadline, and each becomes `INVENTORY_UNREACHABLE`.
 *
 * INVARIANTS:
 * - A connection whose state is not known (no answer, broken in a transaction) is destroyed, never handed to the next caller.
 * - A commit that was not answered may have happened; its fault is transient nevertheless, because every write here may be repeated.
 * - What is no fault of the inventory's reachability (a wrong statement, a violated check) is thrown on as it is: a defect of ours.
 */
import { types } from 'node:util';
import { DrizzleQueryError } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { DatabaseError, Pool, type PoolClient } from 'pg';
import { DriverFault } from '../../domain/faults';

export type Db = NodePgDatabase;

/** What a statement is about, so that a missing row can be named. */
export interface About {
  readonly host?: string;
  readonly vm?: string;
  readonly incident?: string;
}

export interface Deadlines {
  /** Until a connection is ready, waiting for a free one of the pool included. */
  readonly connectMs: number;
  /** The server ends a statement that takes longer. */
  readonly statementMs: number;
  /** Waiting for a row that somebody else has locked. */
  readonly lockMs: number;
  /** A server that answers nothing at all, not even that it gave up: above `statementMs`, or the server's own word is never heard. */
  readonly answerMs: number;
}

export const defaultDeadlines: Deadlines = {
  connectMs: 5_000,
  statementMs: 8_000,
  lockMs: 5_000,
  answerMs: 10_000,
};

export interface Connections {
  /** One statement, or several that need not see the same state. */
  run<T>(work: (db: Db) => Promise<T>, about?: About): Promise<T>;
  /** All or nothing. `work` may be run by the caller again after any fault. */
  transact<T>(work: (db: Db) => Promise<T>, about?: About): Promise<T>;
  close(): Promise<void>;
}

export function connect(url: string, poolMax: number, deadlines: Deadlines = defaultDeadlines): Connections {
  const pool = new Pool({
    connectionString: url,
    max: poolMax,
    application_name: 'vmedic',
    keepAlive: true,
    connectionTimeoutMillis: deadlines.connectMs,
    statement_timeout: deadlines.statementMs,
    lock_timeout: deadlines.lockMs,
    query_timeout: deadlines.answerMs,
    idle_in_transaction_session_timeout: deadlines.answerMs,
    idleTimeoutMillis: 30_000,
  });
  // An idle connection that breaks is dropped by the pool; the next call opens another and reports if it cannot.
  pool.on('error', () => undefined);
  // One that breaks while it is in use tells its caller by the statement under way; unheard, the event would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const pooled = drizzle(pool);
  return {
    async run(work, about) {
      try {
        return await work(pooled);
      } catch (error) {
        throw asFault(error, about);
      }
    },
    async transact(work, about) {
      try {
        return await inTransaction(await pool.connect(), work);
      } catch (error) {
        throw asFault(error, about);
      }
    },
    close: () => pool.end(),
  };
}

/** One per connection for as long as it lives: what is prepared on it stays prepared. */
const perClient = new WeakMap<PoolClient, Db>();

function dbOf(client: PoolClient): Db {
  const known = perClient.get(client) ?? drizzle(client);
  perClient.set(client, known);
  return known;
}

async function inTransaction<T>(client: PoolClient, work: (db: Db) => Promise<T>): Promise<T> {
  let result: T;
  try {
    await client.query('begin');
    result = await work(dbOf(client));
    await client.query('commit');
  } catch (error) {
    await endTransaction(client, error);
    throw error;
  }
  client.release();
  return result;
}

/** Gives the connection back clean, or not at all. */
async function endTransaction(client: PoolClient, error: unknown): Promise<void> {
  const cause = driverError(error);
  const usable = cause instanceof DriverFault || (cause instanceof DatabaseError && cause.code !== stalePlan);
  if (!usable) {
    client.release(true);
    return;
  }
  try {
    await client.query('rollback');
    client.release();
  } catch {
    // What went wrong first is what the caller hears; the server rolls back what a closed connection leaves.
    client.release(true);
  }
}

/** Drizzle's own error carries statement and parameters, definitions with passwords among them: only what is beneath it goes on. */
const driverError = (error: unknown): unknown =>
  error instanceof DrizzleQueryError && error.cause !== undefined ? error.cause : error;

/** A statement prepared before a migration changed its tables; a new connection prepares it anew. */
const stalePlan = '0A000';
/** SQLSTATE classes and codes that say "not now" and not "wrong": https://www.postgresql.org/docs/current/errcodes-appendix.html */
const unreachableClasses = ['08', '28', '53', '58'];
const unreachableCodes: Readonly<Record<string, string>> = {
  '57014': 'a statement took too long and was ended',
  '57P01': 'the server is shutting down',
  '57P02': 'the server crashed and is recovering',
  '57P03': 'the server is starting up',
  '57P05': 'the server closed an idle connection',
  '25P03': 'a transaction stood still too long and was ended',
  '55P03': 'a row stayed locked by another transaction',
  [stalePlan]: 'its tables were changed by a migration just now',
  '3D000': 'the database does not exist; vmedic setup makes it ready',
  '42P01': 'its tables are missing; run vmedic setup',
  '42703': 'its tables are those of another version; run vmedic setup',
};
/** Serialization failure, deadlock, and a unique row that somebody else made first. */
const raceCodes = ['40001', '40P01', '23505'];

export function asFault(error: unknown, about: About = {}): unknown {
  const cause = driverError(error);
  if (cause instanceof DriverFault) return cause;
  if (cause instanceof DatabaseError) return databaseFault(cause, about);
  if (isConnectionError(cause))
    return new DriverFault('INVENTORY_UNREACHABLE', { detail: sentenceOf(cause) }, { cause });
  return cause;
}

function databaseFault(cause: DatabaseError, about: About): unknown {
  const code = cause.code ?? '';
  const known = unreachableCodes[code];
  if (known !== undefined || unreachableClasses.includes(code.slice(0, 2)))
    return new DriverFault('INVENTORY_UNREACHABLE', { detail: known ?? cause.message }, { cause });
  if (raceCodes.includes(code))
    return new DriverFault('RECORD_CHANGED', { what: subjectOf(about) }, { cause });
  if (code === '23503') return missingRow(cause, about);
  return cause;
}

/** A foreign key found nothing: its name says in which table. */
function missingRow(cause: DatabaseError, about: About): unknown {
  const key = cause.constraint ?? '';
  if (key.includes('_hosts_') && about.host !== undefined)
    return new DriverFault('UNKNOWN_HOST', { host: about.host, known: 'see vmedic host list' }, { cause });
  if (key.includes('_vms_') && about.vm !== undefined)
    return new DriverFault('UNKNOWN_VM', { vm: about.vm }, { cause });
  return cause;
}

const subjectOf = (about: About): string =>
  [about.incident, about.vm, about.host].find((s) => s !== undefined) ?? 'a row';

/** Sentences of the pg package, which gives these errors no code. */
const connectionSentences =
  /timeout|terminated|not queryable|connection error|Connection ended|socket|secure TLS/i;

const isConnectionError = (error: unknown): error is Error =>
  types.isNativeError(error) &&
  ('syscall' in error || 'errors' in error || connectionSentences.test(error.message));

/** Several addresses tried, several failures: the first one stands for all. */
function sentenceOf(error: Error): string {
  const first: unknown = 'errors' in error && Array.isArray(error.errors) ? error.errors[0] : undefined;
  if (types.isNativeError(first)) return sentenceOf(first);
  return error.message === 'Query read timeout' ? 'it gave no answer in time' : error.message;
}
