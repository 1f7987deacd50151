/** A monitor says the same again and again. It outranks neither what a person has decided nor what a policy says. */
import type { Inventory } from '../../client/cli/session';
import type { HttpDoor } from '../../client/http/door';
import { heedAll } from '../../client/http/webhooks/reports';
import type { Cluster } from '../../domain/fleet';
import { fleet, host, hvA, incident, inventory, vm } from '../support/command-line';

const ago = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();
const sender = { name: 'pager', origin: 'here', requestId: 'r' };

async function heeded(
  about: { readonly kind: 'host' | 'vm'; readonly name: string },
  rows: Partial<Inventory>,
  missingVms: 'restart' | 'leave' = 'restart',
): Promise<string> {
  const [one] = fleet.clusters as [Cluster];
  const watch = { ...one.policy.watch, missingVms };
  const door = {
    fleet: { ...fleet, clusters: [{ ...one, policy: { ...one.policy, watch } }] },
    inventory: inventory(rows),
    temporal: () => Promise.reject(new Error('asked')),
  } as unknown as HttpDoor;
  try {
    const [answer] = await heedAll(door, sender, [{ about, reason: 'down', key: 'k' }]);
    return `${answer?.became ?? ''}: ${answer?.sentence ?? ''}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const stopped = { outcome: 'aborted', closedAt: ago(60) } as const;
const web = { kind: 'vm', name: 'web' } as const;
const ofVm = (more: object, seenAgo: number): Partial<Inventory> => ({
  vms: () => Promise.resolve([vm('web', { observed: { state: 'shut-off', reason: 'x', at: ago(seenAgo) } })]),
  incidents: (filter) => Promise.resolve('vmId' in (filter ?? {}) ? [incident(more)] : []),
});

it('leaves a host alone whose recovery a person has stopped, until it was heard again', async () => {
  const rows = (seenAgo: number): Partial<Inventory> => ({
    incidents: () => Promise.resolve([incident(stopped)]),
    host: () => Promise.resolve(host(hvA, { lastSeenAt: ago(seenAgo) })),
  });
  const about = { kind: 'host', name: 'hv-a' } as const;
  expect(await heeded(about, rows(90))).toMatch(/^refused: .*stopped by a person/);
  expect(await heeded(about, rows(30))).toBe('asked');
});

it('leaves a VM alone whose recovery a person has stopped, until something about it has changed', async () => {
  expect(await heeded(web, ofVm(stopped, 90))).toMatch(/^refused: .*end as aborted/);
  expect(await heeded(web, ofVm(stopped, 30))).toBe('asked');
});

it('asks for no VM where those that are missing are left to another system', async () => {
  expect(await heeded(web, ofVm({ outcome: 'recovered', closedAt: ago(60) }, 30), 'leave')).toMatch(
    /^refused: .*left to another system/,
  );
});
