import TotalsReporter from '../../reporter/totals';
import { describeIf, testIf } from '../../support/optional';

type Results = Parameters<TotalsReporter['onRunComplete']>[1];

function run(tests: readonly [status: string, fullName: string][], counts: Partial<Results> = {}): Results {
  const testResults = [{ testResults: tests.map(([status, fullName]) => ({ status, fullName })) }];
  const none = {
    numPassedTests: 0,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    numRuntimeErrorTestSuites: 0,
  };
  return { ...none, ...counts, testResults } as unknown as Results;
}

/** The names under which `testIf` and `describeIf` register what they leave out. */
function leftOutName(register: () => void): string {
  const names: string[] = [];
  const record = (name: string): void => void names.push(name);
  const skips = [jest.spyOn(it, 'skip'), jest.spyOn(describe, 'skip')];
  for (const skip of skips) skip.mockImplementation(record as never);
  try {
    register();
  } finally {
    for (const skip of skips) skip.mockRestore();
  }
  return names.join(' ');
}

describe('the last line of a run', () => {
  it('counts what passed, failed and was left out', () => {
    const results = run([], { numPassedTests: 12, numFailedTests: 1, numPendingTests: 3, numTodoTests: 1 });
    expect(TotalsReporter.totalsLine(results)).toBe('12 passed, 1 failed, 4 skipped');
  });

  it('counts a file that does not load as a failure', () => {
    expect(TotalsReporter.totalsLine(run([], { numRuntimeErrorTestSuites: 2 }))).toBe(
      '0 passed, 2 failed, 0 skipped',
    );
  });
});

describe('what was left out', () => {
  const qemu = leftOutName(() => testIf(false, 'QEMU is not installed')('a VM starts', () => undefined));
  const oracle = leftOutName(() => describeIf(false, 'QEMU is not installed')('the oracle', () => undefined));
  const soak = leftOutName(() => testIf(false, 'takes a day', 'beyond-ci')('soaks', () => undefined));

  it('is told once for each reason, with how many tests it cost', () => {
    const results = run([
      ['pending', qemu],
      ['pending', `${oracle} sees two writers`],
      ['pending', soak],
      ['passed', 'fine'],
    ]);
    expect(TotalsReporter.leftOut(results)).toEqual([
      { need: 'real-host', reason: 'QEMU is not installed', tests: 2 },
      { need: 'beyond-ci', reason: 'takes a day', tests: 1 },
    ]);
  });

  it('fails a run in CI when a real host was wanting, and only there', () => {
    const entries = TotalsReporter.leftOut(run([['pending', qemu]]));
    expect(TotalsReporter.refusal(entries, true)?.message).toContain('1 × QEMU is not installed');
    expect(TotalsReporter.refusal(entries, false)).toBeUndefined();
  });

  it('does not fail a run in CI for what is declared beyond it', () => {
    expect(TotalsReporter.refusal(TotalsReporter.leftOut(run([['pending', soak]])), true)).toBeUndefined();
  });

  it('fails every run when somebody left out a test without a reason', () => {
    const entries = TotalsReporter.leftOut(run([['pending', 'forgotten']]));
    expect(TotalsReporter.refusal(entries, false)?.message).toContain('no reason given: forgotten');
  });

  it('needs a reason', () => {
    expect(() => leftOutName(() => testIf(false, '')('nameless', () => undefined))).toThrow(
      'left out without a reason',
    );
  });

  it('runs when its condition holds', () => {
    expect(testIf(true, 'never')).toBe(it);
    expect(describeIf(true, 'never')).toBe(describe);
  });
});
