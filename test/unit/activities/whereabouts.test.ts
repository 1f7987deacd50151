/** Where a missing VM is: what one may conclude from lists, and what not. */
import type { Environment } from '../../../activities/environment';
import { missingVmActivities, whereabouts } from '../../../activities/missing-vm';
import { hostId } from '../../../domain/ids';

const [a, b, c] = ['hv-a', 'hv-b', 'hv-c'].map(hostId) as [never, never, never];
const vm = { name: 'vm-001', hostId: a };
const rest = (id: never, here: boolean) => ({
  hostId: id,
  seen: 'at-rest' as const,
  words: 'shut-off',
  here,
});
const absent = (id: never) => ({ hostId: id, seen: 'absent' as const });
const unread = (id: never) => ({ hostId: id, seen: 'unreadable' as const, why: 'no answer' });

it('runs where one list shows it running, whatever the others say', () => {
  const runs = { hostId: b, seen: 'running' as const, words: 'running', here: false };
  expect(whereabouts(vm, [rest(a, true), runs, unread(c)], true)).toMatchObject({ is: 'running', on: b });
});

it('runs nowhere when its own host says that it stopped right there, though another host cannot be read', () => {
  expect(whereabouts(vm, [rest(a, true), absent(b), unread(c)], true)).toMatchObject({
    is: 'nowhere',
    home: a,
  });
});

it.each([
  ['is absent from its own host', absent(a)],
  ['stopped there for a reason that may mean it went elsewhere', rest(a, false)],
  ['cannot be asked about at its own host', unread(a)],
])('may run where nobody can look when it %s', (_, own) => {
  expect(whereabouts(vm, [own, absent(b), unread(c)], true)).toMatchObject({ is: 'not-known' });
});

it('runs nowhere when every host of its cluster is read or proven off', () => {
  const sights = [absent(a), absent(b), { hostId: c, seen: 'off' as const }];
  expect(whereabouts(vm, sights, true)).toMatchObject({ is: 'nowhere', home: a });
  expect(whereabouts(vm, sights, false)).toMatchObject({ is: 'nowhere', home: undefined });
});

it('is not known while a process of it is there that may write again', () => {
  const paused = { hostId: a, seen: 'between' as const, words: 'paused (user) on hv-a', here: true };
  expect(whereabouts(vm, [paused, absent(b)], true, 'resume')).toMatchObject({ is: 'not-known' });
});

const stands = (reason: string, on = a) => ({
  ...{ hostId: on, seen: 'between' as const, words: `paused (${reason}) on ${String(on)}`, here: on === a },
  paused: reason,
});
it.each([
  [
    'an I/O error, and its policy is to resume',
    stands('I/O error'),
    'resume',
    { is: 'paused', on: a, how: 'resume' },
  ],
  [
    'an I/O error, and its policy is to restart',
    stands('io-error'),
    'restart',
    { is: 'paused', how: 'restart' },
  ],
  ['an I/O error, and its policy is to leave it', stands('io-error'), 'leave', { is: 'not-known' }],
  [
    'a crash, and its policy is to resume',
    stands('crashed and preserved: panicked'),
    'resume',
    { is: 'not-known' },
  ],
  ['a crash, and its policy is to restart', stands('crashed'), 'restart', { is: 'paused', how: 'restart' }],
  ['an I/O error, on another host than its own', stands('io-error', b), 'restart', { is: 'not-known' }],
] as const)('paused after %s', (_, sight, policy, expected) => {
  const own = sight.hostId === a ? [sight] : [absent(a), sight];
  expect(whereabouts(vm, own, true, policy)).toMatchObject(expected);
});

it('is not freed where it stands while it stands on another host as well, or runs there', () => {
  expect(whereabouts(vm, [stands('io-error'), stands('io-error', b)], true, 'restart')).toMatchObject({
    is: 'not-known',
  });
  const runs = { hostId: b, seen: 'running' as const, words: '', here: false };
  expect(whereabouts(vm, [stands('io-error'), runs], true, 'restart')).toMatchObject({ is: 'running' });
});

describe('a VM whose guest has shut it down, which a monitor calls down', () => {
  const policy = (guestShutdown: string) => ({
    watch: { guestShutdown, onIoError: 'leave', restartBudget: { restarts: 2, perMs: 60_000 } },
  });
  const environment = (guestShutdown: string, more: object = {}): Environment =>
    ({
      fleet: { clusters: [{ id: 'one', hosts: [{ id: a }], vms: {}, policy: policy(guestShutdown) }] },
      inventory: {
        vm: () =>
          Promise.resolve({ ...vm, vmId: 'id', clusterId: 'one', protected: true, desired: 'running' }),
        host: () => Promise.resolve({ standing: 'in-service' }),
        evidenceFor: () => Promise.resolve(undefined),
        ...more,
      },
      lists: {
        read: () => Promise.resolve({ vms: [{ vmId: 'id', state: 'shut-off', reason: 'shutdown' }] }),
      },
    }) as unknown as Environment;
  const find = (guestShutdown: string, reported: boolean) =>
    missingVmActivities(environment(guestShutdown)).findVm({
      ...{ vmId: 'id' as never },
      ...(reported && { reported: true as const }),
    });

  it('is left down by a policy that respects that, and started by any other, or when something else says that it is missing', async () => {
    expect(await find('respect', true)).toMatchObject({ is: 'not-wanted' });
    expect(await find('restart', true)).toMatchObject({ is: 'nowhere' });
    expect(await find('respect', false)).toMatchObject({ is: 'nowhere' });
  });

  it('uses its restart budget as much by what monitors asked for as by what the watch did, and not by what people did', async () => {
    const incident = (source: string) => ({
      ...{ incidentId: source, outcome: 'recovered', openedAt: new Date().toISOString() },
      triggers: [{ source }],
    });
    const incidents = () => Promise.resolve(['watch', 'webhook', 'operator'].map(incident));
    const { restartBudget } = missingVmActivities(environment('respect', { incidents }));
    expect(await restartBudget({ vmId: 'id' as never, incidentId: 'new' as never })).toMatchObject({
      used: 2,
    });
  });
});
