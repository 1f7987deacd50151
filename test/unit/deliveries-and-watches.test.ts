/** Who may send what, for how long a claim lets them, and whether anybody looks at a cluster. */
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import { pino } from 'pino';
import { keepWatched } from '../../client/cli/watched';
import { clustersUnwatched } from '../../client/watches';
import type { Delivery } from '../../activities/ports';
import type { OpenInventory } from '../../drivers/postgres';
import { waitFor } from '../../lab/wait-for';
import { startOutbox } from '../../workers/outbox';
import { hostId, type VmId } from '../../domain/ids';
import { aboutOf } from '../../drivers/alertmanager/about';
import { subjectOf } from '../../workers/alert-subject';
import type { TimelineEntry } from '../../domain/records';
import { fleet, host, incident, vm } from '../support/command-line';

const delivery = (n: number): Delivery => ({
  ...{ alertId: n, channel: 'pager', notice: 'raised', round: 0, attempts: 1, dedupeKey: `${n}` },
  alert: {
    ...{ key: `unfenced:${n}`, severity: 'critical', sentence: 'it needs somebody', nextCommand: undefined },
    ...{ incidentId: undefined, raisedAt: new Date().toISOString(), clearedAt: undefined },
  },
  incident: undefined,
});

describe('a sender whose receiver is slow', () => {
  const start = Date.now();
  let now = start;
  beforeEach(() => {
    now = start;
    jest.spyOn(Date, 'now').mockImplementation(() => now);
  });
  afterEach(() => jest.restoreAllMocks());

  it('begins no delivery that could outlast its claim, and gives back what is left while it is still its own', async () => {
    const sent: number[] = [];
    const left: number[] = [];
    const claims: number[] = [];
    const inventory = {
      endOldNews: () => Promise.resolve(),
      vm: () => Promise.resolve(undefined),
      planDeliveries: () => Promise.resolve(0),
      removeOlderThan: () => Promise.resolve(0),
      claimDeliveries: ({ leaseMs }: { leaseMs: number }) => {
        claims.push(now + leaseMs);
        return Promise.resolve(claims.length > 1 ? [] : Array.from({ length: 50 }, (_, n) => delivery(n)));
      },
      noteDelivered: () => Promise.resolve(),
      noteNotDelivered: ({ alertId }: Delivery, _: string, dueAt: string, tried?: boolean) => {
        expect(tried).toBe(false);
        expect(Date.parse(dueAt)).toBeLessThanOrEqual(now);
        expect(now).toBeLessThan(claims[0] ?? 0);
        left.push(alertId);
        return Promise.resolve();
      },
    } as unknown as OpenInventory;
    const notifier = {
      deliver: () => {
        // The worst that one delivery takes must still be within the claim.
        expect(now + 10_000).toBeLessThan(claims[0] ?? 0);
        sent.push(now);
        now += 2_000;
        return Promise.resolve();
      },
    };
    const outbox = startOutbox({
      ...{ inventory, log: pino({ level: 'silent' }), config: {}, everyMs: 5, door: { fleet } as never },
      channels: [{ name: 'pager', notifier, standing: undefined }],
    });
    // By the test's own clock, which its deliveries move on.
    await waitFor('the next round', 60_000, () => claims.length > 1);
    await outbox.stop();
    expect(sent.length).toBeGreaterThan(5);
    expect(sent.length + left.length).toBe(50);
  });

  it('counts an attempt of the one that failed alone, however often it did, and has the others wait a few seconds at most', async () => {
    const noted: [number, number, boolean][] = [];
    let claims = 0;
    const due = [{ ...delivery(1), attempts: 12 }, delivery(2), delivery(3)];
    const inventory = {
      endOldNews: () => Promise.resolve(),
      vm: () => Promise.resolve(undefined),
      planDeliveries: () => Promise.resolve(0),
      removeOlderThan: () => Promise.resolve(0),
      claimDeliveries: () => Promise.resolve(claims++ === 0 ? due : []),
      noteNotDelivered: ({ alertId }: Delivery, _: string, dueAt: string, tried = true) =>
        Promise.resolve(void noted.push([alertId, (Date.parse(dueAt) - now) / 1_000, tried])),
    } as unknown as OpenInventory;
    const notifier = { deliver: () => Promise.reject(new Error('refused: 400')) };
    const outbox = startOutbox({
      ...{ inventory, log: pino({ level: 'silent' }), config: {}, everyMs: 5, door: { fleet } as never },
      channels: [{ name: 'pager', notifier, standing: undefined }],
    });
    await waitFor('the next round', 5_000, () => claims > 1);
    await outbox.stop();
    expect(noted).toEqual([
      [1, 300, true],
      [2, 5, false],
      [3, 5, false],
    ]);
  });
});

