/** A volume's move in every way a world can carry it out, or say that it did. */
import type { SampleOptions } from '../../drivers/simulated';
import type { MoveManner } from '../../drivers/simulated/volume-works';
import type { MoveVerdict } from '../../domain/volume-move';
import { workflowIds } from '../../domain/ids';
import { failureTypes } from '../../workflows/inputs';
import { abortUpdate, holdUpdate, resolveStuckUpdate, resumeUpdate } from '../../workflows/messages';
import {
  begunOf,
  copiesLeft,
  incidentOfVm,
  judgeMove,
  moveStatusOf,
  placesOf,
  poolOf,
  recordedPaths,
  recordIsTrue,
  stopVm,
  untilMovePhase,
} from '../support/moves';
import { type Intercept, quickPace } from '../support/recovery-system';
import { endedCancelled, eventually, failureOf, refusalOf, said, systems } from '../support/story';

const begin = systems();
const two = { hosts: 2, vmsPerHost: 1, secondPool: true } as const satisfies Partial<SampleOptions>;

interface Lie {
  readonly manner: MoveManner;
  readonly phase: 'moved' | 'not-moved';
  readonly disksPerVm: number;
  /** The contract suite has the whole product; here each is met where it differs. */
  readonly on: readonly ('dir' | 'vmfs')[];
}

const lies: readonly Lie[] = [
  { manner: 'says-done-does-nothing', phase: 'not-moved', disksPerVm: 1, on: ['vmfs'] },
  { manner: 'moves-part', phase: 'not-moved', disksPerVm: 2, on: ['dir', 'vmfs'] },
  { manner: 'moves-part-says-failed', phase: 'not-moved', disksPerVm: 2, on: ['vmfs'] },
  { manner: 'fails-before', phase: 'not-moved', disksPerVm: 1, on: ['vmfs'] },
  { manner: 'fails-after-copy', phase: 'not-moved', disksPerVm: 2, on: ['vmfs'] },
  { manner: 'no-space', phase: 'not-moved', disksPerVm: 2, on: ['dir'] },
  { manner: 'moves-says-failed', phase: 'moved', disksPerVm: 1, on: ['vmfs'] },
  { manner: 'keeps-source', phase: 'moved', disksPerVm: 1, on: ['vmfs'] },
];

