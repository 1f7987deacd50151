import { DriverFault } from '../../domain/faults';

/**
 * One statement for all who ask at the same time: in a storm of restarts every activity asks for rows of its own by the same statements, and
 * sending thirty of them costs thirty times what sending one does.
 *
 * INVARIANT: a read that answers was begun after it was asked for. Who asks while one is under way is served by the next.
 */
interface Asker<Key, Answer> {
  readonly key: Key;
  readonly answered: (answer: Answer) => void;
  readonly failed: (error: unknown) => void;
}

/** So many keys in one statement at most. */
const togetherMax = 100;

/** `read` gets what was asked for, in order, and answers in the same order. */
export function together<Key, Answer>(
  read: (keys: readonly Key[]) => Promise<readonly Answer[]>,
): (key: Key) => Promise<Answer> {
  const waiting: Asker<Key, Answer>[] = [];
  let isReading = false;

  async function drain(): Promise<void> {
    isReading = true;
    while (waiting.length > 0) {
      const askers = waiting.splice(0, togetherMax);
      try {
        const answers = await read(askers.map((a) => a.key));
        askers.forEach((a, n) => a.answered(answers[n] as Answer));
      } catch (error) {
        // What is wrong with one key must not fail the others; a server that is away fails them all.
        if (askers.length === 1 || error instanceof DriverFault) askers.forEach((a) => a.failed(error));
        else await Promise.all(askers.map(alone));
      }
    }
    isReading = false;
  }

  const alone = async ({ key, answered, failed }: Asker<Key, Answer>): Promise<void> => {
    try {
      answered((await read([key]))[0] as Answer);
    } catch (error) {
      failed(error);
    }
  };

  return (key) =>
    new Promise<Answer>((answered, failed) => {
      waiting.push({ key, answered, failed });
      if (!isReading) void drain();
    });
}

/** The rows of one key each, by their keys. */
export function inOrder<Key, Row>(
  keys: readonly Key[],
  rows: readonly Row[],
  keyOf: (row: Row) => Key,
): readonly (Row | undefined)[] {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  return keys.map((key) => byKey.get(key));
}
