/** Whose fleet this is, and the front door by which the watch asks. */
import { hostname } from 'node:os';
import { isGrpcServiceError } from '@temporalio/client';
import type { Supervision } from '../activities';
import { Refusal } from '../client/errors';
import type { TemporalSession } from '../client/temporal';
import { watchDoor } from '../client/watch-door';
import { limits } from '../domain/limits';
import type { FleetOwner } from '../domain/records';
import type { Composed } from './compose';

/**
 * Takes the fleet for this installation before any work is taken.
 *
 * @throws Refusal `FLEET_OWNED` when another installation has it and was heard of lately: two of them, each with locks of its own, would start
 * a VM twice.
 */
export async function supervise(
  setup: { readonly configPath: string; readonly taskQueue?: string },
  { ports, fleet }: Pick<Composed, 'ports' | 'fleet'>,
  session: TemporalSession,
): Promise<Supervision> {
  const owner = await ownerOf(session, setup.configPath);
  const { is, claim } = await ports.inventory.claimFleet(
    owner,
    new Date().toISOString(),
    limits.ownerSilentMsMax,
  );
  if (is === 'theirs')
    throw new Refusal(
      'refused',
      'FLEET_OWNED',
      `This fleet belongs to another VMedic since ${claim.claimedAt}: ${claim.owner.name}; it was heard of at ${claim.seenAt}`,
      `end that one first; ${limits.ownerSilentMsMax / 1000} s after it was last heard of, this one may take over`,
    );
  const { client, settings } = session;
  const recoveries = watchDoor({
    ...{ client, inventory: ports.inventory, fleet, address: settings.address },
    ...(setup.taskQueue !== undefined && { taskQueue: setup.taskQueue }),
  });
  return { recoveries, owner };
}

/** By the namespace's own id within its cluster: a namespace that was lost and made anew remembers nothing, so it is another. */
export async function ownerOf(
  { client, settings }: TemporalSession,
  configPath: string,
): Promise<FleetOwner> {
  const [cluster, namespace] = await Promise.all([
    clusterIdOf(client),
    client.workflowService.describeNamespace({ namespace: settings.namespace }),
  ]);
  const id = `${cluster}/${namespace.namespaceInfo?.id ?? settings.namespace}`;
  const where = `Temporal ${settings.address}, namespace ${settings.namespace}`;
  return { id, name: `${hostname()}, ${where}, config ${configPath}` };
}

const notForUs: readonly number[] = [7 /* PERMISSION_DENIED */, 12 /* UNIMPLEMENTED */];

/** Empty where the server keeps it to itself, as a hosted one does: its namespaces' ids are unique by themselves. */
async function clusterIdOf({ workflowService }: TemporalSession['client']): Promise<string> {
  try {
    return (await workflowService.getClusterInfo({})).clusterId;
  } catch (error) {
    if (isGrpcServiceError(error) && notForUs.includes(error.code)) return '';
    throw error;
  }
}
