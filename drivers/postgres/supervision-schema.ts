/** Tables of the supervision: whose fleet it is, and whether anything new may be done. */
import { boolean, integer, pgTable, text } from 'drizzle-orm/pg-core';
import type { ArmSwitch } from '../../domain/records';
import { instant, words } from './columns';

/** One row: the installation that owns this fleet. */
export const fleetOwner = pgTable('fleet_owner', {
  only: integer('only').primaryKey().default(1),
  ownerId: text('owner_id').notNull(),
  name: words('name').notNull(),
  claimedAt: instant('claimed_at').notNull(),
  seenAt: instant('seen_at').notNull(),
});

export const armSwitches = pgTable('arm_switches', {
  scope: text('scope').$type<ArmSwitch['scope']>().primaryKey(),
  armed: boolean('armed').notNull(),
  by: words('by').notNull(),
  reason: words('reason').notNull(),
  at: instant('at').notNull(),
});
