/**
 * Every step of every saga, interrupted in every way: failing before and after its effect, once and for good, its undo run twice, its undo
 * failing. The steps are read from the sagas themselves: a new step without cases fails the suite. `workers.test.ts` kills real processes.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../activities';
import { fault, type FaultCode } from '../../domain/faults';
import { workflowIds } from '../../domain/ids';
import { fenceHostSteps } from '../../workflows/fence-host';
import type { RecoverHostResult, RestartVmResult } from '../../workflows/inputs';
import { recoveryStatusQuery, resolveStuckUpdate, resumeUpdate } from '../../workflows/messages';
import { releaseLocksSteps } from '../../workflows/release-locks';
import { restartVmSteps } from '../../workflows/restart-vm';
import { judge } from '../support/judge';
import { type Intercept, recoverySystem, type RecoverySystem } from '../support/recovery-system';

interface StepCase {
  readonly activity: keyof Activities;
  readonly undo: keyof Activities | undefined;
  /** What a failure for good leads to, until a person has cured its cause. */
  readonly forGood: 'vm-blocked' | 'vm-stuck' | 'incident-waits' | 'tried-again';
}

const cases: Readonly<Record<string, StepCase>> = {
  'restartVm.prepare': { activity: 'prepareStart', undo: 'withdrawPreparation', forGood: 'vm-blocked' },
  'restartVm.start': { activity: 'startVm', undo: undefined, forGood: 'vm-stuck' },
  'restartVm.settle': { activity: 'settleVm', undo: undefined, forGood: 'vm-stuck' },
  'fenceHost.exclude': {
    activity: 'excludeFromPlacement',
    undo: 'includeInPlacement',
    forGood: 'incident-waits',
  },
  'fenceHost.cut-access': {
    activity: 'cutStorageAccess',
    undo: 'restoreStorageAccess',
    forGood: 'incident-waits',
  },
  'fenceHost.switch-off': { activity: 'fenceLevel', undo: undefined, forGood: 'tried-again' },
  'releaseLocks.release': { activity: 'releaseHostLocks', undo: undefined, forGood: 'incident-waits' },
};

const declared = [
  ...restartVmSteps.map((s) => `restartVm.${s}`),
  ...fenceHostSteps.map((s) => `fenceHost.${s}`),
  ...releaseLocksSteps.map((s) => `releaseLocks.${s}`),
];

/** Fails an activity; after `cure` it works again. */
class Interruption {
  struck = 0;
  undone = 0;
  cured = false;

  constructor(
    private readonly target: StepCase,
    private readonly how: {
      readonly when: 'before' | 'after';
      readonly times: 'once' | 'for good';
      readonly undo?: 'twice' | 'fails';
    },
  ) {}

  concerns(activity: keyof Activities): boolean {
    return this.target.activity === activity;
  }

  readonly intercept: Intercept = async ({ name, act }) => {
    if (name === this.target.undo) return this.undo(act);
    const strikes =
      name === this.target.activity && !this.cured && (this.how.times === 'for good' || this.struck === 0);
    if (!strikes) return act();
    this.struck += 1;
    if (this.how.when === 'after') await act();
    throw failure('HOST_COMMAND_FAILED', this.how.times === 'for good');
  };

  /** A device that answers again, with nobody there. */
  curedByItself(): void {
    if (this.target.forGood === 'tried-again' && this.struck > 0) this.cured = true;
  }

  private async undo(act: () => Promise<unknown>): Promise<unknown> {
    this.undone += 1;
    if (this.how.undo === 'fails' && !this.cured) throw failure('HYPERVISOR_UNREACHABLE', true);
    const answer = await act();
    return this.how.undo === 'twice' ? act() : answer;
  }
}

function failure(code: FaultCode, forGood: boolean): ApplicationFailure {
  const made = fault(code, { host: 'somewhere', detail: 'planted by the test' });
  return ApplicationFailure.create({
    type: code,
    message: made.sentence,
    nonRetryable: forGood,
    details: [made],
  });
}

let system: RecoverySystem | undefined;
afterEach(async () => {
  await system?.close();
  system = undefined;
});

