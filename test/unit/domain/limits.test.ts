import type { ClusterPolicy } from '../../../domain/fleet';
import { defaultPolicy, limitProblems, limits } from '../../../domain/limits';

const policy = (change: Partial<ClusterPolicy>): ClusterPolicy => ({ ...defaultPolicy, ...change });

it('finds nothing wrong with the defaults', () => {
  expect(limitProblems(defaultPolicy)).toEqual([]);
});

const floor = limits.listAgeMsMax + limits.clockSkewMsMax;

it.each<[string, Partial<ClusterPolicy>, RegExp]>([
  [
    'more restarts per host than in all',
    { concurrency: { window: 4, perHost: 5 } },
    /perHost \(5\) is above concurrency.window \(4\)/,
  ],
  [
    'a first pause above the last',
    { fenceRetryMs: { first: 9, max: 8 } },
    /first \(9 ms\) is above .* \(8 ms\)/,
  ],
  [
    'a read-back that ends before one fresh list can be read',
    { readBackDeadlineMs: floor - 1 },
    new RegExp(
      `below ${floor} ms: .* \\(${limits.listAgeMsMax} ms\\) plus clock skew \\(${limits.clockSkewMsMax} ms\\)`,
    ),
  ],
  [
    'a wait for storage that would be cut off before its end',
    { storageDeadlineMs: limits.storageWaitMsMax },
    /begun anew for ever/,
  ],
  ['a blast radius of nobody', { blastRadius: { hosts: 0, percent: 30 } }, /no single host could ever/],
])('refuses %s, with the numbers', (_, change, sentence) => {
  const problems = limitProblems(policy(change));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(sentence);
});

it('allows each limit itself', () => {
  const edge = policy({
    ...{ concurrency: { window: 4, perHost: 4 }, fenceRetryMs: { first: 8, max: 8 } },
    ...{ readBackDeadlineMs: floor, blastRadius: { hosts: 1, percent: 0 } },
  });
  expect(limitProblems(edge)).toEqual([]);
});

it('names every problem at once', () => {
  const bad = policy({
    ...{ concurrency: { window: 1, perHost: 2 }, fenceRetryMs: { first: 2, max: 1 } },
    ...{ readBackDeadlineMs: 1, blastRadius: { hosts: 0, percent: 0 } },
  });
  expect(limitProblems(bad)).toHaveLength(4);
});

describe('the limits among each other', () => {
  it('let clocks differ by less than anything may age', () => {
    expect(limits.clockSkewMsMax).toBeLessThan(limits.listAgeMsMax);
    expect(limits.clockSkewMsMax).toBeLessThan(limits.evidenceAgeMsMax);
  });

  it('keep evidence at least as long as the lists read beside it, so that one look at both is enough', () => {
    expect(limits.evidenceAgeMsMax).toBeGreaterThanOrEqual(limits.listAgeMsMax);
  });

  it('leave a BMC alone before it locks the account, which most do after three', () => {
    expect(limits.fenceLoginRefusalsMax).toBeLessThan(3);
  });

  it('are whole positive numbers', () => {
    for (const [name, value] of Object.entries(limits))
      expect(`${name} ${Number.isSafeInteger(value) && value > 0}`).toBe(`${name} true`);
  });
});
