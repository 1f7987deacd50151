import { eq, sql } from 'drizzle-orm';
import type { InventoryPort } from '../../activities/ports';
import type { FleetClaim } from '../../domain/records';
import type { Connections } from './connection';
import { prepared } from './prepared';
import { armSwitches, fleetOwner } from './schema';
import { together } from './together';

type Rows = Pick<InventoryPort, 'claimFleet' | 'fleetClaim' | 'switches' | 'setSwitch'>;

const claimOf = (row: typeof fleetOwner.$inferSelect): FleetClaim => ({
  owner: { id: row.ownerId, name: row.name },
  claimedAt: row.claimedAt,
  seenAt: row.seenAt,
});

const allSwitches = prepared((db) =>
  db.select().from(armSwitches).orderBy(armSwitches.scope).prepare('all_switches'),
);

export const supervisionRows = (connections: Connections): Rows => {
  const switches = together(async (asked: readonly undefined[]) => {
    const all = await connections.run((db) => allSwitches(db).execute());
    return asked.map(() => all);
  });
  const rows: Rows = {
    async claimFleet(owner, at, silentMsMax) {
      const silentSince = new Date(Date.parse(at) - silentMsMax).toISOString();
      const same = eq(fleetOwner.ownerId, owner.id);
      // One statement, so that of two that claim at once the second meets the first one's row.
      const [taken] = await connections.run((db) =>
        db
          .insert(fleetOwner)
          .values({ only: 1, ownerId: owner.id, name: owner.name, claimedAt: at, seenAt: at })
          .onConflictDoUpdate({
            target: fleetOwner.only,
            set: {
              ownerId: sql`excluded.owner_id`,
              name: sql`excluded.name`,
              claimedAt: sql`case when ${same} then ${fleetOwner.claimedAt} else excluded.claimed_at end`,
              seenAt: sql`greatest(${fleetOwner.seenAt}, excluded.seen_at)`,
            },
            setWhere: sql`${same} or ${fleetOwner.seenAt} < ${silentSince}`,
          })
          .returning(),
      );
      if (taken !== undefined) return { is: 'ours', claim: claimOf(taken) };
      const theirs = await rows.fleetClaim();
      // Given up between the two statements: whoever asks again gets it.
      return theirs === undefined ? rows.claimFleet(owner, at, silentMsMax) : { is: 'theirs', claim: theirs };
    },

    async fleetClaim() {
      const [row] = await connections.run((db) => db.select().from(fleetOwner));
      return row === undefined ? undefined : claimOf(row);
    },

    switches: () => switches(undefined),

    async setSwitch({ scope, armed, by, reason, at }) {
      const set = { armed, by, reason, at };
      await connections.run((db) =>
        db
          .insert(armSwitches)
          .values({ scope, ...set })
          .onConflictDoUpdate({ target: armSwitches.scope, set }),
      );
    },
  };
  return rows;
};
