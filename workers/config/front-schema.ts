import { z } from 'zod';
import { isId } from '../../domain/ids';
import { idText, duration, secret } from './fields';
import type { AlertsConfig, ApiConfig, NotifyConfig } from './front-types';

const httpUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: 'is an http:// or https:// URL',
  })
  .refine((text) => !URL.canParse(text) || (new URL(text).password === '' && new URL(text).username === ''), {
    error: 'holds a name or a password; write a token or a secret beside it, as file:PATH or env:NAME',
  });

export const api = z.strictObject({
  listen: z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:[\]]+):\d{1,5}$/, {
      error: 'is address:port, for instance 127.0.0.1:7780',
    })
    .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, { error: 'has no such port' })
    .optional()
    .meta({ description: 'Anything but loopback needs tls, and a token made by vmedic token create.' }),
  tls: z.strictObject({ certificate: secret, key: secret }).optional(),
  webhooks: z.array(z.strictObject({ name: idText, secret })).optional(),
}) satisfies z.ZodType<ApiConfig>;

const log = z.strictObject({ driver: z.literal('log') });
const alertmanager = z.strictObject({
  driver: z.literal('alertmanager'),
  url: httpUrl.meta({ description: 'Where Alertmanager answers; /api/v2/alerts is added.' }),
  token: secret.optional(),
});
const webhook = z.strictObject({
  driver: z.literal('webhook'),
  name: z.string().refine(isId, { error: 'names the receiver, as an id' }),
  url: httpUrl,
  secret: secret.meta({
    description: 'What messages are signed with (Standard Webhooks): whsec_ and base64.',
  }),
});
export const notify = z.array(
  z.discriminatedUnion('driver', [log, alertmanager, webhook]),
) satisfies z.ZodType<NotifyConfig[]>;

export const alerts = z.strictObject({
  pageAgain: duration.optional(),
  heartbeat: duration.optional(),
}) satisfies z.ZodType<AlertsConfig>;
