import { rmSync } from 'node:fs';
import { judge } from '../../client/cli/demo';
import { exitCodes } from '../../client/cli/exit-codes';
import { runsNow, troublesOf, workUnderWay } from '../../client/troubles';
import { codeOf } from '../../client/cli/wait';
import type { Ending } from '../../client/answers';
import { clusterId, hostId } from '../../domain/ids';
import { fleet, folder, host, incident, now, vm } from '../support/command-line';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('status', () => {
  const seen = (more: Partial<Parameters<typeof troublesOf>[0]> = {}) =>
    troublesOf({
      fleet,
      hosts: [host('hv-a'), host('hv-b')],
      vms: [vm('web')],
      open: [],
      alerts: [],
      unpolled: [],
      ...more,
    });

  it('has nothing to say when everything is well', () => {
    expect(seen()).toEqual([]);
  });

  it('names a cluster that nobody watches', () => {
    expect(seen({ unwatched: ['one'] }).map((t) => t.what)).toEqual([
      'nobody watches the cluster one: a failure there would not be noticed',
    ]);
  });

  it('says last how many VMs would not come back, as last checked, and nothing where all would', () => {
    const judged = (verdict: 'would-not' | 'comes-back') => ({
      ...{ vmId: vm('web').vmId, name: 'web', hostId: hostId('hv-a'), target: undefined },
      ...{ verdict, because: [], risks: [] },
    });
    const check = (...verdicts: Parameters<typeof judged>[0][]) => ({
      ...{ clusterId: clusterId('one'), at: now(), findings: [] },
      vms: verdicts.map(judged),
    });
    expect(seen({ checks: [undefined, check('comes-back')] })).toEqual([]);
    expect(seen({ checks: [check('would-not', 'comes-back')], unpolled: ['q'] }).map((t) => t.what)).toEqual([
      expect.stringContaining('no worker takes work'),
      '1 of 2 protected VMs of one would not come back if their host failed, as last checked: web',
    ]);
  });

  it('names each trouble once, with the next command', () => {
    const troubles = seen({
      hosts: [host('hv-a', { lastSeenAt: new Date(0).toISOString() }), host('hv-b', { standing: 'fenced' })],
      vms: [
        vm('web', { hostId: hostId('hv-b'), observed: { state: 'crashed', reason: 'panic', at: now() } }),
      ],
      open: [incident({ nextCommand: 'vmedic incident approve host-hv-a-1 --reason "..."', phase: 'held' })],
      unpolled: ['vmedic-power'],
    });
    expect(troubles.map((t) => [t.what, t.next])).toEqual([
      [
        expect.stringContaining('no worker takes work from the queue "vmedic-power"'),
        'vmedic up, or vmedic worker',
      ],
      [
        expect.stringContaining('incident host-hv-a-1 is held'),
        'vmedic incident approve host-hv-a-1 --reason "..."',
      ],
      ['host hv-b is fenced and takes no VMs', 'switch it on, then vmedic host readmit hv-b --reason "..."'],
      ['VM web is to run and is crashed (panic) on hv-b', 'vmedic vm restart web'],
    ]);
  });

  it('leaves a host that answers after it was fenced to its alert, and says itself that one is off which was fenced again', () => {
    const returned = {
      ...{ key: 'returned:hv-b', severity: 'warning' as const, sentence: 'hv-b answers again' },
      ...{ nextCommand: 'vmedic host readmit hv-b', incidentId: undefined },
      ...{ raisedAt: now(), clearedAt: undefined },
    };
    const told = (standing: 'quarantined' | 'fenced') =>
      seen({ hosts: [host('hv-a'), host('hv-b', { standing })], alerts: [returned] }).map((t) => t.what);
    expect(told('quarantined')).toEqual(['hv-b answers again']);
    expect(told('fenced')).toEqual(['hv-b answers again', 'host hv-b is fenced and takes no VMs']);
  });

  describe('a move of a disk', () => {
    const web = vm('web');
    const move = (more: Partial<Parameters<typeof incident>[0]>) =>
      incident({ target: { kind: 'vm', vmId: web.vmId }, phase: 'copying', summary: '42 %', ...more });

    it('is under way and not wrong while it goes as ordered, also while its guest stands still', () => {
      const open = [move({ phase: 'switching' })];
      const still = vm('web', { observed: { state: 'paused', reason: 'user', at: now() } });
      expect(seen({ open, vms: [still] })).toEqual([]);
      expect(workUnderWay(open)).toMatchObject([
        { what: expect.stringContaining('is switching: 42 %'), next: 'vmedic incident watch host-hv-a-1' },
      ]);
    });

    it.each([
      ['it waits for a person', { phase: 'stuck' }],
      ['it goes back', { phase: 'going-back' }],
      ['something is asked of a person', { nextCommand: 'vmedic incident resolve' }],
    ])('is wrong when %s', (_, more) => {
      const open = [move(more)];
      expect(workUnderWay(open)).toEqual([]);
      expect(seen({ open })).toHaveLength(1);
    });

    it('is told from the recovery of a host, which is wrong in whatever phase', () => {
      expect(seen({ open: [incident({ phase: 'copying' })] })).toHaveLength(1);
    });
  });

  it('a channel that takes no alerts is named once it is late, and not while a message is on its way', () => {
    const owed = (ageMs: number) => [
      { channel: 'webhook:pager', count: 2, oldestAt: new Date(Date.now() - ageMs).toISOString() },
    ];
    expect(seen({ owed: owed(1_000) })).toEqual([]);
    expect(seen({ owed: owed(120_000) })).toMatchObject([
      { what: 'webhook:pager has not taken 2 messages about alerts', since: expect.any(String) },
    ]);
  });

  it('VMs of a host that was proven off do not run, whatever was seen of them last', () => {
    const hosts = [host('hv-a', { standing: 'fenced' }), host('hv-b')];
    const down = vm('web', { hostId: hostId('hv-a') });
    expect(runsNow(down, hosts)).toBe(false);
    expect(seen({ hosts, vms: [down] }).map((t) => [t.what, t.next])).toContainEqual([
      'went down with hv-a and not brought back: web',
      'vmedic host recover hv-a --wait',
    ]);
    // The control: on a host that is well the same record says that it runs.
    expect(runsNow(down, [host('hv-a')])).toBe(true);
  });

  it('a host that is not seen any more is named with how long', () => {
    const old = new Date(Date.now() - 300_000).toISOString();
    expect(seen({ hosts: [host('hv-a', { lastSeenAt: old }), host('hv-b')] })).toEqual([
      { what: 'host hv-a does not answer', since: old, next: 'vmedic host recover hv-a --dry-run' },
    ]);
  });
});

