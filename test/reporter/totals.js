'use strict';
/**
 * Ends a run with why each test was left out and, alone on the last line, `N passed, N failed, N skipped`. In CI a test left out for
 * want of a real host, or without a reason, fails the run: an installation that fails silently must not look like a success.
 */

const MARK = /\[left out \(([a-z-]+)\): (.*?)\](?= |$)/;

/** @typedef {{ need: string, reason: string, tests: number }} LeftOut */

/**
 * @param {import('@jest/test-result').AggregatedResult} results
 * @returns {LeftOut[]}
 */
function leftOut(results) {
  /** @type {Map<string, LeftOut>} */
  const found = new Map();
  for (const file of results.testResults)
    for (const test of file.testResults) {
      if (!['pending', 'todo', 'skipped', 'disabled'].includes(test.status)) continue;
      const [, need = 'no-reason', reason = `no reason given: ${test.fullName}`] =
        MARK.exec(test.fullName) ?? [];
      const entry = found.get(`${need} ${reason}`) ?? { need, reason, tests: 0 };
      entry.tests += 1;
      found.set(`${need} ${reason}`, entry);
    }
  return [...found.values()].sort((a, b) => b.tests - a.tests);
}

/** @param {import('@jest/test-result').AggregatedResult} results */
function totalsLine(results) {
  // A file that does not even load has no tests to fail: it counts as one.
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
  return `${results.numPassedTests} passed, ${failed} failed, ${results.numPendingTests + results.numTodoTests} skipped`;
}

/**
 * @param {LeftOut[]} entries
 * @param {boolean} ci
 */
function refusal(entries, ci) {
  const refused = entries.filter(({ need }) => need === 'no-reason' || (ci && need === 'real-host'));
  if (refused.length === 0) return undefined;
  return new Error(
    `left out, but must run${ci ? ' in CI' : ''}:\n${refused.map(({ tests, reason }) => `  ${tests} × ${reason}`).join('\n')}`,
  );
}

class TotalsReporter {
  /** @param {import('@jest/types').Config.GlobalConfig} globalConfig */
  constructor(globalConfig) {
    this.named = Boolean(globalConfig.testNamePattern);
    this.entries = /** @type {LeftOut[]} */ ([]);
  }

  /**
   * @param {unknown} _contexts
   * @param {import('@jest/test-result').AggregatedResult} results
   */
  onRunComplete(_contexts, results) {
    // `-t NAME` leaves out everything else on purpose.
    this.entries = this.named ? [] : leftOut(results);
    const error = this.getLastError();
    const lines = this.entries.map(({ tests, reason }) => `  ${tests} × ${reason}`);
    if (lines.length > 0) process.stderr.write(`\nLeft out:\n${lines.join('\n')}\n`);
    if (error !== undefined) process.stderr.write(`\nThe run fails: ${error.message}\n`);
    // Both streams end in the same terminal; the totals come last whichever is slower.
    process.stderr.write('\n', () => process.stdout.write(`${totalsLine(results)}\n`));
  }

  getLastError() {
    return refusal(this.entries, process.env.CI === 'true');
  }
}

module.exports = TotalsReporter;
module.exports.leftOut = leftOut;
module.exports.totalsLine = totalsLine;
module.exports.refusal = refusal;
