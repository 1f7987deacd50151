import fc from 'fast-check';
import { fenceDeviceId, hostId, poolId } from '../../../domain/ids';
import { type HostVerdict, judgeHost, powerReadsOff } from '../../../domain/judge-host';
import type { HostSign } from '../../../domain/observations';

const observedAt = '2026-03-01T12:00:00.000Z';
const bootId = 'boot-1';

const hypervisorWords = ['none', 'answers', 'refused', 'silent', 'hung', 'not-asked'] as const;
const commandsWords = ['none', 'answers', 'refused', 'silent'] as const;
type HypervisorWord = (typeof hypervisorWords)[number];
type CommandsWord = (typeof commandsWords)[number];
type Verdict = HostVerdict['verdict'];

function hypervisor(says: HypervisorWord): HostSign[] {
  if (says === 'none') return [];
  const source = 'hypervisor';
  if (says === 'not-asked') return [{ source, says, detail: 'its vCenter is down', observedAt }];
  return says === 'answers' ? [{ source, says, runningVms: 1, observedAt }] : [{ source, says, observedAt }];
}

function commands(says: CommandsWord): HostSign[] {
  if (says === 'none') return [];
  const source = 'commands';
  return says === 'answers' ? [{ source, says, bootId, observedAt }] : [{ source, says, observedAt }];
}

const power = (says: 'on' | 'off' | 'silent' | 'login-refused', n = 1): HostSign => ({
  ...{ source: 'power', says, observedAt },
  deviceId: fenceDeviceId(`psu-${n}`),
});

type Row = Readonly<Record<CommandsWord, Verdict>>;
type Grid = Readonly<Record<HypervisorWord, Row>>;
const row = (none: Verdict, answers: Verdict, refused: Verdict, silent: Verdict): Row => ({
  ...{ none, answers, refused, silent },
});

const [alive, degraded, suspect, dead] = ['alive', 'degraded', 'suspect', 'dead-by-evidence'] as const;

/** Columns: host commands none, answers, refused, silent. */
const withoutOff: Grid = {
  none: row(suspect, degraded, degraded, suspect),
  answers: row(alive, alive, alive, alive),
  refused: row(degraded, degraded, degraded, degraded),
  silent: row(suspect, degraded, degraded, dead),
  hung: row(degraded, degraded, degraded, degraded),
  'not-asked': row(suspect, degraded, degraded, suspect),
};
const withOff: Grid = {
  none: row(dead, degraded, dead, dead),
  answers: row(alive, alive, alive, alive),
  refused: row(dead, degraded, dead, dead),
  silent: row(dead, degraded, dead, dead),
  hung: row(dead, degraded, dead, dead),
  'not-asked': row(dead, degraded, dead, dead),
};

const powerSays: readonly [string, readonly HostSign[], Grid][] = [
  ['no power was read', [], withoutOff],
  ['power reads on', [power('on')], withoutOff],
  ['the fence device is silent', [power('silent')], withoutOff],
  ['the fence device refuses the login', [power('login-refused')], withoutOff],
  ['one of two supplies reads off', [power('off', 1), power('on', 2)], withoutOff],
  ['one supply reads off and the other is silent', [power('off', 1), power('silent', 2)], withoutOff],
  ['power reads off', [power('off')], withOff],
  ['both supplies read off', [power('off', 1), power('off', 2)], withOff],
];

const every = powerSays.flatMap(([name, signs, grid]) =>
  hypervisorWords.flatMap((h) =>
    commandsWords.map((c) => ({
      name,
      h,
      c,
      signs: [...hypervisor(h), ...commands(c), ...signs],
      expected: grid[h][c],
    })),
  ),
);

it.each(every)('$name, hypervisor $h, commands $c: $expected', ({ signs, expected }) => {
  expect(judgeHost(signs).verdict).toBe(expected);
});

it('says the same in whatever order the signs came', () => {
  const shuffled = fc
    .constantFrom(...every)
    .chain(({ signs, expected }) =>
      fc.tuple(
        fc.shuffledSubarray([...signs], { minLength: signs.length, maxLength: signs.length }),
        fc.constant(expected),
      ),
    );
  fc.assert(fc.property(shuffled, ([signs, expected]) => judgeHost(signs).verdict === expected));
});

