/** What a person has seen needs nobody's page again: alerts of an incident, or one alert by its key. */
import type { DeliveriesPort, InventoryPort } from '../activities/ports';
import { Refusal } from './errors';

type Rows = Pick<InventoryPort, 'alerts'> & Pick<DeliveriesPort, 'acknowledgeAlerts'>;

/**
 * Idempotent: 0 when it was acknowledged before.
 *
 * @throws Refusal `UNKNOWN_ALERT` when no alert of this key is open.
 */
export async function acknowledgeAlert(rows: Rows, key: string, by: string): Promise<number> {
  const open = await rows.alerts({ open: true });
  if (!open.some((a) => a.key === key))
    throw new Refusal('usage', 'UNKNOWN_ALERT', `No alert ${key} is open`, 'vmedic alert list');
  return rows.acknowledgeAlerts({ key }, by, new Date().toISOString());
}
