/** What a person changes outside any incident. Each is written into the audit trail by `Administration` itself. */
import { z } from 'zod';
import { clusterId } from '../../../domain/ids';
import { Administration, type ByHand } from '../../administration';
import { knownHost, knownVm } from '../../known';
import { releaseLocksOf } from '../../release-locks';
import { type HttpDoor, withRecoveries } from '../door';
import { type Answer, type Asked, route, type Route } from '../route';
import { idField, locksReleased, named, nameText, saidBody, startBody, started } from '../schemas';
import { onBehalf } from '../serve';
import { answerOf } from './starts';

const changed = named('Changed', z.object({ what: z.string(), is: z.string() }));
const answers = { 200: { says: 'It is so now, or was already.', schema: changed } } as const;
const switchBody = named(
  'Switch',
  z.strictObject({
    ...saidBody.shape,
    cluster: idField.optional().meta({ description: 'The whole fleet when left out.' }),
  }),
);

const byHand = (asked: Asked<unknown, unknown, { reason: string }>): ByHand => ({
  ...{ by: onBehalf(asked), reason: asked.body.reason, via: 'api' },
  ...{ origin: asked.request.ip, requestId: asked.request.id },
});

const administration = (door: HttpDoor): Administration => new Administration(door.inventory, door.fleet);

const done = (what: string, is: string): Answer => ({ status: 200, body: { what, is } });

/** Most releases are a second or two; a request is not kept open for a server that hangs. */
const releaseMs = 10_000;

export const administrationRoutes: readonly Route[] = [
  // To stop is always allowed to whoever may start; to let VMedic act again takes the one who answers for it.
  ...([true, false] as const).map((armed) =>
    route({
      ...{ method: 'post', path: armed ? '/v1/arm' : '/v1/disarm', tag: 'administration', answers },
      needs: armed ? 'approver' : 'operator',
      problems: [404],
      summary: armed
        ? 'Let VMedic act again after it was disarmed'
        : 'Stop every new act; recoveries under way pause before their next one',
      body: switchBody,
      async handle(asked, door) {
        const { cluster } = asked.body;
        const scope = cluster === undefined ? ('fleet' as const) : clusterId(cluster);
        await administration(door).setArmed(scope, armed, byHand(asked));
        return done(scope, armed ? 'armed' : 'disarmed');
      },
    }),
  ),
  ...([true, false] as const).map((begin) =>
    route({
      ...{ method: 'post', tag: 'hosts', needs: 'operator', answers },
      path: `/v1/hosts/{host}/${begin ? 'begin' : 'end'}-maintenance`,
      summary: begin ? 'Planned work begins: what happens to the host is no failure' : 'Planned work is over',
      params: z.object({ host: nameText }),
      body: saidBody,
      async handle(asked, door) {
        const { id } = knownHost(door.fleet, asked.params.host);
        return done(id, await administration(door).setMaintenance(id, begin, byHand(asked)));
      },
    }),
  ),
  ...([true, false] as const).map((protect) =>
    route({
      ...{ method: 'post', tag: 'vms', needs: 'operator', answers },
      path: `/v1/vms/{vm}/${protect ? 'protect' : 'unprotect'}`,
      summary: protect
        ? 'Bring this VM back when it fails'
        : 'Leave this VM alone: planned work on it is no failure',
      params: z.object({ vm: nameText }),
      body: saidBody,
      async handle(asked, door) {
        const vm = await knownVm(door.inventory, asked.params.vm);
        await administration(door).setProtected(vm, protect, byHand(asked));
        return done(vm.name, protect ? 'protected' : 'unprotected');
      },
    }),
  ),
  route({
    ...{ method: 'post', path: '/v1/hosts/{host}/release-locks', tag: 'hosts', needs: 'operator' },
    summary:
      'Free what a host that is proven off still holds on storage: its locks, and those of nobody else',
    params: z.object({ host: nameText }),
    body: startBody,
    answers: {
      200: { says: 'What became of it; `blocked` names why not.', schema: locksReleased },
      202: { says: 'It is not over yet; Location is the run that follows it.', schema: locksReleased },
    },
    change: ({ params, body }) => ({
      ...{ action: `releaseLocks${body.rehearse === true ? ' (rehearsal)' : ''}` },
      ...{ target: params.host, reason: body.reason },
    }),
    async handle(asked, door) {
      const { client, settings } = await door.temporal();
      const { inventory, fleet, taskQueue } = door;
      const to = { client, inventory, fleet, address: settings.address, patienceMs: releaseMs };
      const request = { source: 'api', by: onBehalf(asked), reason: asked.body.reason } as const;
      const given = await releaseLocksOf(
        taskQueue === undefined ? to : { ...to, taskQueue },
        asked.params.host,
        { ...request, rehearse: asked.body.rehearse === true },
      );
      const { answer, incidentId } = given;
      if (given.answer === 'incident-resumed')
        return { status: 200, body: { answer, incidentId, sentences: [given.sentence] } };
      const { workflowId } = given;
      if (given.answer === 'under-way')
        return {
          ...{ status: 202, body: { answer, incidentId, workflowId, sentences: [] } },
          headers: { location: `/v1/runs/${encodeURIComponent(workflowId)}` },
        };
      const { result } = given;
      return {
        status: 200,
        body: {
          ...{ answer, incidentId, workflowId },
          sentences: result.kind === 'free' ? result.sentences : result.faults.map((f) => f.sentence),
          ...(result.kind === 'blocked' && { next: result.faults.map((f) => f.next) }),
        },
      };
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/hosts/{host}/readmit', tag: 'hosts', needs: 'operator' },
    summary: 'Let a host that came back take VMs again, once stale definitions are gone and autostart is off',
    params: z.object({ host: nameText }),
    body: startBody,
    answers: {
      202: { says: 'Started; Location is where it can be followed.', schema: started },
      200: { says: 'It is under way, or was done, already.', schema: started },
    },
    change: ({ params, body }) => ({ action: 'readmitHost', target: params.host, reason: body.reason }),
    async handle(asked, door) {
      const { rehearse } = asked.body;
      const request = { source: 'api', by: onBehalf(asked), reason: asked.body.reason } as const;
      return answerOf(
        await withRecoveries(door, (to) =>
          to.readmitHost(asked.params.host, { ...request, rehearse: rehearse === true }),
        ),
      );
    },
  }),
];
