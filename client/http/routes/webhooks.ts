import { z } from 'zod';
import type { FastifyRequest } from 'fastify';
import type { HttpDoor } from '../door';
import { Problem } from '../problems';
import { route, type Route } from '../route';
import { named, nameText } from '../schemas';
import { alertmanagerBody, reportsOf } from '../webhooks/alertmanager';
import { heedAll, type Sender } from '../webhooks/reports';
import { judgeSignature, windowSeconds } from '../webhooks/standard';
import { reportOfAlarm, vcenterBody } from '../webhooks/vcenter';

const heeded = named(
  'Heeded',
  z.object({
    results: z.array(
      z.object({
        about: z.string(),
        became: z.enum(['started', 'same', 'busy', 'rehearsed', 'repeated', 'refused', 'ignored']),
        incidentId: z.string().optional(),
        sentence: z.string(),
      }),
    ),
  }),
);
const answers = { 200: { says: 'Received; what became of each part.', schema: heeded } } as const;

const genericBody = named(
  'FailureMessage',
  z.object({
    type: z.enum(['host.failed', 'vm.failed']),
    timestamp: z.string().max(64).optional(),
    data: z.object({
      host: nameText.optional().meta({ description: 'With host.failed: its id in the config.' }),
      vm: nameText.optional().meta({ description: 'With vm.failed: its name or UUID.' }),
      reason: nameText.optional(),
    }),
  }),
);

const senderOf = (name: string, request: FastifyRequest): Sender => ({
  ...{ name, origin: request.ip, requestId: request.id },
});

export const webhookRoutes: readonly Route[] = [
  route({
    ...{ method: 'post', path: '/v1/webhooks/alertmanager', tag: 'webhooks', needs: 'operator', answers },
    summary: "Alertmanager's webhook: alerts with the label vmedic_action start a recovery",
    description:
      'An alert with `vmedic_action: recover-host` names a host by the first of the labels `vmedic_host`, `host`, `node`, `instance`; one with ' +
      '`vmedic_action: restart-vm` a VM by `vmedic_vm`, `vm`, `domain`. Alerts without the label, and resolved ones, start nothing.',
    body: alertmanagerBody,
    async handle({ body, caller, request }, door) {
      const { reports, ignored } = reportsOf(body);
      const results = await heedAll(door, senderOf(caller.name, request), reports);
      return { status: 200, body: { results: [...results, ...ignored] } };
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/webhooks/vcenter', tag: 'webhooks', needs: 'operator', answers },
    summary: 'The form of a vCenter alarm script: an alarm that turns red starts a recovery',
    body: vcenterBody,
    bodyForm: 'form',
    async handle({ body, caller, request }, door) {
      const report = reportOfAlarm(body, new Date(), door.fleet);
      if (report !== undefined)
        return {
          status: 200,
          body: { results: await heedAll(door, senderOf(caller.name, request), [report]) },
        };
      const about = `alarm ${body.VMWARE_ALARM_NAME}`;
      const sentence = `it turned ${body.VMWARE_ALARM_NEWSTATUS}: only red ones start anything`;
      return { status: 200, body: { results: [{ about, became: 'ignored', sentence }] } };
    },
  }),
  route({
    ...{ method: 'post', path: '/v1/webhooks/generic', tag: 'webhooks', needs: 'sender', answers },
    summary: 'Standard Webhooks: a signed message that a host or a VM failed',
    description: `Signed with a secret that the config names. Refused when its time is more than ${windowSeconds} s from ours, or its id was received before.`,
    body: genericBody,
    headers: [
      { name: 'webhook-id', says: 'The same for every repeat of one message.' },
      { name: 'webhook-timestamp', says: 'Seconds since 1970.' },
      { name: 'webhook-signature', says: 'v1, and the base64 of the HMAC-SHA256 of id.timestamp.body.' },
    ],
    async handle({ body, request }, door) {
      const { sender, id } = authentic(door, request);
      const name = body.type === 'host.failed' ? body.data.host : body.data.vm;
      const kind = body.type === 'host.failed' ? 'host' : 'vm';
      if (name === undefined) {
        const sentence = `is needed with type ${body.type}`;
        throw new Problem(400, 'INVALID_REQUEST', `body data.${kind}: ${sentence}`, {
          errors: [{ in: 'body', at: `data.${kind}`, sentence }],
        });
      }
      const source = `standard:${sender}`;
      if ((await door.inventory.receive(source, id, new Date().toISOString())) === 'again')
        throw new Problem(
          409,
          'RECEIVED_BEFORE',
          `The message ${id} was received before; nothing was done again`,
        );
      const report = {
        ...{ about: { kind, name } as const, key: `${source}:${id}` },
        reason: body.data.reason ?? body.type,
      };
      try {
        const results = await heedAll(door, senderOf(sender, request), [report]);
        return { status: 200, body: { results } };
      } catch (error) {
        // Nothing came of it: the sender's next try must not be taken for a replay.
        await door.inventory.forgetReceipt(source, id);
        throw error;
      }
    },
  }),
];

/** Which declared sender signed this, and the message's id. @throws Problem 401 */
function authentic(door: HttpDoor, request: FastifyRequest): { sender: string; id: string } {
  const [id, timestamp, signature] = (['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const).map(
    (name) => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : '';
    },
  ) as [string, string, string];
  const refused = (sentence: string): Problem =>
    new Problem(401, 'SIGNATURE_REFUSED', sentence, {
      next: 'sign it with a secret that the config names under api.webhooks',
      headers: { 'www-authenticate': 'Standard-Webhooks' },
    });
  if (!/^[\x21-\x7e]{1,200}$/.test(id))
    throw refused('The message has no webhook-id of visible ASCII characters');
  const message = { id, timestamp, signature, body: rawBodyOf(request) };
  for (const { name, secret } of door.senders) {
    const verdict = judgeSignature(secret(), message, Date.now());
    if (verdict === 'good') return { sender: name, id };
    if (verdict === 'too-old-or-new')
      throw refused(
        `The message's time is more than ${windowSeconds} s from ours: it is old, or a clock is wrong`,
      );
  }
  throw refused('The message is signed by nobody that the config names');
}

const raw = new WeakMap<FastifyRequest, string>();

/** Signatures are over the bytes that came, not over what they mean. */
export const keepRawBody = (request: FastifyRequest, body: string): void => void raw.set(request, body);

const rawBodyOf = (request: FastifyRequest): string => raw.get(request) ?? '';
