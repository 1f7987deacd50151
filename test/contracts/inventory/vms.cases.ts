import { hostId, vmId } from '../../../domain/ids';
import { at, cluster, db, faultCode, hvA, hvB, type InventoryCase, smallFleet, web } from './samples';

const stranger = vmId('33333333-0000-4000-8000-000000000000');

export const vmCases: readonly InventoryCase[] = [
  {
    name: 'VMs are found by cluster, by host and by ids, all in one read',
    async run({ inventory }) {
      await smallFleet(inventory);
      const ids = async (filter: Parameters<typeof inventory.vms>[0]) =>
        (await inventory.vms(filter)).map((v) => v.vmId);
      expect(await ids({})).toEqual([web, db]);
      expect(await ids({ clusterId: cluster, hostId: hvA, ids: [db, stranger] })).toEqual([db]);
      expect(await ids({ hostId: hvB })).toEqual([]);
      expect(await ids({ notHostId: hvB, ids: [db] })).toEqual([db]);
      expect(await ids({ notHostId: hvA })).toEqual([]);
      expect(await ids({ ids: [] })).toEqual([]);
      expect(await inventory.vm(stranger)).toBeUndefined();
    },
  },
  {
    name: 'the mark of a host’s VMs changes with each change of one of them, and with nothing else',
    async run({ inventory }) {
      await smallFleet(inventory);
      const seen: string[] = [];
      const changes = async (host = hvA): Promise<boolean> => {
        const mark = `${host} ${await inventory.vmsMark(host)}`;
        const before = seen.filter((s) => s.startsWith(`${host} `)).at(-1);
        seen.push(mark);
        return mark !== before;
      };
      expect([await changes(), await changes(), await changes(hvB)]).toEqual([true, false, true]);
      await inventory.recordSighting(web, hvB, at(5));
      expect([await changes(), await changes(hvB)]).toEqual([false, false]);
      await inventory.updateVm(web, 1, { desired: 'stopped' });
      expect([await changes(), await changes(hvB)]).toEqual([true, false]);
      await inventory.updateVm(web, 2, { desired: 'running' });
      expect(await changes()).toBe(true);
      const disks = { text: '<new/>', disks: [], readFrom: hvA, readAt: at(6) };
      await inventory.redefineVm(web, 3, disks);
      expect(await changes()).toBe(true);
      await inventory.updateVm(web, 4, { hostId: hvB });
      expect([await changes(), await changes(hvB)]).toEqual([true, true]);
      await inventory.updateVm(web, 5, { hostId: hvA });
      expect(await changes()).toBe(true);
      expect(new Set(seen).size).toBeGreaterThanOrEqual(7);
    },
  },
  {
    name: 'of many changes made from one version of a VM exactly one wins',
    async run({ inventory, other, allAtOnce }) {
      await smallFleet(inventory);
      const changes = Array.from(
        { length: 10 },
        (_, i) => () => (i % 2 === 0 ? inventory : other).updateVm(web, 1, { epoch: i + 1 }),
      );
      const ends = await allAtOnce(`select 1 from vms where vm_id = '${web}' for update`, changes);
      const won = ends.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
      expect(won).toHaveLength(1);
      expect(await inventory.vm(web)).toEqual(won[0]);
    },
  },
  {
    name: 'a change of a VM repeated changes nothing more, and one that is overtaken says so',
    async run({ inventory }) {
      await smallFleet(inventory);
      const change = {
        hostId: hvB,
        desired: 'running',
        observed: { state: 'running', reason: 'booted', at: at(9) },
      } as const;
      const first = await inventory.updateVm(web, 1, change);
      expect(first).toMatchObject({ ...change, version: 2 });
      expect(await inventory.updateVm(web, 1, change)).toEqual(first);
      expect(await inventory.updateVm(web, 2, change)).toEqual(first);
      await inventory.updateVm(web, 2, { protected: false });
      expect(await faultCode(inventory.updateVm(web, 1, change))).toBe('RECORD_CHANGED');
    },
  },
  {
    name: 'a VM that nobody knows and a host that nobody declared are named as such',
    async run({ inventory }) {
      await smallFleet(inventory);
      expect(await faultCode(inventory.updateVm(stranger, 1, { epoch: 1 }))).toBe('UNKNOWN_VM');
      expect(await faultCode(inventory.updateVm(web, 1, { hostId: hostId('hv-z') }))).toBe('UNKNOWN_HOST');
      expect(await faultCode(inventory.recordSighting(stranger, hvA, at(0)))).toBe('UNKNOWN_VM');
      expect(await faultCode(inventory.recordSighting(web, hostId('hv-z'), at(0)))).toBe('UNKNOWN_HOST');
    },
  },
  {
    name: 'a sighting stays until it is removed, and never turns older',
    async run({ inventory }) {
      await smallFleet(inventory);
      await inventory.recordSighting(web, hvB, at(5));
      await inventory.recordSighting(web, hvB, at(3));
      await inventory.recordSighting(web, hvB, at(5));
      expect(await inventory.sightings([web])).toEqual([
        { vmId: web, hostId: hvA, seenAt: at(0) },
        { vmId: web, hostId: hvB, seenAt: at(5) },
      ]);
      await inventory.removeSighting(web, hvB);
      await inventory.removeSighting(web, hvB);
      expect((await inventory.sightings([web, db])).map((s) => s.hostId)).toEqual([hvA, hvA]);
      expect(await inventory.sightings([])).toEqual([]);
    },
  },
];
