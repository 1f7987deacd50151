/** The world after a recovery, judged by the checkers, and the expectations that every recovery shares. */
import type { VmId } from '../../domain/ids';
import type { RecoverySystem } from './recovery-system';

export async function judge(
  system: RecoverySystem,
  expected: { readonly down?: readonly VmId[] } = {},
): Promise<void> {
  const { processes } = system.controls.snapshot();
  const open = processes.filter((p) => p.endedSeq === undefined);
  const records = await system.inventory.vms();
  for (const record of records) {
    const where = open.filter((p) => p.vmId === record.vmId).map((p) => p.hostId);
    if (expected.down?.includes(record.vmId) === true) expect(where).toEqual([]);
    else expect(where).toEqual([record.hostId]);
  }
  expect(await system.inventory.reservations()).toEqual([]);
}
