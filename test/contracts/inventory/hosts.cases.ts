import { hostId } from '../../../domain/ids';
import { at, cluster, declareHosts, faultCode, hvA, hvB, type InventoryCase } from './samples';

export const hostCases: readonly InventoryCase[] = [
  {
    name: 'declared hosts are in service from the first moment, and declaring them again changes nothing',
    async run({ inventory }) {
      await declareHosts(inventory);
      await inventory.updateHost(hvA, 1, { standing: 'maintenance' });
      await declareHosts(inventory);
      const rows = await inventory.hosts({ clusterId: cluster });
      expect(rows.map((h) => [h.hostId, h.standing, h.version])).toEqual([
        ['hv-a', 'maintenance', 2],
        ['hv-b', 'in-service', 1],
      ]);
      expect(await inventory.hosts({ clusterId: 'elsewhere' as typeof cluster })).toEqual([]);
      expect(await inventory.host(hostId('hv-z'))).toBeUndefined();
    },
  },
  {
    name: 'of two changes made from one version of a host exactly one wins',
    async run({ inventory, other, allAtOnce }) {
      await declareHosts(inventory);
      const both = await allAtOnce(`select 1 from hosts where host_id = '${hvA}' for update`, [
        () => inventory.updateHost(hvA, 1, { standing: 'excluded' }),
        () => other.updateHost(hvA, 1, { standing: 'maintenance' }),
      ]);
      const won = both.flatMap((r) => (r.status === 'fulfilled' ? [r.value.standing] : []));
      expect(won).toHaveLength(1);
      const lost = both.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []));
      expect(lost).toMatchObject([{ fault: { code: 'RECORD_CHANGED' } }]);
      expect(await inventory.host(hvA)).toMatchObject({ standing: won[0], version: 2 });
    },
  },
  {
    name: 'a change of a host repeated by a worker that died before its report changes nothing more',
    async run({ inventory }) {
      await declareHosts(inventory);
      const first = await inventory.updateHost(hvA, 1, { standing: 'excluded', bootId: 'b-1' });
      expect(await inventory.updateHost(hvA, 1, { standing: 'excluded', bootId: 'b-1' })).toEqual(first);
      expect(await faultCode(inventory.updateHost(hvA, 1, { standing: 'fenced' }))).toBe('RECORD_CHANGED');
    },
  },
  {
    name: 'being seen is written every few seconds at most, never turns back, and makes nobody lose a race',
    async run({ inventory }) {
      await declareHosts(inventory);
      await inventory.updateHost(hvB, 1, { lastSeenAt: at(0) });
      await inventory.updateHost(hvB, 1, { lastSeenAt: at(2) });
      expect((await inventory.host(hvB))?.lastSeenAt).toBe(at(0));
      await inventory.updateHost(hvB, 1, { lastSeenAt: at(20) });
      await inventory.updateHost(hvB, 1, { lastSeenAt: at(10) });
      expect(await inventory.host(hvB)).toMatchObject({ lastSeenAt: at(20), version: 1 });
      await inventory.updateHost(hvB, 1, { standing: 'excluded' });
      expect(await inventory.host(hvB)).toMatchObject({ lastSeenAt: at(20), standing: 'excluded' });
    },
  },
  {
    name: 'a host that was never declared is named, with those that are known',
    async run({ inventory }) {
      await declareHosts(inventory);
      const change = inventory.updateHost(hostId('hv-z'), 1, { standing: 'excluded' });
      await expect(change).rejects.toThrow('There is no host hv-z in the config; known: hv-a, hv-b');
    },
  },
];
