/**
 * A VM that is missing on a host that lives: left alone for a grace, then known to run nowhere, then within its budget, then (in mode `approve`)
 * with a person's yes. Whatever brings it back meanwhile ends it: nothing was done.
 *
 * INVARIANT: absence is confirmed by a direct question, after the grace, before anything is prepared. What nobody can answer is waited for.
 */
import { condition, workflowInfo } from '@temporalio/workflow';
import type { Whereabouts } from '../activities/missing-vm';
import { fault } from '../domain/faults';
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
  const ended = await untilKnown(run);
  if (ended !== undefined) return ended;
  if (budget.used >= budget.allowed) {
    const facts = { vm: run.input.name, id: vmId, incident: incidentId, used: String(budget.used) };
    const spent = fault('RESTART_BUDGET_SPENT', {
      ...facts,
      minutes: String(Math.round(budget.perMs / 60_000)),
    });
    const decided = await waitForPerson(run, spent, async () => (await whereabouts(run)).is !== 'nowhere');
    if (decided === 'give-up') return { kind: 'given-up', fault: spent };
    if (decided === 'aborted') return abortedBy(run);
    const again = await untilKnown(run);
    if (again !== undefined) return again;
  }
  return run.input.needsApproval === true ? untilApproved(run) : undefined;
}

const whereabouts = (run: Run): Promise<Whereabouts> => look.findVm({ vmId: run.input.vmId });

/** Waits so long, unless a person aborts or a new proof comes. */
async function untilSaid(run: Run, waitMs: number): Promise<void> {
  const proofs = run.evidence.length;
  await condition(() => run.aborted !== undefined || run.evidence.length > proofs, waitMs);
  await condition(() => !run.held || run.aborted !== undefined);
}

/** Undefined once the VM is known to run nowhere. */
async function untilKnown(run: Run): Promise<Attempt | undefined> {
  for (let wait: number = askAgainMs.first, told = false; ; wait = Math.min(wait * 2, askAgainMs.max)) {
    if (run.aborted !== undefined) return abortedBy(run);
    const seen = await whereabouts(run);
    // Where it was is tried first: its storage is known to be reachable there, and nobody has to find it elsewhere.
    if (seen.is === 'nowhere') {
      run.target = run.input.target ?? seen.home;
      return undefined;
    }
    if (seen.is !== 'not-known') return dismissed(run, seen);
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

async function untilApproved(run: Run): Promise<Attempt | undefined> {
  const { incidentId } = run.input;
  const next = `vmedic incident approve ${incidentId} --reason "..."`;
  await tellWaiting(run, 'needs-approval', "its cluster acts only after a person's yes", next);
  for (let wait: number = askAgainMs.first; ; wait = Math.min(wait * 2, askAgainMs.max)) {
    await condition(() => run.approved !== undefined || run.aborted !== undefined, wait);
    if (run.aborted !== undefined) return abortedBy(run);
    const seen = await whereabouts(run);
    if (seen.is === 'running' || seen.is === 'not-wanted') return dismissed(run, seen);
    if (run.approved !== undefined && seen.is === 'nowhere') return undefined;
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
  const target = seen.is === 'running' ? seen.on : undefined;
  const { vmId, name } = run.input;
  const result: VmResult = {
    ...{ vmId, name, target, phase: 'running', fault: undefined },
    finishedAt: new Date().toISOString(),
  };
  return { kind: 'dismissed', result, why: seen.why };
}

function abortedBy(run: Run): Attempt {
  const { by, reason: detail } = run.aborted ?? { by: 'somebody', reason: 'no reason given' };
  const facts = { by, detail, what: run.input.name, vm: run.input.vmId };
  return { kind: 'over', phase: 'blocked', fault: fault('ABORTED', facts) };
}