describe.each(['dir', 'vmfs'] as const)('on a %s pool', (storage) => {
  it.each(['running', 'stopped'] as const)(
    'moves the disk of a %s VM, once, and its old place is gone',
    async (state) => {
      const system = await begin({ ...two, storage });
      const [source] = placesOf(system, 'vm-001');
      if (state === 'stopped') stopVm(system, 'vm-001');
      const run = await system.migrateVolume('vm-001');
      await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
      const [now] = placesOf(system, 'vm-001');
      expect(now).toMatchObject({ pool: poolOf(system, 'second'), boots: source?.boots });
      expect(system.controls.snapshot().disks.map((d) => d.path)).not.toContain(source?.path);
      expect(begunOf(system, 'vm-001')).toBe(1);
      if (state === 'running') await judgeMove(system, 'vm-001');
      expect(await system.inventory.incident(incidentOfVm(system, 'vm-001'))).toMatchObject({
        outcome: 'moved',
        phase: 'moved',
      });
    },
  );

  it.each(lies.filter((l) => l.on.includes(storage)))(
    '$manner: ends as $phase, and the record is what is',
    async ({ manner, phase, disksPerVm }) => {
      const system = await begin({ ...two, storage, disksPerVm });
      const before = placesOf(system, 'vm-001');
      system.controls.setMoveManner(system.vm('vm-001'), manner);
      const disks = before.map((_, i) => ({ disk: i === 0 ? 'vda' : 'vdb', to: system.spec.pools[1]!.id }));
      const run = await system.migrateVolume('vm-001', { disks });
      if (phase === 'moved') await expect(run.result()).resolves.toMatchObject({ phase });
      else expect(await failureOf(run)).toMatchObject({ type: failureTypes.compensated });
      const pools = placesOf(system, 'vm-001').map((p) => p.pool);
      expect(new Set(pools)).toEqual(new Set([poolOf(system, phase === 'moved' ? 'second' : 'first')]));
      expect(placesOf(system, 'vm-001').map((p) => p.boots)).toEqual(before.map((p) => p.boots));
      expect(copiesLeft(system)).toEqual([]);
      await judgeMove(system, 'vm-001');
    },
  );

  it('stops when a person aborts it, and says what had to be taken back', async () => {
    const system = await begin({ ...two, storage });
    system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
    const run = await system.migrateVolume('vm-001');
    await untilMovePhase(run, 'copying');
    await run.executeUpdate(abortUpdate, { args: [said('the pool is needed')] });
    expect(await failureOf(run)).toMatchObject({
      type: failureTypes.compensated,
      message: expect.stringContaining('the pool is needed') as string,
    });
    expect(placesOf(system, 'vm-001').map((p) => p.pool)).toEqual([poolOf(system, 'first')]);
    expect(copiesLeft(system)).toEqual([]);
    await judgeMove(system, 'vm-001');
  });

  it('ends as cancelled when it is cancelled in Temporal, with nothing moved', async () => {
    const system = await begin({ ...two, storage });
    system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
    const run = await system.migrateVolume('vm-001');
    await untilMovePhase(run, 'copying');
    await run.cancel();
    expect(await endedCancelled(run)).toBe(true);
    expect(await system.inventory.incident(incidentOfVm(system, 'vm-001'))).toMatchObject({
      outcome: 'aborted',
    });
    await judgeMove(system, 'vm-001');
  });

  it('does not act for a VM that is in no inventory, and tells people where its files are', async () => {
    const system = await begin({ ...two, storage });
    stopVm(system, 'vm-001');
    const [source] = placesOf(system, 'vm-001');
    const recorded = await recordedPaths(system, 'vm-001');
    system.controls.addRule({
      ...{ id: 'gone', port: 'volumeMoves', call: 'submit', times: 1 },
      then: {
        kind: 'world',
        when: 'before',
        control: 'undefineByHand',
        args: [system.host('a'), system.vm('vm-001')],
      },
    });
    const run = await system.migrateVolume('vm-001');
    expect(await failureOf(run)).toMatchObject({
      type: failureTypes.compensated,
      message: expect.stringContaining('no inventory') as string,
    });
    expect(system.controls.snapshot().disks.map((d) => d.path)).toContain(source?.path);
    expect(await recordedPaths(system, 'vm-001')).toEqual(recorded);
    const [alert] = (await system.inventory.alerts({ open: true })).filter((a) =>
      a.key.startsWith('move-missing'),
    );
    expect(alert?.sentence).toContain(source?.path ?? 'a path');
  });

  it('waits for a person when it cannot be known where the disk is, keeps reading, and goes on by itself', async () => {
    const system = await begin({ ...two, storage });
    system.controls.addRule({
      ...{ id: 'blind', port: 'volumeMoves', call: 'classify' },
      then: {
        kind: 'fail-before',
        fault: { code: 'HYPERVISOR_UNREACHABLE', facts: { detail: 'no answer' } },
      },
    });
    const run = await system.migrateVolume('vm-001');
    const stuck = await untilMovePhase(run, 'stuck');
    expect(stuck.fault?.code).toBe('MOVE_NOT_KNOWN');
    expect(await recordedPaths(system, 'vm-001')).toEqual([system.spec.vms[0]!.disks[0]!.path]);
    system.controls.clearRule('blind');
    await run.executeUpdate(resolveStuckUpdate, {
      args: [{ ...said('it answers again'), resolution: 'retry' }],
    });
    await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
    await judgeMove(system, 'vm-001');
  });

  it('looks for an order whose answer was lost instead of sending it again', async () => {
    const system = await begin({ ...two, storage });
    system.controls.addRule({
      ...{ id: 'lost', port: 'volumeMoves', call: 'submit', times: 1 },
      then: { kind: 'outcome-unknown', effect: true },
    });
    const run = await system.migrateVolume('vm-001');
    await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
    expect(system.controls.struck('lost')).toBe(1);
    expect(begunOf(system, 'vm-001')).toBe(1);
    await judgeMove(system, 'vm-001');
  });
});

it('gives up a copy that nobody knows any more, without having asked anybody to switch to it', async () => {
  const system = await begin({ ...two, storage: 'dir' });
  stopVm(system, 'vm-001');
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'copying');
  system.controls.cutPower(system.host('a'));
  system.controls.powerOn(system.host('a'));
  expect(await failureOf(run)).toMatchObject({
    type: failureTypes.compensated,
    message: expect.stringContaining('nobody knows its task any more') as string,
  });
  expect(placesOf(system, 'vm-001').map((p) => p.pool)).toEqual([poolOf(system, 'first')]);
  const told = await system.inventory.timeline(incidentOfVm(system, 'vm-001'));
  expect(told.map((e) => e.sentence).filter((t) => t.includes('switching'))).toEqual([]);
  await recordIsTrue(system, 'vm-001');
});

