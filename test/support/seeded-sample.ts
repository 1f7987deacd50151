/** Of a product of cases `make verify` runs a few, other ones each day; `make soak` runs them all. */
import { mulberry32 } from '../../drivers/simulated/sample-world';

/** Named in each case's title, so that VMEDIC_SEED repeats it. */
export const sampleSeed = Number(process.env['VMEDIC_SEED'] ?? Math.floor(Date.now() / 86_400_000));

export function seededSample<T>(whole: readonly T[], size: number): readonly T[] {
  if (process.env['VMEDIC_SOAK'] === 'true') return whole;
  const random = mulberry32(sampleSeed);
  const left = [...whole];
  return Array.from({ length: Math.min(size, left.length) }, () =>
    left.splice(Math.floor(random() * left.length), 1),
  ).flat();
}
