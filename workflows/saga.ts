/**
 * Steps with their way back. Theory of operation: an act that timed out may have happened, so a step's undo counts from the moment its act
 * begins, and every undo reads before it writes. From the pivot on there is no way back: the saga goes forward or is stuck.
 *
 * INVARIANTS:
 * - An undo is registered before its act.
 * - The way back and everything from the pivot on are shielded from cancellation.
 * - An undo that fails does not keep the others from being tried, and is reported as data.
 */
export interface SagaStep<Name extends string> {
  readonly name: Name;
  act(): Promise<void>;
  readonly undo: (() => Promise<void>) | 'pivot' | 'nothing-to-undo';
}

export type SagaOutcome<Name extends string> =
  | { readonly kind: 'completed' }
  | {
      readonly kind: 'compensated';
      readonly failedAt: Name;
      readonly undone: readonly Name[];
      readonly cause: unknown;
    }
  | {
      readonly kind: 'stuck';
      readonly failedAt: Name;
      readonly why: 'undo-failed' | 'failed-past-pivot';
      readonly notUndone: readonly Name[];
      readonly cause: unknown;
    };

/** Thrown by a pivot's act that has read back that nothing happened: the only way back from a pivot. */
export class ProvenNotDone extends Error {
  override readonly name = 'ProvenNotDone';
}

/** Runs a block so that a cancellation from outside does not reach it. */
export type Shield = <T>(block: () => Promise<T>) => Promise<T>;

export async function runSaga<Name extends string>(
  steps: readonly SagaStep<Name>[],
  shield: Shield,
): Promise<SagaOutcome<Name>> {
  const undos: { name: Name; undo: () => Promise<void> }[] = [];
  let pastPivot = false;
  for (const step of steps) {
    const isPivot = step.undo === 'pivot';
    if (typeof step.undo === 'function') undos.unshift({ name: step.name, undo: step.undo });
    try {
      await (isPivot || pastPivot ? shield(() => step.act()) : step.act());
      pastPivot ||= isPivot;
    } catch (cause) {
      const wayBackOpen = !pastPivot && (!isPivot || cause instanceof ProvenNotDone);
      if (!wayBackOpen)
        return { kind: 'stuck', failedAt: step.name, why: 'failed-past-pivot', notUndone: [], cause };
      return shield(() => unwind(undos, step.name, cause));
    }
  }
  return { kind: 'completed' };
}

async function unwind<Name extends string>(
  undos: readonly { name: Name; undo: () => Promise<void> }[],
  failedAt: Name,
  cause: unknown,
): Promise<SagaOutcome<Name>> {
  const undone: Name[] = [];
  const notUndone: Name[] = [];
  let undoCause: unknown;
  for (const { name, undo } of undos) {
    try {
      await undo();
      undone.push(name);
    } catch (error) {
      notUndone.push(name);
      undoCause = error;
    }
  }
  if (notUndone.length === 0) return { kind: 'compensated', failedAt, undone, cause };
  return { kind: 'stuck', failedAt, why: 'undo-failed', notUndone, cause: undoCause };
}
