/** What a run of `migrateVolume` remembers, hears and shows. */
import { type CancellationScope, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { MoveKnown } from '../activities/move-volume';
import type { FenceEvidence } from '../domain/evidence';
import { type Fault, withNextStep } from '../domain/faults';
import type { BeforeImage, MoveTask, MoveVerdict } from '../domain/volume-move';
import type { MigrateVolumeInput, MovePace } from './inputs';
import * as messages from './messages';

export interface Run {
  readonly input: MigrateVolumeInput;
  readonly pace: MovePace;
  phase: messages.MovePhase;
  percent: number | undefined;
  before: BeforeImage | undefined;
  task: MoveTask | undefined;
  /** An order may have been sent. Until then nothing is ours: neither what is under way nor any new file. */
  ordered: boolean;
  /** What the order or its task said last, when that was a fault: the cause, if nothing moved. */
  said: Fault | undefined;
  /** Nobody answered the order, or nobody knows its task any more: it may still begin. */
  mayStillBegin: boolean;
  verdict: MoveVerdict | undefined;
  fault: Fault | undefined;
  /** What a person has given up on: nothing more is touched, the way back included. */
  givenUp: Fault | undefined;
  pastPivot: boolean;
  switchAsked: boolean;
  /** How often the way back was ordered. */
  timesBack: number;
  held: boolean;
  waiting: boolean;
  aborted: messages.Said | undefined;
  /** The host of this VM has failed meanwhile. */
  failed: (messages.HostFailed & { readonly at: string }) | undefined;
  evidence: readonly FenceEvidence[];
  resolution: (messages.Said & { readonly resolution: messages.StuckResolution }) | undefined;
  readonly scope: CancellationScope;
}

/** Of what alerts and keys are: the VM, or the disk that belongs to none. */
export const aboutOf = ({ vmId, loose, name }: MigrateVolumeInput): string => vmId ?? loose?.diskId ?? name;

export const stuckAlert = (input: MigrateVolumeInput): string =>
  `${input.vmId === undefined ? 'disk' : 'vm'}-stuck:${aboutOf(input)}`;

/** A task of which there is no news. */
export const standstillAlert = (input: MigrateVolumeInput): string =>
  `move-stands-still:${aboutOf(input)}:${input.incidentId}`;

export function listen(run: Run): void {
  const { name } = run.input;
  setHandler(messages.moveStatusQuery, () => statusOf(run));
  setHandler(messages.hostFailedSignal, (news) => {
    run.failed = { ...news, at: new Date().toISOString() };
    if (news.evidence !== undefined) run.evidence = [...run.evidence, news.evidence];
    if (!run.pastPivot) run.scope.cancel();
  });
  setHandler(
    messages.abortUpdate,
    (said) => {
      run.aborted = said;
      run.scope.cancel();
      return `the move of ${name}'s disk is asked to stop; where the disk is will be read before anything is taken back`;
    },
    {
      description: 'Stop the move: it is cancelled, read back, and taken back where it went half way',
      validator: (said: messages.Said) => {
        messages.mustSayWhy(said);
        if (run.pastPivot)
          throw new Error(`the disk of ${name} may have been switched already: there is no way back`);
      },
    },
  );
  setHandler(
    messages.resolveStuckUpdate,
    (said) => {
      run.resolution = said;
      return said.resolution === 'retry'
        ? 'everything is read again'
        : 'the run ends; nothing more is touched';
    },
    {
      description: 'Decide about a move that waits for a person: retry, or give up',
      validator: (said: messages.Said) => {
        if (!run.waiting)
          throw new Error(`the move of ${name}'s disk does not wait for a decision now (it is ${run.phase})`);
        messages.mustSayWhy(said);
      },
    },
  );
  setHandler(
    messages.holdUpdate,
    () => {
      run.held = true;
      return 'held before the next act; a copy under way goes on';
    },
    { description: 'Wait before the next act', validator: messages.mustSayWhy },
  );
  setHandler(
    messages.resumeUpdate,
    () => {
      run.held = false;
      return 'goes on';
    },
    { description: 'Go on', validator: messages.mustSayWhy },
  );
}

export function show(run: Run, phase: messages.MovePhase): void {
  run.phase = phase;
  setCurrentDetails(`**${run.input.name}**: ${sentenceOf(run)}`);
}

export function sentenceOf(run: Run): string {
  const what = run.input.disks.map((d) => `${d.disk} to ${d.to}`).join(', ');
  const how = run.phase === 'copying' && run.percent !== undefined ? ` ${run.percent} %` : '';
  const why = run.fault === undefined ? '' : `: ${withNextStep(run.fault)}`;
  return `${what}: ${run.phase}${how}${why}${run.held ? ' (held by a person)' : ''}`;
}

export const statusOf = (run: Run): messages.MoveStatus => ({
  vmId: run.input.vmId,
  incidentId: run.input.incidentId,
  phase: run.phase,
  percent: run.percent,
  fault: run.fault,
  sentence: sentenceOf(run),
  nextCommand: run.fault?.next,
});

export const knownOf = (run: Run): MoveKnown => ({ proofs: run.evidence, switchAsked: run.switchAsked });

/** What every activity of a move is given. */
export function ofMove(run: Run): { before: BeforeImage; incidentId: Run['input']['incidentId'] } {
  if (run.before === undefined) throw new Error('nothing was read before the act');
  return { before: run.before, incidentId: run.input.incidentId };
}

/** Whether the host that the move goes through is proven off: it is not asked for anything any more. */
export const hostIsOff = (run: Run): boolean =>
  run.before !== undefined && run.evidence.some((e) => e.hostId === run.before?.order.hostId);

/** Asked anew each time: the news comes while others wait. */
export const hostHasFailed = (run: Run): boolean => run.failed !== undefined;
