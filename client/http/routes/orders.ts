import { z } from 'zod';
import type { Role } from '../../../domain/access';
import type { IncidentId } from '../../../domain/ids';
import { knownIncident, knownVm } from '../../known';
import { acknowledgeAlert } from '../../acknowledge';
import { giveOrder, type Order } from '../../orders';
import type { HttpDoor } from '../door';
import { type Answer, route, type Route } from '../route';
import { acknowledgeBody, acknowledged, nameText, ordered, resolveBody, saidBody } from '../schemas';
import { onBehalf } from '../serve';

const params = z.object({ incident: nameText });
const answers = { 200: { says: 'Taken; `answer` is what the run said.', schema: ordered } } as const;

async function obey(
  door: HttpDoor,
  incident: string,
  order: Order,
  said: { by: string; reason: string },
): Promise<Answer> {
  // An unknown incident is found out before anything is connected.
  await knownIncident(door.inventory, incident);
  const { client, settings } = await door.temporal();
  const to = { client, inventory: door.inventory, address: settings.address };
  return { status: 200, body: { incidentId: incident, answer: await giveOrder(to, incident, order, said) } };
}

/** What cannot be checked, or goes over the blast radius, needs the highest role. */
const simple: readonly { name: string; needs: Role; summary: string; order: Order }[] = [
  {
    name: 'attest-fenced',
    needs: 'approver',
    summary: 'Say that you have seen to it that the host is off: it counts as evidence',
    order: { update: 'attestFenced' },
  },
  {
    name: 'approve',
    needs: 'approver',
    summary: 'Let an incident that is held go on to fencing',
    order: { update: 'approveFencing' },
  },
  { name: 'hold', needs: 'operator', summary: 'Stop before the next act', order: { update: 'hold' } },
  {
    name: 'resume',
    needs: 'operator',
    summary: 'Go on after a hold; fence devices that refused the login are asked again',
    order: { update: 'resume' },
  },
  {
    name: 'abort',
    needs: 'operator',
    summary: 'Give it up while nothing has been done that cannot be taken back',
    order: { update: 'abort' },
  },
];

export const orderRoutes: readonly Route[] = [
  ...simple.map(({ name, needs, summary, order }) =>
    route({
      ...{
        method: 'post',
        path: `/v1/incidents/{incident}/${name}`,
        tag: 'incidents',
        needs,
        summary,
        answers,
      },
      ...{ params, body: saidBody },
      change: (asked) => ({ action: order.update, target: asked.params.incident, reason: asked.body.reason }),
      handle: (asked, door) =>
        obey(door, asked.params.incident, order, { by: onBehalf(asked), reason: asked.body.reason }),
    }),
  ),
  route({
    ...{
      method: 'post',
      path: '/v1/incidents/{incident}/resolve',
      tag: 'incidents',
      needs: 'operator',
      answers,
    },
    summary: 'Decide about a stuck VM: read everything anew, or give up on it',
    ...{ params, body: resolveBody },
    change: ({ params: { incident }, body }) => ({
      ...{ action: `resolveStuck ${body.resolution}`, target: incident, reason: body.reason },
    }),
    handle: async (asked, door) => {
      const { resolution, reason, vm } = asked.body;
      const which = vm === undefined ? undefined : (await knownVm(door.inventory, vm)).vmId;
      const order: Order = { update: 'resolveStuck', resolution, vm: which };
      return obey(door, asked.params.incident, order, { by: onBehalf(asked), reason });
    },
  }),
  route({
    ...{
      method: 'post',
      path: '/v1/incidents/{incident}/acknowledge',
      tag: 'incidents',
      needs: 'operator',
      answers,
    },
    summary: 'Say that you have seen it: nobody is paged again about what waits now',
    ...{ params, body: saidBody },
    change: (asked) => ({ action: 'acknowledge', target: asked.params.incident, reason: asked.body.reason }),
    handle: async (asked, door) => {
      const { incident } = asked.params;
      await knownIncident(door.inventory, incident);
      const at = new Date().toISOString();
      const by = onBehalf(asked);
      const count = await door.inventory.acknowledgeAlerts({ incidentId: incident as IncidentId }, by, at);
      const answer = count === 0 ? 'nothing was waiting to be acknowledged' : `${count} alerts acknowledged`;
      return { status: 200, body: { incidentId: incident, answer } };
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/alerts/acknowledge', tag: 'alerts', needs: 'operator' },
    summary: 'The same of one alert by its key, whether it belongs to an incident or to none',
    problems: [404],
    body: acknowledgeBody,
    answers: { 200: { says: 'Nobody is paged again about it.', schema: acknowledged } },
    change: ({ body }) => ({ action: 'acknowledge', target: body.key, reason: body.reason }),
    handle: async (asked, door) => {
      const { key } = asked.body;
      const count = await acknowledgeAlert(door.inventory, key, onBehalf(asked));
      return { status: 200, body: { key, acknowledged: count } };
    },
  }),
];
