/** What is concluded of an order to move a disk that may have been sent, while others work on the VM as well. */
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { Environment } from '../../../activities/environment';
import { moveVolumeActivities } from '../../../activities/move-volume';
import type { FoundTask, MoveDirection, Submitted } from '../../../activities/ports';
import type { FenceEvidence } from '../../../domain/evidence';
import { DriverFault, fault } from '../../../domain/faults';
import { hostId, incidentId, poolId, vmId as vmIdOf } from '../../../domain/ids';
import type { TimelineEntry } from '../../../domain/records';
import type { BeforeImage } from '../../../domain/volume-move';

const host = hostId('esx-1');
const vmId = vmIdOf('11111111-0000-4000-8000-000000000001');
const incident = incidentId({ kind: 'vm', vmId }, 1);
const before: BeforeImage = {
  order: { attempt: 'm1', vmId, hostId: host, disks: [{ disk: 'd1', to: poolId('fast') }] },
  ...{ readAt: '2026-05-01T12:00:00.000Z', name: 'web', running: false, disks: [] },
  ...{ switches: 'by-itself', own: {} },
};
const intent = {
  ...{ kind: 'act', sentence: 'web: move d1 to fast (m1)', at: '2026-05-01T12:10:00.000Z' },
} as TimelineEntry;
/** The worker that wrote it down may be ahead by as much as clocks may differ. */
const earliest = '2026-05-01T12:09:55.000Z';
const lost: Submitted = { kind: 'unknown', fault: fault('MOVE_NOT_KNOWN', { vm: 'web', detail: 'cut' }) };
const busy = fault('MOVE_BUSY', { vm: 'web', detail: 'a backup takes a snapshot' });
const ours: FoundTask = { kind: 'found', task: { id: 'task-1' } };
const foreign: FoundTask = { kind: 'foreign', fault: busy };

function facing(world: {
  readonly timeline?: readonly TimelineEntry[];
  readonly finds?: readonly FoundTask[];
  readonly standing?: FenceEvidence;
  readonly guest?: 'running' | 'paused' | 'not read';
}) {
  const looked: string[] = [];
  const given: (readonly FenceEvidence[])[] = [];
  const finds = [...(world.finds ?? [])];
  const env = {
    fleet: { clusters: [{ id: 'c1', hosts: [{ id: host }] }] },
    inventory: {
      timeline: () => Promise.resolve(world.timeline ?? []),
      appendTimeline: () => Promise.resolve([]),
      switches: () => Promise.resolve([]),
      evidenceFor: () => Promise.resolve(world.standing),
    },
    hypervisor: {
      list: () =>
        world.guest === 'not read'
          ? Promise.reject(new DriverFault('HYPERVISOR_UNREACHABLE', { host, detail: 'no answer' }))
          : Promise.resolve({ vms: [{ vmId, state: world.guest, reason: 'user' }] }),
    },
    volumeMoves: {
      switchOver: () => Promise.resolve({ kind: 'ok' }),
      submit: () => Promise.resolve(lost),
      find: (_: BeforeImage, __: string, since: string) => {
        looked.push(since);
        return Promise.resolve(finds.shift() ?? foreign);
      },
      classify: (_: BeforeImage, { proofs }: { proofs: readonly FenceEvidence[] }) => {
        given.push(proofs);
        return Promise.resolve({ kind: 'IN_PROGRESS', detail: 'something' });
      },
    },
  } as unknown as Environment;
  const run = <T>(work: () => Promise<T>): Promise<T> =>
    new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(work);
  const acts = moveVolumeActivities(env);
  const of = { before, incidentId: incident } as const;
  return {
    ...{ looked, given },
    switchOver: () =>
      run(() => acts.switchMove({ ...of, before: { ...before, running: true }, task: { id: 'task-1' } })),
    submit: () => run(() => acts.submitMove({ ...of, direction: 'there' })),
    find: (direction: MoveDirection = 'there') => run(() => acts.findMoveTask({ ...of, direction })),
    read: (proofs: readonly FenceEvidence[]) =>
      run(() => acts.readMove({ ...of, known: { proofs, switchAsked: false } })),
  };
}

describe('an order that may have been sent', () => {
  it('stays one that may still begin while vCenter shows somebody else at work on the VM', async () => {
    const world = facing({ timeline: [intent] });
    expect(await world.submit()).toEqual({ kind: 'unknown', fault: busy });
    expect(world.looked).toEqual([earliest]);
  });

  it('is found behind somebody else’s work, when its answer was lost', async () => {
    const world = facing({ finds: [foreign, ours] });
    expect(await world.submit()).toEqual({ kind: 'accepted', task: { id: 'task-1' } });
  });

  it('is looked for from the moment when it was written down, not from when the VM was read', async () => {
    const world = facing({ timeline: [intent], finds: [ours] });
    expect(await world.find()).toEqual({ kind: 'found', task: { id: 'task-1' } });
    expect(world.looked).toEqual([earliest]);
  });

  it('on the way back is never the way there, which ended a moment before', async () => {
    const back = { ...intent, sentence: 'web: move back d1 to fast (m1)' };
    const world = facing({ timeline: [intent, back], finds: [ours] });
    expect(await world.find('back')).toEqual({ kind: 'found', task: { id: 'task-1' } });
    expect(world.looked).toEqual([intent.at]);
  });
});

it('finds nothing to stop where no order was written down, whatever is under way', async () => {
  const world = facing({ finds: [ours] });
  expect(await world.find()).toEqual({ kind: 'none' });
  expect(world.looked).toEqual([]);
});

describe('a proof that a host is off', () => {
  const proof = { id: 'e1', hostId: host } as unknown as FenceEvidence;

  it('counts for a reading while it stands', async () => {
    const world = facing({ standing: proof });
    expect(await world.read([proof])).not.toHaveProperty('lapsed');
    expect(world.given).toEqual([[proof]]);
  });

  it('counts for nothing once the host was seen to answer, and the run is told so', async () => {
    const world = facing({});
    expect(await world.read([proof])).toMatchObject({ lapsed: ['e1'] });
    expect(world.given).toEqual([[]]);
  });
});

describe('a guest that stands still before the first order to switch', () => {
  const asked = { ...intent, sentence: 'web: switch to the copy (m1)' };

  it('is left to whoever made it stand still', async () => {
    expect(await facing({ guest: 'paused' }).switchOver()).toMatchObject({
      ...{ kind: 'refused', untouched: true, fault: { code: 'MOVE_REFUSED' } },
    });
  });

  it.each([
    ['it runs', { guest: 'running' as const }],
    [
      'an earlier order of ours may have made it stand still',
      { guest: 'paused' as const, timeline: [asked] },
    ],
  ])('is no reason to refuse when %s', async (_, world) => {
    expect(await facing(world).switchOver()).toEqual({ kind: 'ok' });
  });

  it('is not guessed at while its host does not answer', async () => {
    expect(await facing({ guest: 'not read' }).switchOver()).toMatchObject({
      ...{ kind: 'unreachable', untouched: true },
    });
  });
});
