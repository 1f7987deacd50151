/**
 * Refuses to go on when something that must be true is not. Free of dependencies, so that workflow code can use it too, and on in
 * production: a wrong recovery is worse than none.
 */
export function invariant(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new InvariantViolation(sentence);
}

export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

/** The end of an exhaustive switch: compiles only while every case is handled. */
export function assertNever(value: never, what: string): never {
  throw new InvariantViolation(`no rule for this ${what}: ${JSON.stringify(value)}`);
}
