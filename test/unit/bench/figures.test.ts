import { idealSeconds, spread } from '../../../bench/figures';
import { allCases, chooseCases, parseOptions, UsageError } from '../../../bench/options';

describe('the spread of VMs that came up', () => {
  it('counts from the origin and takes the median by nearest rank', () => {
    expect(spread([4_000, 1_000, 2_000, 3_000], 500)).toEqual({ first: 0.5, median: 1.5, last: 3.5 });
    expect(spread([1_000], 0)).toEqual({ first: 1, median: 1, last: 1 });
  });

  it('refuses to make a figure of nothing', () => {
    expect(() => spread([], 0)).toThrow('no VM came up');
  });
});

it('never calls a storm faster than one start, nor than the cores allow', () => {
  expect(idealSeconds(1, 2)).toBe(0.4);
  expect(idealSeconds(100, 2)).toBeCloseTo(18.5);
});

describe('what a bench measures', () => {
  const names = (
    only: readonly string[] | undefined,
    machine = { kvm: undefined as string | undefined, freeMiB: 9_000 },
  ) => chooseCases({ only }, machine).cases.map((c) => c.name);

  it('is everything but the crash when nothing is asked for', () => {
    expect(names(undefined)).toEqual(allCases.map((c) => c.name).filter((name) => !name.startsWith('crash')));
  });

  it('takes names and kinds, and no name for the beginning of another', () => {
    expect(names(['simulated-10', 'crash'])).toEqual(['simulated-10', 'crash-100']);
  });

  it('leaves a hundred real guests out where memory is short, unless asked for by name', () => {
    const short = { kvm: undefined, freeMiB: 3_000 };
    expect(names(undefined, short)).not.toContain('kvm-100');
    expect(chooseCases({ only: undefined }, short).leftOut).toHaveLength(1);
    expect(names(['kvm-100'], short)).toEqual(['kvm-100']);
  });

  it('says why real hosts are left out', () => {
    const choice = chooseCases({ only: ['kvm-10'] }, { kvm: 'libvirtd is not installed', freeMiB: 9_000 });
    expect(choice).toEqual({ cases: [], others: [], leftOut: ['kvm-10: libvirtd is not installed'] });
  });

  it('refuses what it does not know', () => {
    expect(() => names(['simulated-7'])).toThrow(UsageError);
    expect(() => parseOptions(['--repeat', 'often'])).toThrow('--repeat often: a whole number');
    expect(() => parseOptions(['--fast'])).toThrow(UsageError);
  });
});
