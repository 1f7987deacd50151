/**
 * Tests that need something a machine may not have. Left out, they are counted and their reason is printed at the end of the run; in CI
 * (CI=true) a test left out for want of a real host makes the run fail, unless it is declared `beyond-ci`.
 */
export type Need = 'real-host' | 'beyond-ci';

/** `it`, or a test that is left out, and says why. */
export function testIf(condition: boolean, reason: string, need: Need = 'real-host'): jest.It {
  if (condition) return it;
  const leftOut = (name: string, body?: jest.ProvidesCallback): void =>
    it.skip(marked(name, reason, need), body ?? (() => undefined));
  return leftOut as jest.It;
}

/** `describe`, or a group whose tests are all left out, and say why. Its body still runs, to count them. */
export function describeIf(condition: boolean, reason: string, need: Need = 'real-host'): jest.Describe {
  if (condition) return describe;
  const leftOut = (name: string, body: jest.EmptyFunction): void =>
    describe.skip(marked(name, reason, need), body);
  return leftOut as jest.Describe;
}

function marked(name: string, reason: string, need: Need): string {
  if (reason === '') throw new Error(`"${name}" is left out without a reason`);
  return `${name} [left out (${need}): ${reason}]`;
}
