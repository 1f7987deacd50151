import { hostId } from '../../../domain/ids';
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

const stale = '<domain><disk>an older one</disk></domain>';

export const discoveryCases: readonly InventoryCase[] = [
  {
    name: 'a new VM is to run when it was seen running, and is stored with its definition and where it was seen',
    async run({ inventory }) {
      await declareHosts(inventory);
      const found = await inventory.recordDiscovery(hvA, at(1), [
        seen(web, { seconds: 1, text: '<domain/>' }),
        seen(db, { state: 'shut-off', seconds: 1 }),
      ]);
      expect(found).toEqual({ added: [web, db], redefined: [] });
      const { desired: _, ...stored } = (await inventory.vm(web)) ?? { desired: undefined };
      expect(stored).toEqual({ ...seen(web, { seconds: 1 }).vm, definitionVersion: 1, epoch: 0, version: 1 });
      expect((await inventory.vms()).map((v) => v.desired)).toEqual(['running', 'stopped']);
      expect(await inventory.definition(web)).toEqual({
        vmId: web,
        version: 1,
        text: '<domain/>',
        readFrom: hvA,
        readAt: at(1),
      });
      expect(await inventory.sightings([web])).toEqual([{ vmId: web, hostId: hvA, seenAt: at(1) }]);
    },
  },
  {
    name: 'a fleet at rest writes nothing at all',
    async run({ inventory, behind }) {
      const ids = manyVms(100);
      await declareHosts(inventory);
      await inventory.recordDiscovery(
        hvA,
        at(0),
        ids.map((id) => seen(id)),
      );
      const rows = async () =>
        behind(
          'select ctid::text, xmin::text, xmax::text from vms union all select ctid::text, xmin::text, xmax::text from sightings union all select ctid::text, xmin::text, xmax::text from hosts order by 1, 2',
        );
      const before = { rows: await rows(), stored: await inventory.vms() };
      const again = await inventory.recordDiscovery(
        hvA,
        at(60),
        ids.map((id) => seen(id, { seconds: 60 })),
      );
      expect(again).toEqual({ added: [], redefined: [] });
      expect({ rows: await rows(), stored: await inventory.vms() }).toEqual(before);
      // The control: one VM that changed does show in the same measure.
      await inventory.recordDiscovery(
        hvA,
        at(61),
        ids.map((id, i) => seen(id, { seconds: 61, vcpus: i === 7 ? 2 : 1 })),
      );
      expect(await rows()).not.toEqual(before.rows);
      expect((await inventory.vms()).filter((v) => v.version === 2).map((v) => v.vmId)).toEqual([ids[7]]);
    },
  },
  {
    name: 'a VM that room is kept for on a host stays sighted there, whatever its list says, until the room is given back',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.reserve(reservation(web), { memoryMiB: 4096, vcpus: 4 });
      await inventory.recordSighting(web, hvB, at(1));
      await inventory.recordDiscovery(hvB, at(2), []);
      expect((await inventory.sightings([web])).map((s) => s.hostId)).toEqual([hvA, hvB]);
      await inventory.releaseReservation(web, incident);
      await inventory.recordDiscovery(hvB, at(3), []);
      expect((await inventory.sightings([web])).map((s) => s.hostId)).toEqual([hvA]);
    },
  },
  {
    name: 'a changed definition gets the next version, also when it returns to an earlier text; an unread one changes nothing',
    async run({ inventory }) {
      await smallFleet(inventory);
      const first = (await inventory.definition(web))?.text ?? '';
      const look = (text: string | undefined, seconds: number) =>
        inventory.recordDiscovery(hvA, at(seconds), [
          { ...seen(web, { seconds }), definitionText: text },
          seen(db),
        ]);
      expect(await look('<domain>two disks</domain>', 1)).toEqual({ added: [], redefined: [web] });
      expect(await look(undefined, 2)).toEqual({ added: [], redefined: [] });
      expect(await look(first, 3)).toEqual({ added: [], redefined: [web] });
      expect(await inventory.definition(web)).toMatchObject({ version: 3, text: first, readAt: at(3) });
      expect(await inventory.vm(web)).toMatchObject({ definitionVersion: 3, version: 3 });
    },
  },
  {
    name: 'what a person set, and where the record puts a VM, outlive every discovery',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.updateVm(web, 1, { desired: 'stopped', protected: false, epoch: 4 });
      await inventory.recordDiscovery(hvA, at(5), [seen(web, { seconds: 5, name: 'renamed' }), seen(db)]);
      expect(await inventory.vm(web)).toMatchObject({
        name: 'renamed',
        desired: 'stopped',
        protected: false,
        epoch: 4,
      });
    },
  },
  {
    name: 'a config that changes its mind on protecting a VM is obeyed',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.recordDiscovery(hvA, at(5), [seen(web, { protect: false }), seen(db)]);
      expect((await inventory.vm(web))?.protected).toBe(false);
      await inventory.recordDiscovery(hvA, at(6), [seen(web), seen(db)]);
      expect((await inventory.vm(web))?.protected).toBe(true);
    },
  },
  {
    name: 'a stale definition on another host is only sighted: neither record nor stored definition follow it',
    async run({ inventory }) {
      await smallFleet(inventory);
      const before = { record: await inventory.vm(web), definition: await inventory.definition(web) };
      const other = seen(web, { host: hvB, state: 'shut-off', seconds: 9, text: stale });
      await inventory.recordDiscovery(hvB, at(9), [other]);
      expect({ record: await inventory.vm(web), definition: await inventory.definition(web) }).toEqual(
        before,
      );
      expect((await inventory.sightings([web])).map((s) => s.hostId)).toEqual([hvA, hvB]);
    },
  },
  {
    name: 'an adopted VM is recorded where it was seen, with its state as what is wanted',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.updateVm(web, 1, { desired: 'stopped' });
      await inventory.recordDiscovery(hvB, at(9), [seen(web, { host: hvB, seconds: 9, text: stale })], [web]);
      expect(await inventory.vm(web)).toMatchObject({
        hostId: hvB,
        desired: 'running',
        definitionVersion: 2,
      });
      expect((await inventory.definition(web))?.text).toBe(stale);
    },
  },
  {
    name: 'an adopted VM that trouble has stopped is wanted; one that somebody has paused is wanted as much as it was',
    async run({ inventory }) {
      await smallFleet(inventory);
      const paused = (reason: string, seconds: number) => {
        const found = seen(web, { host: hvB, state: 'paused', seconds });
        return { ...found, vm: { ...found.vm, observed: { ...found.vm.observed, reason } } };
      };
      await inventory.recordDiscovery(hvB, at(9), [paused('user', 9)], [web]);
      expect(await inventory.vm(web)).toMatchObject({ hostId: hvB, desired: 'running' });
      const { version = 0 } = (await inventory.vm(web)) ?? {};
      await inventory.updateVm(web, version, { hostId: hvA, desired: 'stopped' });
      await inventory.recordDiscovery(hvB, at(10), [paused('user', 10)], [web]);
      expect(await inventory.vm(web)).toMatchObject({ desired: 'stopped' });
      const { version: next = 0 } = (await inventory.vm(web)) ?? {};
      await inventory.updateVm(web, next, { hostId: hvA });
      await inventory.recordDiscovery(hvB, at(11), [paused('io-error', 11)], [web]);
      expect(await inventory.vm(web)).toMatchObject({ hostId: hvB, desired: 'running' });
    },
  },
  {
    name: 'a list read before the record was written takes no VM over, whoever wants it adopted',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.updateVm(web, 1, { observed: { state: 'running', reason: 'started', at: at(9) } });
      await inventory.recordDiscovery(hvB, at(9), [seen(web, { host: hvB, seconds: 9, text: stale })], [web]);
      expect(await inventory.vm(web)).toMatchObject({ hostId: hvA, definitionVersion: 1 });
      await inventory.recordDiscovery(
        hvB,
        at(10),
        [seen(web, { host: hvB, seconds: 10, text: stale })],
        [web],
      );
      expect(await inventory.vm(web)).toMatchObject({ hostId: hvB, definitionVersion: 2 });
    },
  },
  {
    name: 'a VM that a host does not list any more is sighted there no longer, and other hosts keep their sightings',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.recordSighting(web, hvB, at(1));
      await inventory.recordDiscovery(hvA, at(2), [seen(db)]);
      expect(
        (await inventory.sightings([web, db])).map((s) => `${s.vmId === web ? 'web' : 'db'} ${s.hostId}`),
      ).toEqual(['web hv-b', 'db hv-a']);
      expect(await inventory.vm(web)).toMatchObject({ hostId: hvA, desired: 'running' });
    },
  },
  {
    name: 'a list read before a definition was made there does not take its sighting back',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.recordSighting(web, hvB, at(5));
      await inventory.recordDiscovery(hvB, at(4), []);
      await inventory.recordDiscovery(hvB, at(5), []);
      expect((await inventory.sightings([web])).map((s) => s.hostId)).toEqual([hvA, hvB]);
      await inventory.recordDiscovery(hvB, at(6), []);
      expect((await inventory.sightings([web])).map((s) => s.hostId)).toEqual([hvA]);
    },
  },
  {
    name: 'a list older than the state on record does not take that back; the same state keeps the time it was first seen',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.updateVm(web, 1, { observed: { state: 'running', reason: 'restarted', at: at(10) } });
      await inventory.recordDiscovery(hvA, at(9), [seen(web, { state: 'shut-off', seconds: 9 }), seen(db)]);
      expect((await inventory.vm(web))?.observed).toEqual({
        state: 'running',
        reason: 'restarted',
        at: at(10),
      });
      await inventory.recordDiscovery(hvA, at(11), [seen(web, { state: 'crashed', seconds: 11 }), seen(db)]);
      await inventory.recordDiscovery(hvA, at(12), [seen(web, { state: 'crashed', seconds: 12 }), seen(db)]);
      expect((await inventory.vm(web))?.observed).toMatchObject({ state: 'crashed', at: at(11) });
    },
  },
  {
    name: 'two hosts that list a migrating VM at once, and one host stored twice at once, make one record',
    async run({ inventory, other }) {
      await declareHosts(inventory);
      const ids = manyVms(50);
      const found = await Promise.all([
        inventory.recordDiscovery(
          hvA,
          at(1),
          ids.map((id) => seen(id, { seconds: 1 })),
        ),
        other.recordDiscovery(
          hvA,
          at(1),
          ids.map((id) => seen(id, { seconds: 1 })),
        ),
        other.recordDiscovery(
          hvB,
          at(1),
          [...ids].reverse().map((id) => seen(id, { host: hvB, seconds: 1 })),
        ),
      ]);
      expect(found.flatMap((f) => f.added).sort()).toEqual(ids);
      const rows = await inventory.vms();
      expect(rows.map((v) => [v.definitionVersion, v.version])).toEqual(ids.map(() => [1, 1]));
      expect(await inventory.sightings(ids)).toHaveLength(100);
    },
  },
  {
    name: 'a console that sends bytes no database takes does not keep a VM from being stored',
    async run({ inventory }) {
      await declareHosts(inventory);
      const odd = seen(web, { text: '<a>\0\ud800</a>' });
      const look = { ...odd, vm: { ...odd.vm, observed: { ...odd.vm.observed, reason: 'said \0' } } };
      await inventory.recordDiscovery(hvA, at(0), [look]);
      expect((await inventory.vm(web))?.observed.reason).toBe('said \ufffd');
      expect((await inventory.definition(web))?.text).toBe('<a>\ufffd\ufffd</a>');
      expect(await inventory.recordDiscovery(hvA, at(1), [look])).toEqual({ added: [], redefined: [] });
      expect((await inventory.vm(web))?.version).toBe(1);
    },
  },
  {
    name: 'a host that was never declared stores nothing',
    async run({ inventory }) {
      await declareHosts(inventory);
      const call = inventory.recordDiscovery(hostId('hv-z'), at(0), [seen(web)]);
      expect(await faultCode(call)).toBe('UNKNOWN_HOST');
      expect(await inventory.vms()).toEqual([]);
    },
  },
];