describe('the exit code of what was waited for', () => {
  const result = (outcome: string): Ending =>
    ({ kind: 'finished', result: { outcome, vms: [], would: [], sentence: '' } }) as unknown as Ending;

  it.each<[string, Ending, number]>([
    ['recovered', result('recovered'), exitCodes.done],
    ['dismissed: the host lives', result('dismissed'), exitCodes.done],
    ['partly recovered', result('partially-recovered'), exitCodes.partly],
    ['aborted', result('aborted'), exitCodes.partly],
    ['waiting for a person', { kind: 'waits', incident: incident() }, exitCodes.waits],
    [
      'given up as stuck',
      { kind: 'failed', type: 'RecoveryStuck', sentence: '', vm: undefined },
      exitCodes.waits,
    ],
    [
      'taken back',
      { kind: 'failed', type: 'RecoveryCompensated', sentence: '', vm: undefined },
      exitCodes.partly,
    ],
  ])('%s', (_, ending, code) => {
    expect(codeOf(ending)).toBe(code);
  });
});

describe("the demo's verdict", () => {
  const before = [
    { name: 'a', host: 'hv-a' },
    { name: 'b', host: 'hv-b' },
  ];
  const good = [
    { name: 'a', runsOn: ['hv-b'], boots: 2, oracle: 'CLEAN', why: undefined },
    { name: 'b', runsOn: ['hv-b'], boots: 1, oracle: 'CLEAN', why: undefined },
  ] as const;
  const wrongs = (seen: Parameters<typeof judge>[2]): string[] =>
    judge(before, 'hv-a', seen, new Map()).flatMap((line) => [...line.wrong]);

  it('is good when each runs exactly once, where it may', () => {
    expect(wrongs(good)).toEqual([]);
  });

  it.each([
    ['runs nowhere', { runsOn: [] }],
    ['runs on 2 hosts at once', { runsOn: ['hv-b', 'hv-c'] }],
    ['runs on hv-a, which has no power', { runsOn: ['hv-a'] }],
    ['was booted 3 times, not 2', { boots: 3 }],
    ['its disk is VIOLATION: two writers', { oracle: 'VIOLATION' as const, why: 'two writers' }],
    ['its disk is UNKNOWN: torn', { oracle: 'UNKNOWN' as const, why: 'torn' }],
  ])('complains when a VM %s', (complaint, change) => {
    expect(wrongs([{ ...good[0], ...change }, good[1]])).toEqual([complaint]);
  });

  it('complains of a VM that was moved though its host is well, and of one that was not looked at', () => {
    expect(wrongs([good[0], { ...good[1], runsOn: ['hv-c'] }])).toEqual([
      'was moved from hv-b, which is well',
    ]);
    expect(wrongs([good[0]])).toContain('runs nowhere');
  });
});
