/**
 * Versions of the workers, as Temporal keeps them (worker deployments). A run stays on the version that it began on; new runs begin on the one that
 * is current. The endless watches alone follow the current one.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isGrpcServiceError } from '@temporalio/client';
import { Refusal } from './errors';
import type { TemporalSession } from './temporal';

export const defaultDeployment = 'vmedic';

/** Which code a worker runs. */
export interface WorkerVersion {
  readonly deploymentName: string;
  /** The package's version. */
  readonly buildId: string;
}

/**
 * `draining`: runs that began on it are still open, so its workers are needed. `drained`: they may be ended. `waiting`: its workers run, and it was
 * never made current.
 */
export type VersionState = 'current' | 'draining' | 'drained' | 'waiting';

export interface KnownVersion {
  readonly buildId: string;
  readonly state: VersionState;
}

type Session = Pick<TemporalSession, 'client' | 'settings'>;

/** Of WorkerDeploymentVersionStatus and of gRPC, whose enums the packages keep to themselves. */
const states: Readonly<Record<number, VersionState>> = { 4: 'draining', 5: 'drained' };
const notFound = 5;
const preconditionFailed = 9;
/** A worker is known to the server moments after its first poll. */
const knownMs = 30_000;

/** Every version that the server knows of; none before the first worker with a version has polled. */
export async function workerVersions(
  { client, settings }: Session,
  deploymentName: string = defaultDeployment,
): Promise<KnownVersion[]> {
  try {
    const { workerDeploymentInfo: info } = await client.workflowService.describeWorkerDeployment({
      ...{ namespace: settings.namespace, deploymentName },
    });
    const current = info?.routingConfig?.currentDeploymentVersion?.buildId;
    return (info?.versionSummaries ?? []).map((summary) => {
      const buildId = summary.deploymentVersion?.buildId ?? '';
      return { buildId, state: buildId === current ? 'current' : (states[summary.status ?? 0] ?? 'waiting') };
    });
  } catch (error) {
    if (isGrpcServiceError(error) && (error.code as number) === notFound) return [];
    throw error;
  }
}

/**
 * From now on new runs begin on this version, and the watches move to it; runs that are open stay where they are. Read back; idempotent.
 *
 * @throws Refusal `VERSION_WITHOUT_WORKERS` when no worker of this version has polled: what begins on it would stand still.
 */
export async function makeCurrent(
  session: Session,
  { deploymentName, buildId }: WorkerVersion,
  waitMs: number = knownMs,
): Promise<'made current' | 'current already'> {
  const { client, settings } = session;
  const stateOf = async () =>
    (await workerVersions(session, deploymentName)).find((v) => v.buildId === buildId)?.state;
  if ((await stateOf()) === 'current') return 'current already';
  for (const deadline = Date.now() + waitMs; ; await delay(200)) {
    const known = (await stateOf()) !== undefined;
    if (known && (await ask(client, { namespace: settings.namespace, deploymentName, buildId }))) break;
    if (Date.now() > deadline)
      throw new Refusal(
        'refused',
        'VERSION_WITHOUT_WORKERS',
        `No worker of version ${buildId} takes work, so what begins on it would stand still`,
        `start workers of version ${buildId} beside the others, then: vmedic setup`,
      );
  }
  for (const deadline = Date.now() + waitMs; (await stateOf()) !== 'current'; await delay(200))
    if (Date.now() > deadline)
      throw new Refusal(
        'refused',
        'VERSION_NOT_READ_BACK',
        `Version ${buildId} was made current, and the server does not say so`,
        'vmedic setup again; see the log of the Temporal server',
      );
  return 'made current';
}

/** False while the server does not know all of the version's queues yet. */
async function ask(
  client: Session['client'],
  { namespace, deploymentName, buildId }: WorkerVersion & { readonly namespace: string },
): Promise<boolean> {
  try {
    await client.workflowService.setWorkerDeploymentCurrentVersion({
      ...{ namespace, deploymentName, buildId, identity: 'vmedic' },
    });
    return true;
  } catch (error) {
    if (isGrpcServiceError(error) && [notFound, preconditionFailed].includes(error.code)) return false;
    throw error;
  }
}

/** The first version of all becomes current by itself: there is nothing that it could take work from. */
export async function makeFirstCurrent(session: Session, version: WorkerVersion): Promise<boolean> {
  const known = await workerVersions(session, version.deploymentName);
  if (known.some((v) => v.buildId !== version.buildId || v.state === 'current')) return false;
  await makeCurrent(session, version);
  return true;
}