it('keeps a move that ended well after it was asked to stop: the record follows the disk', async () => {
  const system = await begin({ ...two, storage: 'vmfs', costs: { copyMs: 1_500 } });
  system.controls.setMoveManner(system.vm('vm-001'), 'ignores-cancel');
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'copying');
  await run.executeUpdate(abortUpdate, { args: [said('too slow')] });
  await expect(run.result()).resolves.toMatchObject({
    phase: 'moved',
    sentence: expect.stringContaining('too late') as string,
  });
  await judgeMove(system, 'vm-001');
});

it('ends as stuck, touching nothing more, when a person gives up on what cannot be known', async () => {
  const system = await begin({ ...two, storage: 'vmfs' });
  system.controls.addRule({
    ...{ id: 'blind', port: 'volumeMoves', call: 'classify' },
    then: { kind: 'fail-before', fault: { code: 'HYPERVISOR_UNREACHABLE', facts: { detail: 'no answer' } } },
  });
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'stuck');
  expect(
    await refusalOf(
      run.executeUpdate(resolveStuckUpdate, { args: [{ ...said(''), resolution: 'give-up' }] }),
    ),
  ).toContain('--reason');
  await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said('I see to it'), resolution: 'give-up' }] });
  expect(await failureOf(run)).toMatchObject({ type: failureTypes.stuck });
  expect(await system.inventory.incident(incidentOfVm(system, 'vm-001'))).toMatchObject({ outcome: 'stuck' });
});

it('removes a copy that is not equal to the disk, and keeps the disk', async () => {
  const system = await begin({ ...two, storage: 'dir' });
  system.controls.setMoveManner(system.vm('vm-001'), 'corrupts-copy');
  const run = await system.migrateVolume('vm-001');
  expect((await failureOf(run)).message).toContain('not equal');
  expect(copiesLeft(system)).toEqual([]);
  await judgeMove(system, 'vm-001');
});

it('never goes back to the old file when the new one is lost: a person decides', async () => {
  const system = await begin({ ...two, storage: 'dir' });
  stopVm(system, 'vm-001');
  system.controls.setMoveManner(system.vm('vm-001'), 'loses-target');
  const [source] = placesOf(system, 'vm-001');
  const run = await system.migrateVolume('vm-001');
  const stuck = await untilMovePhase(run, 'stuck');
  expect(stuck.fault?.code).toBe('DISK_FILE_MISSING');
  expect(system.controls.snapshot().disks.map((d) => d.path)).toContain(source?.path);
  expect(await recordedPaths(system, 'vm-001')).toEqual([source?.path]);
});

it('refuses before anything is begun, every problem in one sentence, and rehearses the same', async () => {
  const system = await begin({ ...two });
  system.controls.setPoolFree(system.spec.pools[1]!.id, 1);
  const disks = [
    { disk: 'vda', to: system.spec.pools[1]!.id },
    { disk: 'vdz', to: system.spec.pools[1]!.id },
  ];
  const rehearsal = await system.migrateVolume('vm-001', { disks, mode: 'rehearse' });
  const { would } = await rehearsal.result();
  expect(would.join()).toContain('bytes free');
  const { message } = await failureOf(await system.migrateVolume('vm-001', { disks }));
  expect(message).toContain('bytes free');
  expect(message).toContain('has no disk vdz');
  expect(begunOf(system, 'vm-001')).toBe(0);
});

it('holds before the switch while the copy goes on, shows how far it is, and goes on when told to', async () => {
  const system = await begin({ ...two, storage: 'dir', costs: { copyMs: 600 } });
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'copying');
  await run.executeUpdate(holdUpdate, { args: [said('let me look')] });
  await eventually('a percentage', async () => (await moveStatusOf(run)).percent);
  await eventually('a whole copy', () =>
    system.controls.snapshot().disks.some((d) => d.madeBy !== undefined),
  );
  expect(placesOf(system, 'vm-001').map((p) => p.pool)).toEqual([poolOf(system, 'first')]);
  await run.executeUpdate(resumeUpdate, { args: [said('fine')] });
  await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
  await judgeMove(system, 'vm-001');
});

it('leaves a guest as it is that a person has made stand still during the copy: refused, and not woken', async () => {
  const system = await begin({ ...two, storage: 'dir' });
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'copying');
  system.controls.pauseGuest(system.host('a'), system.vm('vm-001'));
  system.controls.endMoves(system.vm('vm-001'));
  expect((await failureOf(run)).message).toContain('it stands still (user), and not by this move');
  const [guest] = system.controls.snapshot().processes.filter((p) => p.vmId === system.vm('vm-001'));
  expect(guest).toMatchObject({ state: 'paused' });
  expect(copiesLeft(system)).toEqual([]);
});

