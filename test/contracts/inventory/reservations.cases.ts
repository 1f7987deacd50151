import { hostId, incidentId } from '../../../domain/ids';
import {
  at,
  db,
  declareHosts,
  faultCode,
  hvA,
  hvB,
  incident,
  type InventoryCase,
  manyVms,
  reservation,
  seen,
  smallFleet,
  web,
} from './samples';

const room = (vms: number, vcpus = 64) => ({ memoryMiB: 512 * vms, vcpus });

export const reservationCases: readonly InventoryCase[] = [
  {
    name: 'of twenty that ask at once for the room of ten exactly ten get it',
    async run({ inventory, other }) {
      await declareHosts(inventory);
      const ids = manyVms(20);
      await inventory.recordDiscovery(
        hvA,
        at(0),
        ids.map((id) => seen(id)),
      );
      const answers = await Promise.all(
        ids.map((id, i) => (i % 2 === 0 ? inventory : other).reserve(reservation(id), room(10))),
      );
      expect(answers.filter((a) => a === 'reserved')).toHaveLength(10);
      expect(await inventory.reservations()).toHaveLength(10);
    },
  },
  {
    name: 'the same reservation again is reserved, also on a host that is full by now',
    async run({ inventory }) {
      await smallFleet(inventory);
      expect(await inventory.reserve(reservation(web), room(1))).toBe('reserved');
      expect(await inventory.reserve(reservation(web), room(1))).toBe('reserved');
      expect(await inventory.reserve(reservation(web), room(0))).toBe('reserved');
      expect(await inventory.reserve(reservation(db), room(1))).toBe('no-room');
      expect(await inventory.reservations()).toEqual([reservation(web)]);
    },
  },
  {
    name: 'what the record puts on a host takes room, whether it is to run or still runs there; the VM itself does not',
    async run({ inventory }) {
      await smallFleet(inventory);
      const onA = { hostId: hvA };
      expect(await inventory.reserve(reservation(web, onA), room(1))).toBe('no-room');
      await inventory.updateVm(db, 1, { desired: 'stopped' });
      expect(await inventory.reserve(reservation(web, onA), room(1))).toBe('no-room');
      await inventory.updateVm(db, 2, { observed: { state: 'shut-off', reason: 'shutdown', at: at(3) } });
      expect(await inventory.reserve(reservation(web, onA), room(1))).toBe('reserved');
    },
  },
  {
    name: 'a VM that is recorded on the host already counts once while its reservation is still there',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.reserve(reservation(web), room(2));
      await inventory.updateVm(web, 1, { hostId: hvB });
      expect(await inventory.reserve(reservation(db), room(2))).toBe('reserved');
      expect(await inventory.reserve(reservation(db, { memoryMiB: 513 }), room(2))).toBe('no-room');
    },
  },
  {
    name: 'vCPUs are room as well',
    async run({ inventory }) {
      await smallFleet(inventory);
      expect(await inventory.reserve(reservation(web, { vcpus: 3 }), room(9, 4))).toBe('reserved');
      expect(await inventory.reserve(reservation(db, { vcpus: 2 }), room(9, 4))).toBe('no-room');
    },
  },
  {
    name: 'a reservation moves to another target, or stays where it is when there is no room',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.updateVm(db, 1, { hostId: hvB });
      await inventory.reserve(reservation(web, { hostId: hvA }), room(1));
      expect(await inventory.reserve(reservation(web), room(1))).toBe('no-room');
      expect(await inventory.reservations()).toEqual([reservation(web, { hostId: hvA })]);
      expect(await inventory.reserve(reservation(web), room(2))).toBe('reserved');
      expect(await inventory.reservations()).toEqual([reservation(web)]);
    },
  },
  {
    name: 'a later incident takes over what an earlier one left, and the earlier one cannot release it then',
    async run({ inventory }) {
      await smallFleet(inventory);
      const later = incidentId({ kind: 'host', hostId: hvA }, 2);
      await inventory.reserve(reservation(web), room(1));
      await inventory.reserve(reservation(web, { incidentId: later }), room(1));
      await inventory.releaseReservation(web, incident);
      expect(await inventory.reservations(web)).toEqual([reservation(web, { incidentId: later })]);
      expect(await inventory.reservations()).toEqual([reservation(web, { incidentId: later })]);
      await inventory.releaseReservation(web, later);
      await inventory.releaseReservation(web, later);
      expect(await inventory.reservations()).toEqual([]);
    },
  },
  {
    name: 'hosts and VMs that nobody knows are named as such',
    async run({ inventory }) {
      await declareHosts(inventory);
      expect(await faultCode(inventory.reserve(reservation(web), room(1)))).toBe('UNKNOWN_VM');
      const nowhere = reservation(web, { hostId: hostId('hv-z') });
      expect(await faultCode(inventory.reserve(nowhere, room(1)))).toBe('UNKNOWN_HOST');
    },
  },
];
