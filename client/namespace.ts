/** What VMedic needs of a Temporal namespace: that it is there, and knows the search attributes that every start carries. */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, isGrpcServiceError } from '@temporalio/client';
import { searchAttributeNames } from '../workflows/inputs';
import { Refusal, temporalUnreachable } from './errors';
import { connectionOptions, type TemporalSettings } from './temporal';

export interface NamespaceMade {
  readonly namespace: 'made' | 'there already';
  /** Those that were not there. */
  readonly searchAttributes: readonly string[];
}

/** Closed runs are kept so long: a late duplicate is known by the run that it repeats. */
const retentionDays = 30;
/** INDEXED_VALUE_TYPE_KEYWORD and two gRPC codes, whose enums the packages keep to themselves. */
const keyword = 2;
const alreadyExists = 6;
const notFound = 5;
/** The server's own caches hear of a new namespace after 10 s. */
const heardMs = 30_000;

/** Idempotent; what was made is read back. @throws Refusal when the server does not answer or does not allow it. */
export async function ensureNamespace(settings: TemporalSettings): Promise<NamespaceMade> {
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...connectionOptions(settings), connectTimeout: 3_000 });
  } catch (cause) {
    throw temporalUnreachable(settings.address, cause);
  }
  try {
    const namespace = await register(connection, settings.namespace);
    return { namespace, searchAttributes: await addAttributes(connection, settings.namespace) };
  } catch (error) {
    if (!isGrpcServiceError(error)) throw error;
    throw new Refusal(
      'refused',
      'SETUP_REFUSED',
      `Temporal on ${settings.address} refused: ${error.details}`,
      'ask whoever runs it for a namespace with the Keyword search attributes VmId, HostId, IncidentId and RecoveryPhase',
      { cause: error },
    );
  } finally {
    await connection.close();
  }
}

async function register(connection: Connection, namespace: string): Promise<NamespaceMade['namespace']> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
    return 'there already';
  } catch (error) {
    if (!isGrpcServiceError(error) || (error.code as number) !== notFound) throw error;
  }
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: (retentionDays * 86_400) as never, nanos: 0 },
    });
  } catch (error) {
    if (!isGrpcServiceError(error) || (error.code as number) !== alreadyExists) throw error;
  }
  return 'made';
}

async function addAttributes(connection: Connection, namespace: string): Promise<string[]> {
  const wanted = Object.values(searchAttributeNames);
  const missing = await missingOf(connection, namespace, wanted);
  if (missing.length === 0) return [];
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
    });
  } catch (error) {
    // Somebody else sets up at the same time: what counts is what is read back.
    if (!isGrpcServiceError(error) || (error.code as number) !== alreadyExists) throw error;
  }
  for (const deadline = Date.now() + heardMs; ; await delay(200)) {
    const left = await missingOf(connection, namespace, wanted);
    if (left.length === 0) return missing;
    if (Date.now() > deadline)
      throw new Refusal(
        'refused',
        'SETUP_NOT_READ_BACK',
        `The search attributes ${left.join(', ')} were made, and are not there after ${heardMs / 1000} s`,
        'vmedic setup again; see the log of the Temporal server',
      );
  }
}

async function missingOf(
  connection: Connection,
  namespace: string,
  wanted: readonly string[],
): Promise<string[]> {
  for (const deadline = Date.now() + heardMs; ; await delay(200)) {
    try {
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
      return wanted.filter(
        (name) => (customAttributes as Record<string, unknown> | null)?.[name] === undefined,
      );
    } catch (error) {
      const unheard = isGrpcServiceError(error) && (error.code as number) === notFound;
      if (!unheard || Date.now() > deadline) throw error;
    }
  }
}
