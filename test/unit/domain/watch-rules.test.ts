import { effectiveMode } from '../../../domain/armed';
import type { Host } from '../../../domain/fleet';
import { clusterId, hostId } from '../../../domain/ids';
import type { VmState } from '../../../domain/observations';
import type { ArmSwitch, FleetClaim, HostRecord } from '../../../domain/records';
import { isBlind, mayTakeUp, vmFinding, wasStopped } from '../../../domain/watch-rules';

const at = (seconds: number): string => new Date(seconds * 1000).toISOString();

describe('what a VM of a living host comes to', () => {
  const seen = (state: VmState, reason = '') => ({ state, reason });
  it.each([
    ['running', seen('running'), 'well'],
    ['not on the list', undefined, 'missing'],
    ['destroyed', seen('shut-off', 'destroyed'), 'missing'],
    ['shut off, and nobody remembers why', seen('shut-off', 'unknown'), 'missing'],
    ['crashed', seen('crashed', 'crashed'), 'missing'],
    ['shut down by its guest', seen('shut-off', 'shutdown'), 'shut-down'],
    ['saved by a person', seen('shut-off', 'saved'), 'shut-down'],
    ['paused by a person', seen('paused', 'user'), 'left-alone'],
    ['paused on an I/O error', seen('paused', 'I/O error'), 'missing'],
    ['crashed and preserved', seen('paused', 'crashed and preserved: panicked'), 'missing'],
    ['migrating', seen('in-transition', 'migrating'), 'left-alone'],
    ['in a state that is not known', seen('unknown'), 'left-alone'],
  ] as const)('to run and %s', (_, line, finding) => {
    expect(vmFinding({ desired: 'running', protected: true }, line, 'respect')).toBe(finding);
    expect(vmFinding({ desired: 'running', protected: false }, line, 'respect')).toBe('well');
  });

  it('is missing after its guest shut it down, where the policy says restart', () => {
    const vm = { desired: 'running', protected: true } as const;
    expect(vmFinding(vm, seen('shut-off', 'shutdown'), 'restart')).toBe('missing');
  });

  it('is started by somebody when it was not to run', () => {
    const vm = { desired: 'stopped', protected: true } as const;
    expect(vmFinding(vm, seen('running'), 'respect')).toBe('started');
    expect(vmFinding(vm, undefined, 'respect')).toBe('well');
  });
});

it.each([
  [0, 3, false],
  [1, 1, false],
  [1, 3, false],
  [1, 2, false],
  [2, 2, true],
  [2, 3, true],
  [2, 4, false],
  [3, 4, true],
])('%i of %i hosts silent: blind is %p', (silent, watched, blind) => {
  expect(isBlind(silent, watched)).toBe(blind);
});

describe('taking a missing VM up again', () => {
  const ended = (
    outcome: 'recovered' | 'partially-recovered' | 'aborted' | 'stuck' | 'dismissed',
    second: number,
  ) => ({
    outcome,
    closedAt: at(second),
  });
  const listed = 200_000;
  it.each([
    ['it was never taken up', [], at(1), 200, true],
    ['its incident is open', [{ outcome: undefined, closedAt: undefined }], at(1), 200, true],
    ['it was recovered before', [ended('recovered', 100)], at(150), 200, true],
    ['the list is older than the end', [ended('recovered', 300)], at(150), 400, false],
    ['a person has ended it', [ended('aborted', 100)], at(50), 9_000, false],
    ['a person gave up, and it has run since', [ended('stuck', 100)], at(150), 200, true],
    ['no room a moment ago', [ended('partially-recovered', 190)], at(50), 200, false],
    ['no room a minute ago', [ended('partially-recovered', 130)], at(50), 200, true],
    [
      'no room twice, the last a minute ago',
      [ended('partially-recovered', 130), ended('partially-recovered', 30)],
      at(50),
      200,
      false,
    ],
  ] as const)('%s', (_, incidents, observedAt, nowSeconds, may) => {
    expect(mayTakeUp(incidents, observedAt, listed, nowSeconds * 1000)).toBe(may);
  });
});

describe('what may be done by itself', () => {
  const hosts = ['hv-a', 'hv-b', 'hv-c', 'hv-d'].map((id) => ({ id: hostId(id) })) as unknown as Host[];
  const cluster = { id: clusterId('c1'), mode: 'automatic', hosts } as const;
  const host = (
    name: string,
    seenAt: string | undefined,
    standing: HostRecord['standing'] = 'in-service',
  ) => ({
    ...{ hostId: hostId(name), clusterId: cluster.id, standing, bootId: 'b', lastSeenAt: seenAt, version: 1 },
  });
  const claim: FleetClaim = { owner: { id: 'a', name: 'a' }, claimedAt: at(100), seenAt: at(100) };
  const thrown = (scope: ArmSwitch['scope'], armed: boolean, second: number): ArmSwitch => ({
    ...{ scope, armed, by: 'alice', reason: 'why', at: at(second) },
  });
  const known = [host('hv-a', at(110)), host('hv-b', at(120))];

  it('is what the config says once every host was seen since the fleet was taken', () => {
    expect(effectiveMode(cluster, known, claim, [])).toEqual({ mode: 'automatic', why: undefined });
  });

  it('is observing while a host was seen only by another owner, and says which', () => {
    const mode = effectiveMode(cluster, [host('hv-a', at(110)), host('hv-b', at(90))], claim, []);
    expect(mode).toMatchObject({ mode: 'observe' });
    expect(mode.why).toContain('hv-b was not seen since');
  });

  it('does not wait for a host that is meant to be away', () => {
    const hosts = [...known, host('hv-c', undefined, 'maintenance'), host('hv-d', at(1), 'fenced')];
    expect(effectiveMode(cluster, hosts, claim, []).mode).toBe('automatic');
  });

  it('does not wait for a host that the config does not name any more', () => {
    expect(effectiveMode(cluster, [...known, host('hv-old', at(1))], claim, []).mode).toBe('automatic');
  });

  it('takes the word of a person who arms it, given since the fleet was taken', () => {
    const hosts = [host('hv-a', undefined)];
    expect(effectiveMode(cluster, hosts, claim, [thrown('c1' as never, true, 101)]).mode).toBe('automatic');
    expect(effectiveMode(cluster, hosts, claim, [thrown('fleet', true, 99)]).mode).toBe('observe');
  });

  it.each(['fleet', clusterId('c1')] as const)('is observing while %s is disarmed', (scope) => {
    const mode = effectiveMode(cluster, known, claim, [thrown(scope, false, 130)]);
    expect(mode.mode).toBe('observe');
    expect(mode.why).toContain('alice has disarmed');
  });

  it('is not touched by another cluster that is disarmed', () => {
    expect(effectiveMode(cluster, known, claim, [thrown(clusterId('c2'), false, 130)]).mode).toBe(
      'automatic',
    );
  });
});

it.each([
  [
    'stopped by a person, and not heard since',
    { outcome: 'aborted', closedAt: at(10) } as const,
    at(5),
    true,
  ],
  [
    'stopped by a person, and never heard',
    { outcome: 'aborted', closedAt: at(10) } as const,
    undefined,
    true,
  ],
  ['stopped by a person, and heard since', { outcome: 'aborted', closedAt: at(10) } as const, at(15), false],
  ['brought to its end', { outcome: 'recovered', closedAt: at(10) } as const, at(5), false],
  ['never asked for', undefined, at(5), false],
])('tells whether a recovery that was %s is left to people', (_, latest, lastSeenAt, left) => {
  expect(wasStopped(latest, lastSeenAt)).toBe(left);
});
