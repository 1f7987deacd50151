import type { ReadinessReport } from '../../../domain/readiness';
import { at, cluster, type InventoryCase } from './samples';

const report = (seconds: number, sentence: string): ReadinessReport => ({
  clusterId: cluster,
  at: at(seconds),
  vms: [],
  findings: [
    {
      ...{ check: 'strategy-missing', severity: 'blocks', sentence, next: 'name one' },
      about: { kind: 'pool', id: 'p' as never },
    },
  ],
});

export const readinessCases: readonly InventoryCase[] = [
  {
    name: 'the newest readiness report of a cluster is kept, and a late older one changes nothing',
    async run({ inventory }) {
      expect(await inventory.readiness(cluster)).toBeUndefined();
      await inventory.storeReadiness(report(10, 'first'));
      await inventory.storeReadiness(report(20, 'second'));
      await inventory.storeReadiness(report(20, 'second'));
      await inventory.storeReadiness(report(15, 'late'));
      expect(await inventory.readiness(cluster)).toEqual(report(20, 'second'));
      expect(await inventory.readiness('elsewhere' as typeof cluster)).toBeUndefined();
    },
  },
];
