import { type KnownVersion, makeCurrent, type WorkerVersion, workerVersions } from '../client/deployments';
import { ensureNamespace, type NamespaceMade } from '../client/namespace';
import { connectTemporal, type TemporalSettings } from '../client/temporal';
import { migrateInventory } from '../drivers/postgres';

export interface SetUp extends NamespaceMade {
  /** Of the workers, where runs are kept on theirs; undefined where they are not. */
  readonly versions?: readonly KnownVersion[];
}

/**
 * Makes a Temporal namespace and an inventory ready for this version. Idempotent; several at once do no harm.
 *
 * @param version Of this build, to become current where an older one is.
 * @throws Refusal `VERSION_WITHOUT_WORKERS` when none of its workers takes work yet.
 */
export async function setUp(
  temporal: TemporalSettings,
  inventoryUrl: string,
  progress: (line: string) => void,
  version?: WorkerVersion,
): Promise<SetUp> {
  progress('the inventory: bringing its tables to this version');
  await migrateInventory(inventoryUrl);
  progress(`Temporal on ${temporal.address}: namespace ${temporal.namespace} and its search attributes`);
  const made = await ensureNamespace(temporal);
  return version === undefined ? made : { ...made, versions: await settle(temporal, version, progress) };
}

async function settle(
  temporal: TemporalSettings,
  version: WorkerVersion,
  progress: (line: string) => void,
): Promise<KnownVersion[]> {
  const session = await connectTemporal(temporal);
  try {
    const known = await workerVersions(session, version.deploymentName);
    // Before the first worker there is nothing to choose from; it becomes current by itself.
    if (known.length === 0) return known;
    progress(`workers: version ${version.buildId} is to be current`);
    await makeCurrent(session, version);
    return await workerVersions(session, version.deploymentName);
  } finally {
    await session.close();
  }
}
