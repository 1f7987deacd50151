/**
 * Checkers judge the world after a run, independent of the code that ran: pure functions over what the world holds, everything that was asked
 * of it, and what the inventory says. They know the laws and nothing of workflows.
 */
import type { InventoryPort } from '../../activities/ports';
import type { EvidenceId, VmId } from '../../domain/ids';
import type { EvidenceRecord, HostRecord, IncidentRecord, Reservation, VmRecord } from '../../domain/records';
import type { JournalEntry, WorldSnapshot } from '../../drivers/simulated';

export interface InventoryRows {
  readonly vms: readonly VmRecord[];
  readonly hosts: readonly HostRecord[];
  readonly reservations: readonly Reservation[];
  readonly incidents: readonly IncidentRecord[];
  readonly evidence: readonly EvidenceRecord[];
}

/**
 * How a VM may have ended that does not run. `compensated`: nothing of ours may be left of the attempt. `stuck`: it waits for a person as it
 * is. Neither excuses a second writer.
 */
export type Excuse = 'compensated' | 'stuck';

export interface Facts {
  readonly world: WorldSnapshot;
  /** The full journal; `effects` alone proves nothing here. */
  readonly journal: readonly JournalEntry[];
  readonly inventory: InventoryRows;
  readonly excused?: Readonly<Record<VmId, Excuse>>;
}

export interface Finding {
  readonly checker: string;
  readonly sentence: string;
  /** Where in the journal. */
  readonly seq: number | undefined;
}

export type Checker = (facts: Facts) => Finding[];

export type EffectOf<E extends string> = Extract<JournalEntry, { kind: 'effect'; effect: E }>;

export function effects<E extends string>(facts: Pick<Facts, 'journal'>, effect: E): EffectOf<E>[] {
  return facts.journal.filter((e): e is EffectOf<E> => e.kind === 'effect' && e.effect === effect);
}

/** Reads the rows that checkers need. Evidence is fetched by the ids that the journal names. */
export async function readInventoryRows(
  inventory: InventoryPort,
  journal: readonly JournalEntry[],
): Promise<InventoryRows> {
  const ids = new Set<EvidenceId>();
  for (const start of effects({ journal }, 'process-started'))
    for (const account of start.permit?.accounts ?? [])
      if (account.evidenceId !== undefined) ids.add(account.evidenceId);
  for (const release of effects({ journal }, 'lock-released')) ids.add(release.evidence.id);
  const [vms, hosts, reservations, incidents] = await Promise.all([
    inventory.vms(),
    inventory.hosts(),
    inventory.reservations(),
    inventory.incidents(),
  ]);
  const standing = await Promise.all(hosts.map((h) => inventory.evidenceFor(h.hostId)));
  for (const evidence of standing) if (evidence !== undefined) ids.add(evidence.id);
  const evidence = await Promise.all([...ids].map((id) => inventory.evidence(id)));
  return { vms, hosts, reservations, incidents, evidence: evidence.filter((e) => e !== undefined) };
}