async function broken(interruption: Interruption): Promise<RecoverySystem> {
  system = await recoverySystem({
    ...{ hosts: 3, vmsPerHost: 1, intercept: interruption.intercept },
    // As on pools whose servers can be told: else there is nothing to cut.
    ...(interruption.concerns('cutStorageAccess') && { storage: 'nfs' as const, cutAccess: true as const }),
  });
  system.controls.cutPower(system.host('a'));
  return system;
}

/** Plays the person on call: cures the cause as soon as something waits, and says so. */
async function withPerson(s: RecoverySystem, interruption: Interruption): Promise<RecoverHostResult> {
  const run = await s.recoverHost('a');
  const ended = run.result();
  let over = false;
  const watched = ended.finally(() => (over = true));
  while (!over) {
    interruption.curedByItself();
    const status = await run.query(recoveryStatusQuery);
    if (status.nextCommand?.includes('resume') === true) {
      interruption.cured = true;
      const said = { by: 'tester', reason: 'cured' };
      await run.executeUpdate(resumeUpdate, { args: [said] }).catch(() => undefined);
    }
    await Promise.race([watched, new Promise((r) => setTimeout(r, 50))]);
  }
  return ended;
}

async function resolveStuck(s: RecoverySystem, interruption: Interruption): Promise<RestartVmResult> {
  interruption.cured = true;
  const [vm] = s.vmsOf('a');
  const handle = s.client.workflow.getHandle(workflowIds.vm(vm as never));
  const args = [{ by: 'tester', reason: 'cured', resolution: 'retry' }] as const;
  await handle.executeUpdate(resolveStuckUpdate, { args: [...args] });
  return (await handle.result()) as RestartVmResult;
}

it('has cases for every step that the sagas declare', () => {
  expect(Object.keys(cases).sort()).toEqual([...declared].sort());
});

describe.each(Object.entries(cases))('%s', (_, target) => {
  it.each(['before', 'after'] as const)('failing once %s its effect changes only the time', async (when) => {
    const interruption = new Interruption(target, { when, times: 'once' });
    const s = await broken(interruption);
    const result = await withPerson(s, interruption);
    expect(interruption.struck).toBe(1);
    expect(result.outcome).toBe('recovered');
    await judge(s);
  });

  it.each(['before', 'after'] as const)('failing for good %s its effect ends as it must', async (when) => {
    const interruption = new Interruption(target, { when, times: 'for good' });
    const s = await broken(interruption);
    const result = await withPerson(s, interruption);
    expect(interruption.struck).toBeGreaterThan(0);
    if (target.forGood === 'vm-blocked') {
      expect(result).toMatchObject({ outcome: 'partially-recovered', vms: [{ phase: 'blocked' }] });
      await judge(s, { down: s.vmsOf('a') });
    } else if (target.forGood === 'vm-stuck') {
      expect(result).toMatchObject({ outcome: 'partially-recovered', vms: [{ phase: 'stuck' }] });
      expect(await resolveStuck(s, interruption)).toMatchObject({ phase: 'running' });
      await judge(s);
    } else {
      expect(result.outcome).toBe('recovered');
      await judge(s);
    }
  });

  const undoable = target.undo === undefined ? [] : (['before', 'after'] as const);
  if (undoable.length > 0) {
    it.each(undoable)(
      'its undo run twice after a failure %s its effect leaves nothing behind',
      async (when) => {
        const interruption = new Interruption(target, { when, times: 'for good', undo: 'twice' });
        const s = await broken(interruption);
        await withPerson(s, interruption);
        expect(interruption.undone).toBe(1);
        await judge(s, target.forGood === 'vm-blocked' ? { down: s.vmsOf('a') } : {});
      },
    );

    it('an undo that fails is a state that waits, not a log line', async () => {
      const interruption = new Interruption(target, { when: 'after', times: 'for good', undo: 'fails' });
      const s = await broken(interruption);
      const result = await withPerson(s, interruption);
      if (target.forGood === 'vm-blocked') {
        expect(result).toMatchObject({ vms: [{ phase: 'stuck', fault: { code: 'UNDO_FAILED' } }] });
        expect(await resolveStuck(s, interruption)).toMatchObject({ phase: 'running' });
      } else expect(result.outcome).toBe('recovered');
      await judge(s);
    });
  }
});
