/** The world after a recovery, judged by the checkers. */
import type { VmId } from '../../domain/ids';
import { asText, judge as findings } from '../checkers/judge';
import { type Excuse, readInventoryRows } from '../checkers/facts';
import type { RecoverySystem } from './recovery-system';

/** Fails with one line per law broken. `down` are VMs that may be down, because the incident said so and took everything back. */
export async function judge(
  system: RecoverySystem,
  expected: {
    readonly down?: readonly VmId[];
    readonly stuck?: readonly VmId[];
    /** Workers went away: what they had stored and not yet told, the outbox tells where there is one, and here nobody does. */
    readonly noticesLost?: true;
  } = {},
): Promise<void> {
  const journal = system.controls.journal();
  const excuse = (vms: readonly VmId[] | undefined, why: Excuse) =>
    (vms ?? []).map((vm) => [vm, why] as const);
  const facts = {
    world: system.controls.snapshot(),
    journal,
    inventory: await readInventoryRows(system.inventory, journal),
    excused: Object.fromEntries([
      ...excuse(expected.down, 'compensated'),
      ...excuse(expected.stuck, 'stuck'),
    ]),
  };
  // Of a lost "raised" the next word is its end; of a lost end, that it is raised again.
  const lost = (sentence: string): boolean =>
    expected.noticesLost === true && /was (cleared without being raised|raised twice)/.test(sentence);
  expect(asText(findings(facts).filter((f) => !lost(f.sentence)))).toEqual([]);
}
