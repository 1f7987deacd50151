import { and, asc, eq, inArray, ne, notExists, or, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { Capacity } from '../../domain/fleet';
import type { Reservation } from '../../domain/records';
import type { Connections, Db } from './connection';
import { lockHost } from './host-rows';
import { prepared } from './prepared';
import { reservations, vms } from './schema';

export const reservationRows = (
  connections: Connections,
): Pick<InventoryPort, 'reserve' | 'releaseReservation' | 'reservations'> => ({
  reserve: (wanted, capacity) =>
    connections.transact((db) => reserve(db, wanted, capacity), { vm: wanted.vmId, host: wanted.hostId }),

  async releaseReservation(vmId, incidentId) {
    await connections.run((db) => release(db).execute({ vmId, incidentId }));
  },

  reservations: (of) =>
    connections.run((db) =>
      of === undefined ? allReservations(db).execute() : reservationOf(db).execute({ vmId: of }),
    ),
});

/** Under the host's lock, so that of two that ask for the last room one gets it. */
async function reserve(db: Db, wanted: Reservation, capacity: Capacity): Promise<'reserved' | 'no-room'> {
  const { vmId, hostId, incidentId, memoryMiB, vcpus } = wanted;
  const row = { vmId, hostId, incidentId, memoryMiB, vcpus };
  await lockHost(db, hostId);
  const [room] = await roomOn(db).execute(row);
  if (room?.same === true) return 'reserved';
  const used = room ?? { memoryMiB: 0, vcpus: 0 };
  if (used.memoryMiB + memoryMiB > capacity.memoryMiB || used.vcpus + vcpus > capacity.vcpus)
    return 'no-room';
  await keep(db).execute(row);
  return 'reserved';
}

/** What VMs other than this one use of the host, each counted once, and whether this one has exactly the reservation wanted. */
const roomOn = prepared((db) => {
  const vmId = sql.placeholder('vmId');
  const hostId = sql.placeholder('hostId');
  const runsHere = and(
    eq(vms.hostId, hostId),
    or(eq(vms.desired, 'running'), inArray(vms.observedState, ['running', 'paused', 'in-transition'])),
  );
  const running = db
    .select({ memory: vms.memoryMiB, vcpus: vms.vcpus })
    .from(vms)
    .where(and(runsHere, ne(vms.vmId, vmId)));
  const kept = db
    .select({ memory: reservations.memoryMiB, vcpus: reservations.vcpus })
    .from(reservations)
    .where(
      and(
        eq(reservations.hostId, hostId),
        ne(reservations.vmId, vmId),
        notExists(
          db
            .select({ one: sql`1` })
            .from(vms)
            .where(and(runsHere, eq(vms.vmId, reservations.vmId))),
        ),
      ),
    );
  const taken = running.unionAll(kept).as('taken');
  const same = db
    .select({ one: sql`1` })
    .from(reservations)
    .where(
      and(
        eq(reservations.vmId, vmId),
        eq(reservations.hostId, hostId),
        eq(reservations.incidentId, sql.placeholder('incidentId')),
        eq(reservations.memoryMiB, sql.placeholder('memoryMiB')),
        eq(reservations.vcpus, sql.placeholder('vcpus')),
      ),
    );
  return db
    .select({
      memoryMiB: sql<number>`coalesce(sum(${taken.memory}), 0)::float8`,
      vcpus: sql<number>`coalesce(sum(${taken.vcpus}), 0)::float8`,
      same: sql<boolean>`exists ${same}`,
    })
    .from(taken)
    .prepare('room_on');
});

/** The VM's workflow ID has one holder, so a reservation of another incident is left over from one that is gone: it is taken over. */
const keep = prepared((db) =>
  db
    .insert(reservations)
    .values({
      vmId: sql.placeholder('vmId'),
      hostId: sql.placeholder('hostId'),
      incidentId: sql.placeholder('incidentId'),
      memoryMiB: sql.placeholder('memoryMiB'),
      vcpus: sql.placeholder('vcpus'),
    })
    .onConflictDoUpdate({
      target: reservations.vmId,
      set: {
        hostId: sql`excluded.host_id`,
        incidentId: sql`excluded.incident_id`,
        memoryMiB: sql`excluded.memory_mib`,
        vcpus: sql`excluded.vcpus`,
      },
    })
    .prepare('keep'),
);

const release = prepared((db) =>
  db
    .delete(reservations)
    .where(
      and(
        eq(reservations.vmId, sql.placeholder('vmId')),
        eq(reservations.incidentId, sql.placeholder('incidentId')),
      ),
    )
    .prepare('release'),
);

const reservationOf = prepared((db) =>
  db
    .select()
    .from(reservations)
    .where(eq(reservations.vmId, sql.placeholder('vmId')))
    .prepare('reservation_of'),
);

const allReservations = prepared((db) =>
  db.select().from(reservations).orderBy(asc(reservations.vmId)).prepare('all_reservations'),
);
