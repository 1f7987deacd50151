/** Where a missing VM is: what one may conclude from lists, and what not. */
import { whereabouts } from '../../../activities/missing-vm';
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
  const paused = { hostId: a, seen: 'between' as const, words: 'paused (io-error) on hv-a', here: true };
  expect(whereabouts(vm, [paused, absent(b)], true)).toMatchObject({ is: 'not-known' });
});
