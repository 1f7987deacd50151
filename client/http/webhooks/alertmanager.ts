/** Alertmanager's webhook, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config). */
import { z } from 'zod';
import { named } from '../schemas';
import type { Report } from './reports';

const text = z.string().max(4_000);
const labels = z.record(z.string().max(200), text);

export const alertmanagerBody = named(
  'AlertmanagerMessage',
  z.object({
    version: z.literal('4'),
    groupKey: text,
    status: z.enum(['firing', 'resolved']),
    receiver: text.optional(),
    truncatedAlerts: z.int().min(0).optional(),
    alerts: z
      .array(
        z.object({
          status: z.enum(['firing', 'resolved']),
          labels,
          annotations: labels.optional(),
          startsAt: text,
          endsAt: text.optional(),
          fingerprint: text,
        }),
      )
      .max(5_000),
  }),
);

type Message = z.output<typeof alertmanagerBody>;
type Alert = Message['alerts'][number];

/** What a rule's author writes into the alert, so that no other alert about a host ever starts anything. */
const actionLabel = 'vmedic_action';
const hostLabels = ['vmedic_host', 'host', 'node', 'instance'];
const vmLabels = ['vmedic_vm', 'vm', 'domain'];

export interface Ignored {
  readonly about: string;
  readonly became: 'ignored';
  readonly sentence: string;
}

/** Reports for the alerts that ask for something, and for each other one why nothing follows from it. Pure. */
export function reportsOf(message: Message): { reports: Report[]; ignored: Ignored[] } {
  const reports: Report[] = [];
  const ignored: Ignored[] = [];
  for (const alert of message.alerts) {
    const read = reportOf(alert);
    if (typeof read === 'string')
      ignored.push({ about: `alert ${alert.fingerprint}`, became: 'ignored', sentence: read });
    else reports.push(read);
  }
  return { reports, ignored };
}

function reportOf(alert: Alert): Report | string {
  const action = alert.labels[actionLabel];
  if (action === undefined) return `it has no label ${actionLabel}`;
  if (action !== 'recover-host' && action !== 'restart-vm')
    return `its label ${actionLabel} is neither recover-host nor restart-vm`;
  // Level, not edge: VMedic sees for itself that something is well again.
  if (alert.status === 'resolved') return 'it is resolved; VMedic sees for itself what is well again';
  const kind = action === 'recover-host' ? 'host' : 'vm';
  const wanted = kind === 'host' ? hostLabels : vmLabels;
  const value = wanted.map((label) => alert.labels[label]).find((v) => v !== undefined && v !== '');
  if (value === undefined) return `it names no ${kind}: none of the labels ${wanted.join(', ')} is set`;
  const name = kind === 'host' ? value.replace(/:\d+$/, '') : value;
  const { alertname = 'an alert' } = alert.labels;
  const summary = alert.annotations?.['summary'] ?? alert.annotations?.['description'];
  return {
    about: { kind, name: name.slice(0, 255) },
    reason: `${alertname}${summary === undefined ? '' : `: ${summary}`}`.replace(/\s+/g, ' ').slice(0, 500),
    key: `alertmanager:${alert.fingerprint}:${alert.startsAt}`,
  };
}
