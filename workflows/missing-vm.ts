/**
 * A VM that is missing on a host that lives: left alone for a grace, then known to run nowhere (or to stand paused where its disk failed), then
 * within its budget, then (in mode `approve`) with a person's yes. Whatever brings it back meanwhile ends it: nothing was done.
 *
 * INVARIANT: absence is confirmed by a direct question, after the grace, before anything is prepared. What nobody can answer is waited for.
 */
import { condition, workflowInfo } from '@temporalio/workflow';
import type { Whereabouts } from '../activities/missing-vm';
import { fault } from '../domain/faults';
import type { HostId } from '../domain/ids';
import { limits } from '../domain/limits';
import type { VmResult } from '../domain/recovery-state';
import { look } from './activity-options';
import type { Attempt } from './restart-vm-ending';
import { type Run, show } from './restart-vm-run';
import { waitForPerson } from './stuck-vm';

/** While it is not known where the VM is, it is asked again: first soon, then ever more seldom. */
const askAgainMs = { first: 1_000, max: 60_000 } as const;

/** Undefined when it may be started now. */
export async function untilItMayStart(run: Run): Promise<Attempt | undefined> {
  const { vmId, incidentId, graceMs = 0 } = run.input;
  show(run, 'waiting');
  const budget = await look.restartBudget({ vmId, incidentId });
  const wait = graceMs * 2 ** Math.min(budget.used, limits.graceDoublingsMax);
  await untilSaid(run, wait);
  let known = await untilKnown(run);
  if (known.is === 'ended') return known.attempt;
  if (budget.used >= budget.allowed) {
    const facts = { vm: run.input.name, id: vmId, incident: incidentId, used: String(budget.used) };
    const spent = fault('RESTART_BUDGET_SPENT', {
      ...facts,
      minutes: String(Math.round(budget.perMs / 60_000)),
    });
    const decided = await waitForPerson(run, spent, async () => !mayAct(await whereabouts(run)));
    if (decided === 'give-up') return { kind: 'given-up', fault: spent };
    if (decided === 'aborted') return abortedBy(run);
    known = await untilKnown(run);
    if (known.is === 'ended') return known.attempt;
  }
  if (run.input.needsApproval === true) {
    known = await untilApproved(run);
    if (known.is === 'ended') return known.attempt;
  }
  return known.is === 'paused' ? untilFreed(run, known) : undefined;
}

type Known =
  { readonly is: 'ended'; readonly attempt: Attempt } | Extract<Whereabouts, { is: 'nowhere' | 'paused' }>;

/** Something may be done about it now: started where it runs nowhere, or freed where it stands. */
const mayAct = (seen: Whereabouts): boolean => seen.is === 'nowhere' || seen.is === 'paused';

const over = (attempt: Attempt): Known => ({ is: 'ended', attempt });

/** Undefined once its process is gone and it may be started; tried again with growing pauses while its disk fails. */
async function untilFreed(
  run: Run,
  paused: Extract<Whereabouts, { is: 'paused' }>,
): Promise<Attempt | undefined> {
  let known: Known = paused;
  for (let wait: number = askAgainMs.first, told = false; ; wait = Math.min(wait * 2, askAgainMs.max)) {
    if (known.is === 'ended') return known.attempt;
    if (known.is === 'nowhere') return undefined;
    // Said while it was looked for: a person who was told that nothing is done must find its process as it was.
    if (run.aborted !== undefined) return abortedBy(run);
    if (run.held) {
      await condition(() => !run.held || run.aborted !== undefined);
      known = await untilKnown(run);
      continue;
    }
    const { vmId, incidentId, name } = run.input;
    const basis = { vmId, incidentId, incidentBeganAt: run.beganAt, evidence: run.evidence };
    const freed = await look.freePausedVm({ ...basis, on: known.on, how: known.how });
    if (freed.kind === 'running') return { kind: 'up', result: upOn(run, known.on) };
    if (freed.kind === 'not-yet') {
      const key = `paused-${workflowInfo().historyLength}`;
      if (!told) await tellWaiting(run, key, `${known.why}, and ${freed.why}`, `vmedic vm show ${name}`);
      told = true;
      await untilSaid(run, wait);
    }
    known = await untilKnown(run);
  }
}

const whereabouts = ({ input: { vmId, trigger } }: Run): Promise<Whereabouts> =>
  look.findVm({ vmId, ...(trigger.source === 'webhook' && { reported: true as const }) });

/** Waits so long, unless a person aborts or a new proof comes. */
async function untilSaid(run: Run, waitMs: number): Promise<void> {
  const proofs = run.evidence.length;
  await condition(() => run.aborted !== undefined || run.evidence.length > proofs, waitMs);
  await condition(() => !run.held || run.aborted !== undefined);
}

/** Until something may be done about it, or nothing needs to be. */
async function untilKnown(run: Run): Promise<Known> {
  for (let wait: number = askAgainMs.first, told = false; ; wait = Math.min(wait * 2, askAgainMs.max)) {
    if (run.aborted !== undefined) return over(abortedBy(run));
    const seen = await whereabouts(run);
    if (seen.is === 'paused') return seen;
    // Where it was is tried first: its storage is known to be reachable there, and nobody has to find it elsewhere.
    if (seen.is === 'nowhere') {
      run.target = run.input.target ?? seen.home;
      return seen;
    }
    if (seen.is !== 'not-known') return over(dismissed(run, seen));
    if (!told)
      await tellWaiting(
        run,
        `where-${workflowInfo().historyLength}`,
        seen.why,
        `vmedic vm show ${run.input.name}`,
      );
    told = true;
    await untilSaid(run, wait);
  }
}

async function untilApproved(run: Run): Promise<Known> {
  const { incidentId } = run.input;
  const next = `vmedic incident approve ${incidentId} --reason "..."`;
  await tellWaiting(run, 'needs-approval', "its cluster acts only after a person's yes", next);
  for (let wait: number = askAgainMs.first; ; wait = Math.min(wait * 2, askAgainMs.max)) {
    await condition(() => run.approved !== undefined || run.aborted !== undefined, wait);
    if (run.aborted !== undefined) return over(abortedBy(run));
    const seen = await whereabouts(run);
    if (seen.is === 'running' || seen.is === 'not-wanted') return over(dismissed(run, seen));
    if (run.approved !== undefined && (seen.is === 'nowhere' || seen.is === 'paused')) return seen;
  }
}

async function tellWaiting(run: Run, key: string, why: string, nextCommand: string): Promise<void> {
  const { vmId, incidentId, name } = run.input;
  const sentence = `${name} waits: ${why}`;
  await look.notePhase({
    incidentId,
    key,
    change: { phase: 'waiting', summary: why, nextCommand },
    sentence,
    alert: { key: `vm-waits:${vmId}`, severity: 'critical', sentence, nextCommand },
  });
}

function dismissed(run: Run, seen: Extract<Whereabouts, { is: 'running' | 'not-wanted' }>): Attempt {
  return {
    kind: 'dismissed',
    result: upOn(run, seen.is === 'running' ? seen.on : undefined),
    why: seen.why,
  };
}

const upOn = ({ input: { vmId, name } }: Run, target: HostId | undefined): VmResult => ({
  ...{ vmId, name, target, phase: 'running', fault: undefined },
  finishedAt: new Date().toISOString(),
});

function abortedBy(run: Run): Attempt {
  const { by, reason: detail } = run.aborted ?? { by: 'somebody', reason: 'no reason given' };
  const facts = { by, detail, what: run.input.name, vm: run.input.vmId };
  return { kind: 'over', phase: 'blocked', fault: fault('ABORTED', facts) };
}
