/** What a vCenter alarm's "run script" action has in its environment (VMWARE_ALARM_*), posted as a form. */
import { z } from 'zod';
import type { Fleet } from '../../../domain/fleet';
import { named } from '../schemas';
import type { Report } from './reports';

const field = z.string().max(4_000);

export const vcenterBody = named(
  'VcenterAlarm',
  z.looseObject({
    VMWARE_ALARM_NAME: field.min(1, { error: 'must not be empty' }),
    VMWARE_ALARM_TARGET_ID: field.regex(/^(vm|host)-\d+$/, {
      error: 'is the id of a host or a VM: host-12, vm-34',
    }),
    VMWARE_ALARM_TARGET_NAME: field.min(1, { error: 'must not be empty' }),
    VMWARE_ALARM_NEWSTATUS: z.enum(['Red', 'Yellow', 'Green', 'Gray']),
    VMWARE_ALARM_OLDSTATUS: field.optional(),
    VMWARE_ALARM_TRIGGERINGSUMMARY: field.optional(),
    VMWARE_ALARM_ALARMVALUE: field.optional(),
  }),
);

type Alarm = z.output<typeof vcenterBody>;

/** Undefined unless the alarm turned red: everything else VMedic sees for itself. Pure. */
export function reportOfAlarm(alarm: Alarm, now: Date, fleet: Fleet): Report | undefined {
  if (alarm.VMWARE_ALARM_NEWSTATUS !== 'Red') return undefined;
  const id = alarm.VMWARE_ALARM_TARGET_ID;
  const name = alarm.VMWARE_ALARM_TARGET_NAME.slice(0, 255);
  const summary = alarm.VMWARE_ALARM_TRIGGERINGSUMMARY ?? alarm.VMWARE_ALARM_ALARMVALUE ?? '';
  return {
    about: id.startsWith('vm-') ? { kind: 'vm', name } : { kind: 'host', name: hostNamed(fleet, name) },
    reason: `vCenter: ${alarm.VMWARE_ALARM_NAME}${summary === '' ? '' : `: ${summary}`}`
      .replace(/\s+/g, ' ')
      .slice(0, 500),
    // The alarm carries no number of its own: one that turns red again within a minute is the same.
    key: `vcenter:${alarm.VMWARE_ALARM_NAME}:${id}:${now.toISOString().slice(0, 16)}`,
  };
}

/** vCenter says its own name of a host; the config may give it another id. */
const hostNamed = (fleet: Fleet, name: string): string =>
  fleet.clusters.flatMap((c) => c.hosts).find((h) => h.managedAs === name)?.id ?? name;
