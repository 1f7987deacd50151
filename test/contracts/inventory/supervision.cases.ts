import { clusterId } from '../../../domain/ids';
import { at, type InventoryCase } from './samples';

const first = { id: 'ns-1', name: 'vmedic-1, Temporal 10.0.0.1:7233' };
const second = { id: 'ns-2', name: 'vmedic-2, Temporal 10.0.0.2:7233' };
const silentMs = 60_000;

export const supervisionCases: readonly InventoryCase[] = [
  {
    name: 'the fleet belongs to whoever claims it first; another is refused and told whose it is',
    async run({ inventory, other }) {
      expect(await inventory.fleetClaim()).toBeUndefined();
      expect(await inventory.claimFleet(first, at(0), silentMs)).toMatchObject({ is: 'ours' });
      const refused = await other.claimFleet(second, at(1), silentMs);
      expect(refused).toEqual({
        is: 'theirs',
        claim: { owner: first, claimedAt: at(0), seenAt: at(0) },
      });
      expect(await other.fleetClaim()).toEqual(refused.claim);
    },
  },
  {
    name: 'an owner that claims again keeps the moment it took the fleet; a late repeat does not make it look older',
    async run({ inventory }) {
      await inventory.claimFleet(first, at(0), silentMs);
      await inventory.claimFleet(first, at(50), silentMs);
      const { is, claim } = await inventory.claimFleet(first, at(40), silentMs);
      expect({ is, ...claim }).toMatchObject({ is: 'ours', claimedAt: at(0), seenAt: at(50) });
    },
  },
  {
    name: 'an owner that was not heard of for too long is followed by another, who has it from then on',
    async run({ inventory }) {
      await inventory.claimFleet(first, at(0), silentMs);
      expect((await inventory.claimFleet(second, at(60), silentMs)).is).toBe('theirs');
      const taken = await inventory.claimFleet(second, at(61), silentMs);
      expect(taken).toEqual({ is: 'ours', claim: { owner: second, claimedAt: at(61), seenAt: at(61) } });
      expect((await inventory.claimFleet(first, at(62), silentMs)).is).toBe('theirs');
    },
  },
  {
    name: 'of two that claim a free fleet at once exactly one gets it',
    async run({ inventory, other }) {
      const answers = await Promise.all([
        inventory.claimFleet(first, at(0), silentMs),
        other.claimFleet(second, at(0), silentMs),
      ]);
      expect(answers.map((a) => a.is).sort()).toEqual(['ours', 'theirs']);
      expect(new Set(answers.map((a) => a.claim.owner.id)).size).toBe(1);
    },
  },
  {
    name: 'a switch stands as it was thrown last, one per scope',
    async run({ inventory, other }) {
      const cluster = clusterId('c1');
      const off = { armed: false, by: 'alice', reason: 'storage', at: at(1) } as const;
      await inventory.setSwitch({ scope: 'fleet', ...off });
      await inventory.setSwitch({ scope: cluster, ...off });
      await other.setSwitch({ scope: 'fleet', armed: true, by: 'bob', reason: 'done', at: at(2) });
      expect(await inventory.switches()).toEqual([
        { scope: cluster, ...off },
        { scope: 'fleet', armed: true, by: 'bob', reason: 'done', at: at(2) },
      ]);
    },
  },
];