it('goes back, and asks nobody, when its host cannot say before the switch how the guest stands', async () => {
  const system = await begin({ ...two, storage: 'dir' });
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const run = await system.migrateVolume('vm-001');
  await untilMovePhase(run, 'copying');
  const then = { kind: 'fail-before', fault: { code: 'HYPERVISOR_BUSY' } } as const;
  system.controls.addRule({ id: 'busy', port: 'hypervisor', call: 'list', then });
  system.controls.endMoves(system.vm('vm-001'));
  expect((await failureOf(run)).type).toBe(failureTypes.compensated);
  expect(copiesLeft(system)).toEqual([]);
});

it('tells people once of a task that runs and has nothing new to tell, and follows it on to its end', async () => {
  const system = await begin({ ...two, storage: 'vmfs' });
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const run = await system.migrateVolume('vm-001', { pace: { ...quickPace, standStillMs: 150 } });
  const standstill = async () =>
    (await system.inventory.alerts({ open: true })).filter((a) => a.sentence.includes('nothing new'));
  await eventually('an alert', async () => (await standstill()).length === 1);
  expect(await moveStatusOf(run)).toMatchObject({ phase: 'copying' });
  system.controls.endMoves(system.vm('vm-001'));
  await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
  expect(await standstill()).toEqual([]);
});

it('touches nothing, and looks for nothing to stop, when it is stopped before an order was sent', async () => {
  const acts: string[] = [];
  let held = false;
  const system = await begin({
    ...{ ...two, storage: 'vmfs' },
    async intercept({ name, act }) {
      acts.push(name);
      const done = await act();
      if (name === 'preflightMove') {
        const run = system.client.workflow.getHandle(workflowIds.vm(system.vm('vm-001')));
        await run.executeUpdate(holdUpdate, { args: [said('not yet')] });
        held = true;
      }
      return done;
    },
  });
  const run = await system.migrateVolume('vm-001');
  await eventually(
    'a move that is held with everything read',
    async () => held && ((await run.describe()).raw.pendingActivities ?? []).length === 0,
  );
  await run.executeUpdate(abortUpdate, { args: [said('the pool is needed')] });
  expect((await failureOf(run)).message).toContain('the pool is needed');
  const touching = ['submitMove', 'findMoveTask', 'cancelMove', 'removeAfterMove', 'readMove', 'recordMove'];
  expect(acts.filter((name) => touching.includes(name))).toEqual([]);
  expect(begunOf(system, 'vm-001')).toBe(0);
});

it('is stopped as it was asked to, though the worker that was to end the copy died before it said so', async () => {
  let release: (() => void) | undefined;
  const dead = new Promise<void>((resolve) => (release = resolve));
  let follows = 0;
  const system = await begin({
    ...{ ...two, storage: 'dir' },
    // No sign of life while it waits here.
    async intercept({ name, act }) {
      if (name === 'followMove' && (follows += 1) === 1) await dead;
      return act();
    },
  });
  system.controls.setMoveManner(system.vm('vm-001'), 'hangs');
  const run = await system.migrateVolume('vm-001');
  await eventually('a copy that is followed', () => follows > 0);
  await run.executeUpdate(abortUpdate, { args: [said('the pool is needed')] });
  expect(await failureOf(run)).toMatchObject({
    type: failureTypes.compensated,
    message: expect.stringContaining('the pool is needed') as string,
  });
  expect(await system.inventory.incident(incidentOfVm(system, 'vm-001'))).toMatchObject({
    outcome: 'not-moved',
  });
  expect(copiesLeft(system)).toEqual([]);
  await judgeMove(system, 'vm-001');
  release?.();
});

it('leaves an old place that must stay, tells people of it once, and ends well without waiting for anybody', async () => {
  const stays = 'VMedic has not made this logical volume';
  const intercept: Intercept = async ({ name, act }) => {
    const read = await act();
    if (name !== 'readMove') return read;
    const verdict = read as MoveVerdict;
    if (!('leftovers' in verdict)) return verdict;
    const leftovers = verdict.leftovers.map((l) => (l.what === 'source' ? { ...l, stays } : l));
    return { ...verdict, leftovers };
  };
  const system = await begin({ ...two, storage: 'dir', intercept });
  const [source] = placesOf(system, 'vm-001');
  const run = await system.migrateVolume('vm-001');
  await expect(run.result()).resolves.toMatchObject({ phase: 'moved' });
  expect(system.controls.snapshot().disks.map((d) => d.path)).toContain(source?.path);
  const told = (await system.inventory.alerts({ open: true })).filter((a) => a.sentence.includes(stays));
  expect(told).toMatchObject([
    { severity: 'warning', sentence: expect.stringContaining(source?.path ?? '') as string },
  ]);
  await judgeMove(system, 'vm-001');
});
