import type { Delivery } from '../../../activities/ports';
import { incidentId } from '../../../domain/ids';
import type { OpenInventory } from '../../../drivers/postgres';
import { at, hostIncident, hvA, incident, type InventoryCase, line, trigger } from './samples';

const alert = {
  ...{ key: 'unfenced:hv-a', severity: 'critical' as const, sentence: 'no fence level proved hv-a off' },
  ...{ nextCommand: 'vmedic incident attest-fenced', incidentId: incident, raisedAt: at(1) },
};
const channels = ['am', 'hook'];

const plan = (inventory: OpenInventory, seconds: number, pageAgainMs = 900_000) =>
  inventory.planDeliveries({ channels, since: at(0), at: at(seconds), pageAgainMs });

const claim = (inventory: OpenInventory, seconds: number, limit = 10) =>
  inventory.claimDeliveries({ channels, at: at(seconds), leaseMs: 30_000, limit });

const told = (deliveries: readonly Delivery[]) =>
  deliveries.map((d) => `${d.channel} ${d.notice} ${d.round}`).sort();

async function deliverAll(inventory: OpenInventory, seconds: number): Promise<string[]> {
  const due = await claim(inventory, seconds);
  for (const d of due) await inventory.noteDelivered(d, at(seconds));
  return told(due);
}

