import { z } from 'zod';
import { clusterId, hostId, type IncidentId, type VmId } from '../../../domain/ids';
import type { Host } from '../../../domain/fleet';
import type { HostRecord, IncidentRecord, VmRecord } from '../../../domain/records';
import { knownHost, knownIncident, knownVm } from '../../known';
import { readOverview } from '../../overview';
import { runsNow } from '../../troubles';
import type { HttpDoor } from '../door';
import { streamTimeline } from '../event-stream';
import { Problem } from '../problems';
import { cursorOf, pageOf, placeOf, sizeOf } from '../pages';
import { type Answer, route, type Route, writtenAlready } from '../route';
import {
  alert,
  audit,
  flag,
  host,
  idField,
  incident,
  incidentView,
  named,
  nameText,
  page,
  pageQuery,
  readiness,
  timelineEntry,
  trouble,
  vm,
  vmView,
} from '../schemas';

const ok = <T extends z.ZodType>(says: string, schema: T) => ({ 200: { says, schema } }) as const;
const found = (body: unknown): Answer => ({ status: 200, body });

const clusterMode = z.enum(['observe', 'approve', 'automatic']);
const statusSchema = named(
  'Status',
  z.object({
    well: z.boolean(),
    troubles: z.array(trouble),
    underWay: z
      .array(trouble)
      .meta({ description: 'Orders that go as they should, such as a move of a disk: nothing is wrong.' }),
    clusters: z.array(
      z.object({
        id: z.string(),
        mode: clusterMode,
        now: clusterMode.meta({ description: 'How far VMedic goes at this moment.' }),
        why: z.string().optional().meta({ description: 'Why that is less than the mode says.' }),
      }),
    ),
    vms: z.object({ protected: z.int(), running: z.int() }),
  }),
);

async function status(door: HttpDoor): Promise<Answer> {
  const { troubles, underWay, clusters, watched, running } = await readOverview(door);
  return found({
    well: troubles.length === 0,
    troubles,
    underWay,
    clusters: clusters.map(({ id, mode, now, why }) => ({ id, mode, now, why })),
    vms: { protected: watched.length, running: running.length },
  });
}

function hostView(
  declared: Host,
  record: HostRecord | undefined,
  vms: readonly VmRecord[],
  open: readonly IncidentRecord[],
) {
  const own = open.find((i) => i.target.kind === 'host' && i.target.hostId === declared.id);
  return {
    hostId: declared.id,
    clusterId: declared.clusterId,
    standing: record?.standing ?? 'not-seen-yet',
    bootId: record?.bootId,
    lastSeenAt: record?.lastSeenAt,
    capacity: declared.capacity,
    fenceLevels: declared.fenceLevels.map((l) => l.name),
    vmsRunning: vms.filter(
      (v) => v.hostId === declared.id && runsNow(v, record === undefined ? [] : [record]),
    ).length,
    incidentId: own?.incidentId,
  };
}

const hostRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/v1/hosts', tag: 'hosts', needs: 'viewer' },
    summary: 'Every host, how it stands and what runs there',
    query: z.strictObject({ ...pageQuery, cluster: idField.optional() }),
    answers: ok('A page of hosts, by id.', page('Host', host)),
    async handle({ query }, door) {
      const filter = query.cluster === undefined ? {} : { clusterId: clusterId(query.cluster) };
      const [records, vms, open] = await Promise.all([
        door.inventory.hosts(filter),
        door.inventory.vms(filter),
        door.inventory.incidents({ ...filter, open: true }),
      ]);
      const declared = door.fleet.clusters
        .filter((c) => query.cluster === undefined || c.id === query.cluster)
        .flatMap((c) => c.hosts);
      const { items, ...rest } = pageOf(declared, (h) => h.id, query);
      const views = items.map((h) =>
        hostView(
          h,
          records.find((r) => r.hostId === h.id),
          vms,
          open,
        ),
      );
      return found({ items: views, ...rest });
    },
  }),
  route({
    ...{ method: 'get', path: '/v1/hosts/{host}', tag: 'hosts', needs: 'viewer' },
    summary: 'One host',
    params: z.object({ host: nameText }),
    answers: ok('The host.', host),
    async handle({ params }, door) {
      const { id, declared } = knownHost(door.fleet, params.host);
      const [record, vms, open] = await Promise.all([
        door.inventory.host(id),
        door.inventory.vms({ hostId: id }),
        door.inventory.incidents({ hostId: id, open: true }),
      ]);
      return found(hostView(declared, record, vms, open));
    },
  }),
];

const vmRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/v1/vms', tag: 'vms', needs: 'viewer' },
    summary: 'Every VM, where it runs and what is wanted of it',
    query: z.strictObject({ ...pageQuery, host: idField.optional(), cluster: idField.optional() }),
    answers: ok('A page of VMs, by UUID.', page('Vm', vm)),
    async handle({ query }, door) {
      const vms = await door.inventory.vms({
        ...(query.host !== undefined && { hostId: hostId(query.host) }),
        ...(query.cluster !== undefined && { clusterId: clusterId(query.cluster) }),
      });
      const { items, ...rest } = pageOf(vms, (v) => v.vmId, query);
      return found({ items: items.map(vmView), ...rest });
    },
  }),
  route({
    ...{ method: 'get', path: '/v1/vms/{vm}', tag: 'vms', needs: 'viewer' },
    summary: 'One VM, by name or UUID',
    params: z.object({ vm: nameText }),
    answers: ok('The VM.', vm),
    problems: [400],
    handle: async ({ params }, door) => found(vmView(await knownVm(door.inventory, params.vm))),
  }),
];

const incidentPlace = z.object({
  openedAt: z.iso.datetime(),
  epoch: z.int().min(0).max(2_147_483_647),
  incidentId: nameText.transform((id) => id as IncidentId),
});

const incidentRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/v1/incidents', tag: 'incidents', needs: 'viewer' },
    summary: 'Incidents, newest first',
    query: z.strictObject({
      ...pageQuery,
      open: flag.optional(),
      host: idField.optional(),
      vm: idField.optional().meta({ description: 'A UUID.' }),
    }),
    answers: ok('A page of incidents.', page('Incident', incident)),
    async handle({ query }, door) {
      const size = sizeOf(query.limit);
      const after = placeOf(incidentPlace, query.cursor);
      const rows = await door.inventory.incidents({
        ...(query.open !== undefined && { open: query.open }),
        ...(query.host !== undefined && { hostId: hostId(query.host) }),
        ...(query.vm !== undefined && { vmId: query.vm as VmId }),
        ...(after !== undefined && { olderThan: after }),
        limit: size + 1,
      });
      const items = rows.slice(0, size);
      const last = items.at(-1);
      const next =
        rows.length > size && last !== undefined
          ? { next: cursorOf({ openedAt: last.openedAt, epoch: last.epoch, incidentId: last.incidentId }) }
          : {};
      return found({ items: items.map(incidentView), ...next });
    },
  }),
  route({
    ...{ method: 'get', path: '/v1/incidents/{incident}', tag: 'incidents', needs: 'viewer' },
    summary: 'One incident as it stands',
    params: z.object({ incident: nameText }),
    answers: ok('The incident.', incident),
    handle: async ({ params }, door) =>
      found(incidentView(await knownIncident(door.inventory, params.incident))),
  }),
  route({
    ...{ method: 'get', path: '/v1/incidents/{incident}/timeline', tag: 'incidents', needs: 'viewer' },
    summary: 'What was seen, decided and done; as it grows, when asked for as text/event-stream',
    description:
      'With `Accept: text/event-stream` each entry is an event `entry` whose id is its `seq`; `Last-Event-ID` goes on after that one. ' +
      'The event `incident` tells each change of the incident; `end` follows when it is closed, and the stream ends.',
    params: z.object({ incident: nameText }),
    answers: ok(
      'The timeline, oldest first.',
      named('Timeline', z.object({ items: z.array(timelineEntry) })),
    ),
    forms: ['text/event-stream'],
    problems: [503],
    async handle({ params, request, reply }, door) {
      const { incidentId } = await knownIncident(door.inventory, params.incident);
      if (!/\btext\/event-stream\b/.test(request.headers.accept ?? ''))
        return found({ items: await door.inventory.timeline(incidentId) });
      await streamTimeline(door, incidentId, request, reply);
      return writtenAlready;
    },
  }),
  route({
    ...{ method: 'get', path: '/v1/incidents/{incident}/report', tag: 'incidents', needs: 'viewer' },
    summary: 'The signed evidence report; `vmedic incident verify` checks it on another machine',
    params: z.object({ incident: nameText }),
    answers: ok(
      'The report: record, timeline, evidence, and the signature over all of it.',
      named(
        'SignedReport',
        z.looseObject({ format: z.string(), signature: z.object({ value: z.string() }).loose() }),
      ),
    ),
    problems: [409],
    async handle({ params }, door) {
      const { incidentId } = await knownIncident(door.inventory, params.incident);
      if (door.sign === undefined)
        throw new Problem(409, 'NO_SIGNING_KEY', 'This installation has no key to sign reports with', {
          next: 'name one in the config: signingKey: file:PATH',
        });
      return found(await door.sign(incidentId));
    },
  }),
];

export const readRoutes: readonly Route[] = [
  route({
    ...{ method: 'get', path: '/v1/status', tag: 'status', needs: 'viewer' },
    summary: 'What is wrong, since when, and the next command for each',
    answers: ok('How everything stands.', statusSchema),
    problems: [503],
    handle: (_, door) => status(door),
  }),
  ...hostRoutes,
  ...vmRoutes,
  ...incidentRoutes,
  route({
    ...{ method: 'get', path: '/v1/readiness', tag: 'status', needs: 'viewer' },
    summary: 'Would each VM come back now, and if not why: what the last check of each cluster found',
    answers: ok(
      'A report per cluster that was checked.',
      named('Readinesses', z.object({ items: z.array(readiness) })),
    ),
    async handle(_, door) {
      const reports = await Promise.all(door.fleet.clusters.map(({ id }) => door.inventory.readiness(id)));
      return found({ items: reports.filter((report) => report !== undefined) });
    },
  }),
  route({
    ...{ method: 'get', path: '/v1/alerts', tag: 'alerts', needs: 'viewer' },
    summary: 'Alerts, newest first',
    query: z.strictObject({ open: flag.optional() }),
    answers: ok('The alerts.', named('Alerts', z.object({ items: z.array(alert) }))),
    handle: async ({ query }, door) =>
      found({ items: await door.inventory.alerts(query.open === undefined ? {} : { open: query.open }) }),
  }),
  route({
    ...{ method: 'get', path: '/v1/audit', tag: 'audit', needs: 'operator' },
    summary: 'Who asked for which change, why, from where, and what became of it; newest first',
    query: z.strictObject(pageQuery),
    answers: ok('A page of the audit trail.', page('Audit', audit)),
    async handle({ query }, door) {
      const size = sizeOf(query.limit);
      const after = placeOf(z.int().min(1), query.cursor);
      const rows = await door.inventory.auditTrail({
        ...{ limit: size + 1 },
        ...(after !== undefined && { olderThan: after }),
      });
      const items = rows.slice(0, size);
      const last = items.at(-1);
      return found({ items, ...(rows.length > size && last !== undefined && { next: cursorOf(last.id) }) });
    },
  }),
];
