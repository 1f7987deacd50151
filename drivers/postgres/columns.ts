/** Column types: how a value of the domain is written and read back. */
import { customType } from 'drizzle-orm/pg-core';
import { storable, storableText } from './storable';

/** Milliseconds, as the ISO 8601 text in UTC that the domain speaks: what JavaScript can hold, and no more. */
export const instant = customType<{ data: string; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: (at) => new Date(at).toISOString(),
  fromDriver: (at) => new Date(at).toISOString(),
});

/** Words from hypervisors, devices and people: anything may be in them. */
export const words = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: storableText,
});

export const document = customType<{ data: unknown; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: (value) => JSON.stringify(storable(value)),
});
