/** The inventory on PostgreSQL, embedded or any other by URL. Each group of tables has a file of its own. */
import { sql } from 'drizzle-orm';
import type { DeliveriesPort, FrontDoorPort, InventoryPort } from '../../activities/ports';
import { alertRows } from './alert-rows';
import { connect, defaultDeadlines, type Deadlines } from './connection';
import { deliveryRows } from './delivery-rows';
import { discovery } from './discovery';
import { evidenceRows } from './evidence-rows';
import { fenceDeviceRows } from './fence-device-rows';
import { frontDoorRows } from './front-door-rows';
import { hostRows } from './host-rows';
import { incidentRows } from './incident-rows';
import { readinessRows } from './readiness-rows';
import { reservationRows } from './reservation-rows';
import { supervisionRows } from './supervision-rows';
import { timelineRows } from './timeline-rows';
import { vmRows } from './vm-rows';

export interface OpenInventory extends InventoryPort, FrontDoorPort, DeliveriesPort {
  /** Waits for what is under way, then closes every connection. Once. */
  close(): Promise<void>;
  /** Answers when the server answers a query; throws `INVENTORY_UNREACHABLE` otherwise, within the deadlines. */
  ping(): Promise<void>;
}

export interface InventoryOptions {
  /** `postgres://user:password@host/database`; `?host=/folder` in it names a Unix socket's folder. */
  readonly url: string;
  /** Connections of this process at most. */
  readonly poolMax?: number;
  readonly deadlines?: Partial<Deadlines>;
}

/** Enough for a window of 30 restarts whose statements take a millisecond; a small server takes 100 connections in all. */
const defaultPoolMax = 10;

/** Connects lazily: opening succeeds even while the server is away, and each call reports for itself. */
export function openInventory({
  url,
  poolMax = defaultPoolMax,
  deadlines = {},
}: InventoryOptions): OpenInventory {
  const connections = connect(url, poolMax, { ...defaultDeadlines, ...deadlines });
  return {
    ...hostRows(connections),
    ...vmRows(connections),
    ...discovery(connections),
    ...reservationRows(connections),
    ...incidentRows(connections),
    ...timelineRows(connections),
    ...evidenceRows(connections),
    ...fenceDeviceRows(connections),
    ...alertRows(connections),
    ...frontDoorRows(connections),
    ...deliveryRows(connections),
    ...readinessRows(connections),
    ...supervisionRows(connections),
    close: () => connections.close(),
    async ping() {
      await connections.run((db) => db.execute(sql`select 1`));
    },
  };
}