export const deliveryCases: readonly InventoryCase[] = [
  {
    name: 'each channel is owed a raise once, however often and by however many it is planned',
    async run({ inventory, other }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.raiseAlert(alert);
      const planned = await Promise.all(
        Array.from({ length: 6 }, (_, i) => plan(i % 2 === 0 ? inventory : other, 2)),
      );
      expect(planned.reduce((a, b) => a + b)).toBe(2);
      const [mine, theirs] = await Promise.all([claim(inventory, 2), claim(other, 2)]);
      expect(told([...mine, ...theirs])).toEqual(['am raised 0', 'hook raised 0']);
      const [one] = [...mine, ...theirs];
      expect(one).toMatchObject({ attempts: 1, alert, incident: { incidentId: incident } });
      expect(one?.dedupeKey).toBe(`unfenced:hv-a@${at(1)}/raised/0`);
    },
  },
  {
    name: 'what a sender that died had claimed is due again after its lease; what was delivered never is',
    async run({ inventory, other }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.raiseAlert(alert);
      await plan(inventory, 2);
      const [first] = await claim(inventory, 2, 1);
      await inventory.noteDelivered(first as Delivery, at(3));
      const [second] = await claim(inventory, 3);
      expect(await claim(other, 20)).toEqual([]);
      expect(await other.owedDeliveries()).toEqual([{ channel: second?.channel, count: 1, oldestAt: at(1) }]);
      expect(await claim(other, 40)).toMatchObject([{ channel: second?.channel, attempts: 2 }]);
      await other.noteNotDelivered(second as Delivery, 'connection refused', at(60));
      expect(await claim(inventory, 59)).toEqual([]);
      const [third] = await claim(inventory, 60);
      await inventory.noteNotDelivered(third as Delivery, 'not its turn', at(61), false);
      // As it was found: one attempt that failed, and this one.
      expect(await claim(inventory, 61)).toMatchObject([{ attempts: third?.attempts }]);
      await inventory.noteNotDelivered(third as Delivery, 'not its turn', at(62), false);
      expect(await deliverAll(inventory, 62)).toHaveLength(1);
      expect(await claim(inventory, 999)).toEqual([]);
    },
  },
  {
    name: 'an end is told after its raise, also when both happened before anybody looked',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.raiseAlert(alert);
      await inventory.clearAlert(alert.key, at(2));
      await plan(inventory, 3);
      expect(await deliverAll(inventory, 3)).toEqual(['am raised 0', 'hook raised 0']);
      expect(await deliverAll(inventory, 4)).toEqual(['am cleared 0', 'hook cleared 0']);
    },
  },
  {
    name: 'the end of an alert is told however long ago it began; one that was over before the channel came is not told',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.raiseAlert(alert);
      await plan(inventory, 2);
      await deliverAll(inventory, 2);
      await inventory.clearAlert(alert.key, at(5_000));
      const later = { channels: [...channels, 'new'], since: at(4_000), at: at(5_001), pageAgainMs: 1 };
      expect(await inventory.planDeliveries(later)).toBe(2);
      expect(await deliverAll(inventory, 5_001)).toEqual(['am cleared 0', 'hook cleared 0']);
    },
  },
  {
    name: 'a critical alert pages again until a person acknowledges it, and not before the last page was heard',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.raiseAlert(alert);
      await plan(inventory, 2, 100_000);
      expect(await plan(inventory, 500, 100_000)).toBe(0);
      await deliverAll(inventory, 500);
      expect(await plan(inventory, 599, 100_000)).toBe(0);
      expect(await plan(inventory, 600, 100_000)).toBe(2);
      expect(await deliverAll(inventory, 600)).toEqual(['am raised 1', 'hook raised 1']);
      expect(await inventory.acknowledgeAlerts({ incidentId: incident }, 'ada', at(601))).toBe(1);
      expect(await inventory.acknowledgeAlerts({ key: alert.key }, 'bob', at(602))).toBe(0);
      expect(await inventory.alerts({ open: true })).toMatchObject([{ acknowledgedBy: 'ada' }]);
      expect(await plan(inventory, 9_000, 100_000)).toBe(0);
    },
  },
  {
    name: 'what is less than critical pages once',
    async run({ inventory }) {
      await inventory.raiseAlert({ ...alert, severity: 'warning', incidentId: undefined });
      await plan(inventory, 2, 1_000);
      await deliverAll(inventory, 2);
      expect(await plan(inventory, 9_000, 1_000)).toBe(0);
    },
  },
  {
    name: 'news is over after a while without a word, and the result of a closed incident once a person has seen it',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      const news = { ...alert, key: 'news', severity: 'info' as const };
      await inventory.raiseAlert(news);
      await inventory.raiseAlert(alert);
      await inventory.updateIncident(incident, { outcome: 'partially-recovered', closedAt: at(5) });
      await inventory.raiseAlert({ ...alert, key: 'result', raisedAt: at(5) });
      await plan(inventory, 6);
      await deliverAll(inventory, 6);
      await inventory.endOldNews(at(1), at(7));
      expect(await inventory.alerts({ open: true })).toHaveLength(3);
      await inventory.endOldNews(at(2), at(8));
      expect(await inventory.acknowledgeAlerts({ incidentId: incident }, 'ada', at(9))).toBe(2);
      // The alert from before the end is somebody's to clear: what it tells of may go on.
      expect((await inventory.alerts({ open: true })).map((a) => a.key)).toEqual([alert.key]);
      await plan(inventory, 10);
      expect(await deliverAll(inventory, 10)).toEqual(['am cleared 0', 'hook cleared 0']);
    },
  },
  {
    name: 'old incidents go with their timelines, the newest of each target stays, and no count falls',
    async run({ inventory, behind }) {
      for (const epoch of [1, 2]) {
        const id = incidentId({ kind: 'host', hostId: hvA }, epoch);
        await inventory.openIncident({ ...hostIncident(epoch), openedAt: at(epoch) }, trigger(epoch));
        await inventory.appendTimeline(id, [line(`k${epoch}`)]);
        await inventory.updateIncident(id, { outcome: 'recovered', closedAt: at(epoch + 7) });
      }
      await inventory.raiseAlert(alert);
      await inventory.clearAlert(alert.key, at(3));
      await plan(inventory, 3);
      await inventory.receive('pager', 'm-1', at(3));
      const before = await inventory.outcomeFigures([5, 10]);
      expect(before).toEqual([
        { cluster: 'c1', target: 'host', outcome: 'recovered', count: 2, sumSeconds: 14, atMost: [0, 2] },
      ]);
      expect(await inventory.removeOlderThan({ records: at(100), answers: at(100) })).toBe(1);
      expect((await inventory.incidents()).map((i) => i.epoch)).toEqual([2]);
      expect(await behind('select incident_id from timeline')).toHaveLength(1);
      expect(await behind('select 1 from alert_deliveries')).toEqual([]);
      expect(await inventory.receive('pager', 'm-1', at(4))).toBe('first');
      expect(await inventory.outcomeFigures([5, 10])).toEqual(before);
      expect(await inventory.removeOlderThan({ records: at(100), answers: at(100) })).toBe(0);
    },
  },
  {
    name: 'incidents are read page by page, and a timeline from where the reader stopped',
    async run({ inventory }) {
      for (const epoch of [1, 2, 3]) {
        const id = incidentId({ kind: 'host', hostId: hvA }, epoch);
        await inventory.openIncident({ ...hostIncident(epoch), openedAt: at(1) }, trigger(epoch));
        await inventory.updateIncident(id, { outcome: 'dismissed', closedAt: at(2) });
      }
      const [newest, second] = await inventory.incidents({ limit: 2 });
      expect([newest?.epoch, second?.epoch]).toEqual([3, 2]);
      const rest = await inventory.incidents({ limit: 2, olderThan: second! });
      expect(rest.map((i) => i.epoch)).toEqual([1]);
      await inventory.appendTimeline(incident, [line('a'), line('b'), line('c')]);
      expect((await inventory.timeline(incident, 1)).map((e) => e.seq)).toEqual([2, 3]);
    },
  },
];
