import { and, asc, eq, inArray, ne, notExists, or, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { Capacity } from '../../domain/fleet';
import type { Reservation } from '../../domain/records';
import type { Connections, Db } from './connection';
import { unknownHost } from './host-rows';
import { hosts, reservations, vms } from './schema';

export const reservationRows = (
  connections: Connections,
): Pick<InventoryPort, 'reserve' | 'releaseReservation' | 'reservations'> => ({
  reserve: (wanted, capacity) =>
    connections.transact((db) => reserve(db, wanted, capacity), { vm: wanted.vmId, host: wanted.hostId }),

  async releaseReservation(vm, incident) {
    await connections.run((db) =>
      db.delete(reservations).where(and(eq(reservations.vmId, vm), eq(reservations.incidentId, incident))),
    );
  },

  reservations: () => connections.run((db) => db.select().from(reservations).orderBy(asc(reservations.vmId))),
});

async function reserve(db: Db, wanted: Reservation, capacity: Capacity): Promise<'reserved' | 'no-room'> {
  // The lock makes "read what is free, then take it" one act per host. It does not hinder the host's foreign keys.
  const [host] = await db
    .select({ id: hosts.hostId })
    .from(hosts)
    .where(eq(hosts.hostId, wanted.hostId))
    .for('no key update');
  if (host === undefined) throw await unknownHost(db, wanted.hostId);
  const { mine, used } = await readRoom(db, wanted);
  if (mine !== undefined && isSame(mine, wanted)) return 'reserved';
  const fits =
    used.memoryMiB + wanted.memoryMiB <= capacity.memoryMiB && used.vcpus + wanted.vcpus <= capacity.vcpus;
  if (!fits) return 'no-room';
  const { vmId, hostId, incidentId, memoryMiB, vcpus } = wanted;
  const row = { vmId, hostId, incidentId, memoryMiB, vcpus };
  // The VM's workflow ID has one holder, so a reservation of another incident is left over from one that is gone: it is taken over.
  await db.insert(reservations).values(row).onConflictDoUpdate({ target: reservations.vmId, set: row });
  return 'reserved';
}

const isSame = (a: Reservation, b: Reservation): boolean =>
  a.hostId === b.hostId &&
  a.incidentId === b.incidentId &&
  a.memoryMiB === b.memoryMiB &&
  a.vcpus === b.vcpus;

/** This VM's own reservation, and what all other VMs use of the host: a VM that is recorded there is counted once. */
async function readRoom(
  db: Db,
  wanted: Reservation,
): Promise<{ mine: Reservation | undefined; used: Capacity }> {
  const runsHere = and(
    eq(vms.hostId, wanted.hostId),
    or(eq(vms.desired, 'running'), inArray(vms.observedState, ['running', 'paused', 'in-transition'])),
  );
  const running = db
    .select({ memory: vms.memoryMiB, vcpus: vms.vcpus })
    .from(vms)
    .where(and(runsHere, ne(vms.vmId, wanted.vmId)));
  const kept = db
    .select({ memory: reservations.memoryMiB, vcpus: reservations.vcpus })
    .from(reservations)
    .where(
      and(
        eq(reservations.hostId, wanted.hostId),
        ne(reservations.vmId, wanted.vmId),
        notExists(
          db
            .select({ one: sql`1` })
            .from(vms)
            .where(and(runsHere, eq(vms.vmId, reservations.vmId))),
        ),
      ),
    );
  const taken = running.unionAll(kept).as('taken');
  const [used] = await db
    .select({
      memoryMiB: sql<number>`coalesce(sum(${taken.memory}), 0)::int`,
      vcpus: sql<number>`coalesce(sum(${taken.vcpus}), 0)::int`,
    })
    .from(taken);
  const [mine] = await db.select().from(reservations).where(eq(reservations.vmId, wanted.vmId));
  return { mine, used: used ?? { memoryMiB: 0, vcpus: 0 } };
}