it('never finds a host dead whose hypervisor or host commands answer', () => {
  const answers = every.filter((e) => e.h === 'answers' || e.c === 'answers');
  expect(answers.filter((e) => judgeHost(e.signs).verdict === 'dead-by-evidence')).toEqual([]);
});

it('never finds a host dead by one silent source', () => {
  for (const one of [hypervisor('silent'), commands('silent'), [power('silent')], []])
    expect(judgeHost(one).verdict).toBe('suspect');
});

it('names the boot id whenever the host told it', () => {
  expect(judgeHost([...hypervisor('answers'), ...commands('answers')])).toMatchObject({ bootId });
  expect(judgeHost([...hypervisor('hung'), ...commands('answers')])).toMatchObject({ bootId });
});

it('says which second source is missing', () => {
  const said = judgeHost(hypervisor('silent'));
  expect(said.verdict === 'suspect' && said.missing).toMatch(/host commands/);
  const other = judgeHost(commands('silent'));
  expect(other.verdict === 'suspect' && other.missing).toMatch(/hypervisor/);
});

describe('a host that is silent towards VMedic', () => {
  const silent = [...hypervisor('silent'), ...commands('silent')];
  const neighbour = (says: 'reaches-it' | 'does-not' | 'not-known', via = 'hv-b'): HostSign => ({
    ...{ source: 'neighbour', via: hostId(via), says, observedAt },
  });

  it('is not dead while a neighbour reaches it: the link to VMedic may be', () => {
    const verdict = judgeHost([...silent, neighbour('does-not'), neighbour('reaches-it', 'hv-c')]);
    expect(verdict.verdict).toBe('suspect');
    expect(verdict.why).toContain('hv-c reaches it');
  });

  it.each(['does-not', 'not-known'] as const)('is dead when a neighbour says %s', (says) => {
    expect(judgeHost([...silent, neighbour(says)]).verdict).toBe('dead-by-evidence');
  });

  it('is dead when its power reads off, whatever answers on its address', () => {
    expect(judgeHost([...silent, power('off'), neighbour('reaches-it')]).verdict).toBe('dead-by-evidence');
  });
});

describe('a host that writes its heartbeat to a shared pool', () => {
  const beat = (says: 'writes' | 'still' | 'not-known', via = 'hv-b'): HostSign => ({
    ...{ source: 'storage', poolId: poolId('shared'), via: hostId(via), says, observedAt },
  });
  const silent = [...hypervisor('silent'), ...commands('silent')];

  it('is never found dead, whatever else is seen or not seen, a BMC that reads off included', () => {
    for (const { signs } of every)
      expect(judgeHost([...signs, beat('still', 'hv-c'), beat('writes')]).verdict).toMatch(
        /^(alive|degraded)$/,
      );
    expect(judgeHost([...silent, beat('writes')]).why).toContain('hv-b sees it write its heartbeat');
  });

  it.each(['still', 'not-known'] as const)(
    'is judged by everything else when its heartbeat is "%s"',
    (says) => {
      for (const { signs, expected } of every)
        expect(judgeHost([...signs, beat(says), beat(says, 'hv-c')]).verdict).toBe(expected);
    },
  );

  it('is not dead by a heartbeat that stands still and one silent source', () => {
    expect(judgeHost([...hypervisor('silent'), beat('still')]).verdict).toBe('suspect');
    expect(judgeHost([beat('still')]).verdict).toBe('suspect');
  });
});

it.each<[string, readonly HostSign[], boolean]>([
  ['both power supplies', [power('off', 1), power('off', 2)], true],
  ['one of two', [power('off', 1), power('on', 2)], false],
  ['one, while the other is silent', [power('off', 1), power('silent', 2)], false],
  ['none', [...hypervisor('silent'), ...commands('silent')], false],
])('reads the power as off by %s: only all of them prove it', (_, signs, off) => {
  expect(powerReadsOff(signs)).toBe(off);
});
