import { ensureNamespace, type NamespaceMade } from '../client/namespace';
import type { TemporalSettings } from '../client/temporal';
import { migrateInventory } from '../drivers/postgres';

/** Makes a Temporal namespace and an inventory ready for this version. Idempotent; several at once do no harm. */
export async function setUp(
  temporal: TemporalSettings,
  inventoryUrl: string,
  progress: (line: string) => void,
): Promise<NamespaceMade> {
  progress('the inventory: bringing its tables to this version');
  await migrateInventory(inventoryUrl);
  progress(`Temporal on ${temporal.address}: namespace ${temporal.namespace} and its search attributes`);
  return ensureNamespace(temporal);
}
