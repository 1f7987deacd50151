import { limits } from '../../../domain/limits';
import {
  at,
  cluster,
  faultCode,
  hostIncident,
  hvA,
  hvB,
  incident,
  type InventoryCase,
  line,
  trigger,
  web,
} from './samples';
import { incidentId } from '../../../domain/ids';

const unheard = incidentId({ kind: 'host', hostId: hvB }, 7);

export const incidentCases: readonly InventoryCase[] = [
  {
    name: 'twenty that open an incident at once make one, with every trigger on it',
    async run({ inventory, other }) {
      const opened = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? inventory : other).openIncident(hostIncident(), trigger(i)),
        ),
      );
      expect(new Set(opened.map((o) => o.incidentId))).toEqual(new Set([incident]));
      const [row, ...more] = await inventory.incidents();
      expect(more).toEqual([]);
      const by = row?.triggers.map((t) => t.by).sort();
      expect(by).toEqual(Array.from({ length: 20 }, (_, i) => `monitor-${i}`).sort());
      expect(row).toMatchObject({ phase: 'suspect', outcome: undefined, closedAt: undefined, version: 20 });
    },
  },
  {
    name: 'opened again with the same trigger it is the same, and a second epoch does not open beside the first',
    async run({ inventory }) {
      const first = await inventory.openIncident(hostIncident(), trigger(0));
      expect(await inventory.openIncident(hostIncident(), trigger(0))).toEqual(first);
      const second = await inventory.openIncident(hostIncident(2), trigger(1));
      expect(second).toMatchObject({ incidentId: incident, epoch: 1 });
      expect(second.triggers.map((t) => t.by)).toEqual(['monitor-0', 'monitor-1']);
    },
  },
  {
    name: 'a late repeat for an incident that is over changes nothing, and the next epoch opens',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      const closed = await inventory.updateIncident(incident, { outcome: 'recovered', closedAt: at(9) });
      expect(await inventory.openIncident(hostIncident(), trigger(1))).toEqual(closed);
      const next = await inventory.openIncident(hostIncident(2), trigger(2));
      expect(next).toMatchObject({ epoch: 2, closedAt: undefined });
      expect((await inventory.openIncident(hostIncident(), trigger(3))).incidentId).toBe(next.incidentId);
    },
  },
  {
    name: 'triggers are kept up to the limit, each once',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      for (let i = 0; i < limits.triggersKeptMax + 5; i += 1)
        await inventory.attachTrigger(incident, trigger(i));
      await inventory.attachTrigger(incident, trigger(3));
      const kept = (await inventory.incident(incident))?.triggers ?? [];
      expect(kept.map((t) => t.by)).toEqual(
        Array.from({ length: limits.triggersKeptMax }, (_, i) => `monitor-${i}`),
      );
      expect(await faultCode(inventory.attachTrigger(unheard, trigger(0)))).toBe('UNKNOWN_INCIDENT');
    },
  },
  {
    name: 'only the fields that a change names change; the same again writes nothing',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      const held = { phase: 'held', summary: 'two hosts', nextCommand: 'vmedic incident approve' };
      const first = await inventory.updateIncident(incident, held);
      expect(first).toMatchObject({ ...held, version: 2 });
      expect(await inventory.updateIncident(incident, held)).toEqual(first);
      const freed = await inventory.updateIncident(incident, { nextCommand: undefined });
      expect(freed).toMatchObject({
        phase: 'held',
        summary: 'two hosts',
        nextCommand: undefined,
        version: 3,
      });
      expect(await inventory.updateIncident(incident, {})).toEqual(freed);
      expect(await faultCode(inventory.updateIncident(unheard, { phase: 'held' }))).toBe('UNKNOWN_INCIDENT');
    },
  },
  {
    name: 'an incident is not opened again beside one that is open',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(), trigger(0));
      await inventory.updateIncident(incident, { closedAt: at(5) });
      await inventory.openIncident(hostIncident(2), trigger(1));
      const again = inventory.updateIncident(incident, { closedAt: undefined });
      expect(await faultCode(again)).toBe('RECORD_CHANGED');
    },
  },
  {
    name: 'incidents are found by target, cluster and openness, newest first',
    async run({ inventory }) {
      await inventory.openIncident(hostIncident(1), trigger(0));
      await inventory.updateIncident(incident, { closedAt: at(5) });
      const second = await inventory.openIncident(hostIncident(2), trigger(1));
      const lone = {
        ...hostIncident(3),
        incidentId: incidentId({ kind: 'vm', vmId: web }, 1),
        target: { kind: 'vm', vmId: web } as const,
      };
      await inventory.openIncident(lone, trigger(2));
      const ids = async (filter: Parameters<typeof inventory.incidents>[0]) =>
        (await inventory.incidents(filter)).map((i) => i.incidentId);
      expect(await ids({})).toEqual([lone.incidentId, second.incidentId, incident]);
      expect(await ids({ limit: 1 })).toEqual([lone.incidentId]);
      expect(await ids({ open: true, clusterId: cluster })).toEqual([lone.incidentId, second.incidentId]);
      expect(await ids({ open: false })).toEqual([incident]);
      expect(await ids({ hostId: hvA })).toEqual([second.incidentId, incident]);
      expect(await ids({ vmId: web, open: true })).toEqual([lone.incidentId]);
      expect(await inventory.incident(lone.incidentId)).toMatchObject({ target: lone.target });
      expect(await inventory.incident(unheard)).toBeUndefined();
    },
  },
  {
    name: 'a timeline of an incident that nobody opened is refused',
    async run({ inventory }) {
      expect(await faultCode(inventory.appendTimeline(unheard, [line('a')]))).toBe('UNKNOWN_INCIDENT');
      expect(await inventory.timeline(unheard)).toEqual([]);
    },
  },
];
