/**
 * Seeded random incidents: every seed a cluster, a failure and what goes wrong on top of it, on the shipped workflows and a real Temporal
 * server. The checkers judge. `VMEDIC_SEEDS=n` runs that many, `VMEDIC_SEED=n` one seed again.
 */
import { mutants } from './mutants';
import { planOf } from './plan';
import { runSeeds, type SeedVerdict } from './run-seeds';

const only = process.env['VMEDIC_SEED'];
const count = Number(process.env['VMEDIC_SEEDS'] ?? 500);
const atOnce = 50;
/** A batch's last seeds mostly wait, while the next one works. */
const batchesAtOnce = 2;

/** Mutated code may never come to rest; what it broke by then is what counts. */
const mutatedWaitMs = 15_000;
const mutatedAtOnce = 25;

const told = ({ plan, findings }: SeedVerdict): string[] => [
  `seed ${plan.seed} (${plan.failure}); again: make test ONLY=simulation VMEDIC_SEED=${plan.seed}`,
  ...findings.map((f) => `    ${f}`),
];

it(`keeps the laws in ${only === undefined ? count : 1} random incidents`, async () => {
  const seeds = only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
  const broken: SeedVerdict[] = [];
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let batch = seeds.splice(0, atOnce); batch.length > 0; batch = seeds.splice(0, atOnce)) {
      const verdicts = await runSeeds(batch.map(planOf));
      broken.push(...verdicts.filter((v) => v.findings.length > 0));
      done += verdicts.length;
      process.stderr.write(`  ${done} random incidents, ${broken.length} broke a law\n`);
    }
  };
  await Promise.all(Array.from({ length: batchesAtOnce }, lane));
  expect(broken.flatMap(told)).toEqual([]);
});

describe('the same incidents find', () => {
  it.each(Object.entries(mutants))('%s, planted in the code', async (_, mutant) => {
    for (let from = 1; from <= count; from += mutatedAtOnce) {
      const seeds = Array.from({ length: Math.min(mutatedAtOnce, count - from + 1) }, (__, i) => from + i);
      const verdicts = await runSeeds(seeds.map(planOf), mutant, mutatedWaitMs);
      if (verdicts.some((v) => v.findings.some((f) => !f.includes('came to rest') && !f.startsWith('open:'))))
        return;
    }
    throw new Error(`${count} random incidents did not find it`);
  });
});
