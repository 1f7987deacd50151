/**
 * Every step of a volume's move, interrupted in every way: failing before and after its effect, once and for good, its undo run twice, its undo
 * failing. In each, the record names what is, no file is lost, and the move was begun once. `move-workers.test.ts` kills real processes.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities';
import { fault } from '../../domain/faults';
import { failureTypes } from '../../workflows/inputs';
import { resolveStuckUpdate } from '../../workflows/messages';
import { migrateVolumeSteps } from '../../workflows/migrate-volume';
import { begunOf, copiesLeft, judgeMove, placesOf, poolOf, untilMovePhase } from '../support/moves';
import { type Intercept, recoverySystem, type RecoverySystem } from '../support/recovery-system';
import { failureOf, said } from '../support/story';

type Step = (typeof migrateVolumeSteps)[number];

interface StepCase {
  readonly activity: keyof Activities;
  /** What a failure for good leads to. `decided`: it waits for a person, who cures it. */
  readonly forGood: {
    readonly before: 'not-moved' | 'decided';
    readonly after: 'not-moved' | 'moved' | 'decided';
  };
}

const cases: Readonly<Record<Step, readonly StepCase[]>> = {
  preflight: [{ activity: 'preflightMove', forGood: { before: 'not-moved', after: 'not-moved' } }],
  copy: [
    { activity: 'submitMove', forGood: { before: 'not-moved', after: 'not-moved' } },
    { activity: 'followMove', forGood: { before: 'decided', after: 'decided' } },
  ],
  switch: [{ activity: 'switchMove', forGood: { before: 'decided', after: 'decided' } }],
  record: [
    { activity: 'recordMove', forGood: { before: 'decided', after: 'decided' } },
    { activity: 'letGoAfterMove', forGood: { before: 'decided', after: 'decided' } },
  ],
  clean: [{ activity: 'removeAfterMove', forGood: { before: 'decided', after: 'decided' } }],
};

/** Fails an activity; after `cure` it works again. */
class Interruption {
  struck = 0;
  cured = false;

  constructor(
    private readonly activity: keyof Activities,
    private readonly how: {
      readonly when: 'before' | 'after' | 'twice';
      readonly times: 'once' | 'for good';
    },
  ) {}

  readonly intercept: Intercept = async ({ name, act }) => {
    const strikes =
      name === this.activity && !this.cured && (this.how.times === 'for good' || this.struck === 0);
    if (!strikes) return act();
    this.struck += 1;
    if (this.how.when === 'twice') await act();
    if (this.how.when === 'twice') return act();
    if (this.how.when === 'after') await act();
    const made = fault('HOST_COMMAND_FAILED', { host: 'somewhere', detail: 'planted by the test' });
    throw ApplicationFailure.create({
      ...{ type: made.code, message: made.sentence, details: [made] },
      nonRetryable: this.how.times === 'for good',
    });
  };
}

/** One world for all: each case has a VM of its own, and leaves everything as it must be for the next. */
let s: RecoverySystem;
let interruption: Interruption | undefined;
let used = 0;

beforeAll(async () => {
  s = await recoverySystem({
    ...{ hosts: 2, vmsPerHost: 20, secondPool: true, storage: 'dir' },
    intercept: (called) => interruption?.intercept(called) ?? called.act(),
  });
});
afterAll(() => s.close());
afterEach(() => {
  interruption = undefined;
});

const freshVm = (): string => {
  const vm = s.spec.vms[used++]?.name;
  if (vm === undefined) throw new Error('more cases than VMs');
  return vm;
};

const all = Object.entries(cases).flatMap(([step, of]) => of.map((one) => ({ step, ...one })));

it('has cases for every step that the saga declares', () => {
  expect(Object.keys(cases).sort()).toEqual([...migrateVolumeSteps].sort());
});

describe.each(all)('$step ($activity)', ({ activity, forGood }) => {
  it.each(['before', 'after'] as const)('failing once %s its effect changes only the time', async (when) => {
    const made = (interruption = new Interruption(activity, { when, times: 'once' }));
    const vm = freshVm();
    await expect((await s.migrateVolume(vm)).result()).resolves.toMatchObject({ phase: 'moved' });
    expect(made.struck).toBe(1);
    expect(begunOf(s, vm)).toBe(1);
    expect(copiesLeft(s)).toEqual([]);
    await judgeMove(s, vm);
  });

  it.each(['before', 'after'] as const)('failing for good %s its effect ends as it must', async (when) => {
    const made = (interruption = new Interruption(activity, { when, times: 'for good' }));
    const vm = freshVm();
    const run = await s.migrateVolume(vm);
    if (forGood[when] === 'decided') {
      await untilMovePhase(run, 'stuck');
      made.cured = true;
      await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said('cured'), resolution: 'retry' }] });
      await run.result().catch(() => undefined);
    } else expect(await failureOf(run)).toMatchObject({ type: failureTypes.compensated });
    expect(made.struck).toBeGreaterThan(0);
    expect(begunOf(s, vm)).toBeLessThanOrEqual(1);
    expect(copiesLeft(s)).toEqual([]);
    await judgeMove(s, vm);
  });
});

it.each(['cancelMove', 'removeAfterMove', 'recordMove'] as const)(
  'a way back whose %s is run twice leaves nothing behind',
  async (activity) => {
    const made = (interruption = new Interruption(activity, { when: 'twice', times: 'once' }));
    const vm = freshVm();
    s.controls.setMoveManner(s.vm(vm), 'corrupts-copy');
    expect((await failureOf(await s.migrateVolume(vm))).type).toBe(failureTypes.compensated);
    expect(made.struck).toBe(1);
    expect(copiesLeft(s)).toEqual([]);
    expect(placesOf(s, vm).map((p) => p.pool)).toEqual([poolOf(s, 'first')]);
    await judgeMove(s, vm);
  },
);

it('a way back that fails is a state that waits, not a log line', async () => {
  const made = (interruption = new Interruption('removeAfterMove', { when: 'before', times: 'for good' }));
  const vm = freshVm();
  s.controls.setMoveManner(s.vm(vm), 'corrupts-copy');
  const run = await s.migrateVolume(vm);
  const stuck = await untilMovePhase(run, 'stuck');
  expect(stuck.fault?.code).toBe('UNDO_FAILED');
  made.cured = true;
  await run.executeUpdate(resolveStuckUpdate, { args: [{ ...said('cured'), resolution: 'retry' }] });
  expect((await failureOf(run)).type).toBe(failureTypes.compensated);
  expect(copiesLeft(s)).toEqual([]);
  await judgeMove(s, vm);
});