describe('an alert of no incident', () => {
  const ago = (seconds: number) => new Date(start - seconds * 1000).toISOString();
  const start = Date.now();
  const rows = {
    timeline: () => Promise.resolve([]),
    host: () => Promise.resolve(host('hv-a', { lastSeenAt: ago(100) })),
    vm: (id: VmId) =>
      Promise.resolve(
        [
          vm('web', { hostId: hostId('hv-b'), observed: { state: 'crashed', reason: 'panic', at: ago(70) } }),
        ].find((v) => v.vmId === id),
      ),
  };
  const about = async (key: string) => {
    const { alert } = { ...delivery(0) };
    const raised = { ...alert, key, raisedAt: ago(60) };
    return aboutOf({ ...raised, subject: await subjectOf(fleet, rows, raised, undefined) }, start);
  };

  it('names its host, its VM and where that is, or its cluster, and since when they are down', async () => {
    expect(await about('observed:hv-a')).toEqual({
      labels: { cluster: 'one', host: 'hv-a' },
      annotations: { downtime: '100 s' },
    });
    expect(await about(`twice:${vm('web').vmId}:5`)).toEqual({
      labels: { cluster: 'one', vm: vm('web').vmId },
      annotations: { downtime: '70 s', vm_name: 'web', target: 'hv-b' },
    });
    expect(await about('blind:one')).toEqual({
      labels: { cluster: 'one' },
      annotations: { downtime: '60 s' },
    });
    expect(await about('moved:gone:3')).toEqual({ labels: {}, annotations: {} });
  });
});

it('an alert of a host that was recovered names where its VMs run now, and counts from when it was last seen', async () => {
  const closed = incident({ openedAt: '2026-01-01T00:00:10.000Z', closedAt: '2026-01-01T00:00:30.000Z' });
  const settled = (phase: string, target: string | undefined) => ({ phase, target });
  const facts = {
    vms: [settled('running', 'hv-b'), settled('guest-degraded', 'hv-b'), settled('blocked', 'hv-c')],
  };
  const rows = {
    host: () => Promise.resolve(host('hv-a', { lastSeenAt: '2026-01-01T00:00:00.000Z' })),
    vm: () => Promise.resolve(undefined),
    timeline: () => Promise.resolve([{ facts }, { facts: {} }] as unknown as TimelineEntry[]),
  };
  const alert = { ...delivery(0).alert, key: 'host:hv-a:host-hv-a-1', raisedAt: '2026-01-01T00:00:30.000Z' };
  const subject = await subjectOf(fleet, rows, alert, closed);
  expect(aboutOf({ ...alert, incident: closed, subject }, Date.now())).toMatchObject({
    labels: { cluster: 'one', host: 'hv-a', incident: closed.incidentId },
    annotations: { downtime: '30 s', target: 'hv-b (2)' },
  });
});

describe('a cluster is watched', () => {
  const at = (msAgo: number) => ({ seconds: (Date.now() - msAgo) / 1000 });
  const run = (status: string, startedMsAgo: number, ...heardMsAgo: number[]) => ({
    status: { name: status },
    startTime: new Date(Date.now() - startedMsAgo),
    raw: { pendingActivities: heardMsAgo.map((ms) => ({ lastHeartbeatTime: at(ms) })) },
  });
  const unwatched = (described: () => Promise<unknown>) =>
    clustersUnwatched(
      { workflow: { getHandle: () => ({ describe: described }) } } as unknown as Client,
      fleet,
    );

  it.each([
    ['runs and was heard of', true, run('RUNNING', 3_600_000, 2_000)],
    ['was begun a moment ago', true, run('RUNNING', 2_000)],
    ['runs and was not heard of for two minutes', false, run('RUNNING', 3_600_000, 120_000)],
    ['was terminated', false, run('TERMINATED', 3_600_000, 2_000)],
  ])('while its watch %s: %p', async (_, watched, described) => {
    expect(await unwatched(() => Promise.resolve(described))).toEqual(watched ? [] : ['one']);
  });

  it('not while it never had one', async () => {
    const none = () => Promise.reject(new WorkflowNotFoundError('none', 'watch:one', undefined));
    expect(await unwatched(none)).toEqual(['one']);
  });

  it('again after somebody ended its watch, also where Temporal did not answer at first', async () => {
    const said: string[] = [];
    let asked = 0;
    const stop = keepWatched(
      () => (++asked < 3 ? Promise.reject(new Error('no answer')) : Promise.resolve()),
      (line) => void said.push(line),
      5,
    );
    await waitFor('it to be asked again', 5_000, () => asked > 4);
    stop();
    expect(said).toEqual(['the watches could not be seen to: Error: no answer']);
  });
});
