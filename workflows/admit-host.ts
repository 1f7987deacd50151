/** From "somebody says that it is down" to "it may be fenced": is it dead, and is it alone? */
import { condition } from '@temporalio/workflow';
import { look } from './activity-options';
import type { HostVerdict } from '../domain/judge-host';
import type { Said } from './messages';
import { move, type Run, show, waitFor } from './recover-host-run';
import { whichBoot } from './which-boot';

/** One source alone may be a dead link of ours: after so many looks a person is asked, and the looking goes on. */
const suspectLooksMax = 3;

/** Looks until the host is alive, or dead by evidence: twice, unless a fence device itself reads "off". */
export async function confirm(run: Run): Promise<void> {
  const { hostId } = run.input;
  const { policy } = run.brief;
  let deadLooks = 0;
  let suspectLooks = 0;
  for (;;) {
    await condition(() => !run.held || run.said.abort !== undefined);
    if (takeAbort(run)) return;
    const seen = await look.lookAtHost({ hostId, withPower: true });
    const { verdict } = seen;
    const alive =
      verdict.verdict === 'alive' ? await aliveAgain(run, verdict.bootId, verdict.why) : undefined;
    if (alive === 'over') return;
    if (alive === 'asked') {
      await condition(
        () => run.said.abort !== undefined || run.said.approve !== undefined,
        policy.confirmEveryMs * 5,
      );
      continue;
    }
    deadLooks = verdict.verdict === 'dead-by-evidence' ? deadLooks + 1 : 0;
    const dead = deadLooks >= 2 || (deadLooks === 1 && seen.readOff);
    const mayFence = verdict.verdict === 'degraded' && policy.fenceDegraded;
    if (run.state.phase === 'suspect' && (dead || mayFence))
      return move(run, { event: 'host-dead', why: verdict.why });
    // A yes to starting what its reboot took down is none to fencing it, should it fail before that yes is taken.
    const ofReboot = isAskedFor(run, rebootQuestion(hostId));
    if (run.state.phase === 'held' && (dead || (run.said.approve !== undefined && !ofReboot))) {
      const answer = takeApproval(run);
      const yes = ofReboot ? undefined : answer;
      run.evenIfDegraded = yes !== undefined;
      run.allowed ||= yes !== undefined;
      return move(run, { event: 'approved', by: yes?.by ?? `evidence: ${verdict.why}` });
    }
    suspectLooks = verdict.verdict === 'suspect' ? suspectLooks + 1 : 0;
    const unasked = run.state.phase === 'suspect' || ofReboot;
    if (unasked && (verdict.verdict === 'degraded' || suspectLooks >= suspectLooksMax))
      await needApproval(run, whyNotFenced(hostId, verdict));
    show(run, run.state.phase === 'held' ? whyNotFenced(hostId, verdict) : verdict.why);
    await condition(
      () => run.said.abort !== undefined || (run.said.approve !== undefined && !ofReboot),
      policy.confirmEveryMs,
    );
  }
}

function whyNotFenced(hostId: string, verdict: HostVerdict): string {
  if (verdict.verdict === 'degraded')
    return `${hostId} is degraded, not dead: ${verdict.why}. Its VMs may run; nothing is fenced without approval`;
  const missing = 'missing' in verdict ? `, without ${verdict.missing}` : '';
  return `${hostId} is not proven dead: ${verdict.why}${missing}`;
}

/** Waits for a yes to fence this host; said in vain while nothing waited for it, a yes would count for what nobody had asked yet. */
export async function needApproval(run: Run, why: string): Promise<void> {
  takeApproval(run);
  move(run, { event: 'needs-approval', why });
  await waitFor(run, why, `vmedic incident approve ${run.input.incidentId} --reason "..."`);
}

/** One yes answers one question: a host that may be fenced although it is degraded is not thereby one too many that may be fenced. */
function takeApproval(run: Run): Said | undefined {
  const { approve } = run.said;
  delete run.said.approve;
  return approve;
}

/**
 * `not-known`: nobody can tell whether it has booted; dismissed by guess, VMs that its reboot took down would stay down. `asked`: it has, and a
 * person's yes is waited for, while it is looked at again: it may fail for real, or somebody may bring its VMs back by hand.
 */
async function aliveAgain(
  run: Run,
  bootId: string | undefined,
  why: string,
): Promise<'over' | 'asked' | 'not-known'> {
  const { hostId } = run.input;
  const boot = await whichBoot(hostId, run.brief, bootId);
  if (boot === 'not-known') return boot;
  const isBack = boot === 'new' && !run.allowed && (await allRunAgain(run));
  run.vmsAreDown = boot === 'new' && !isBack;
  // Said while it was looked at: nothing is started, on whichever host.
  if (boot === 'new' && takeAbort(run)) return 'over';
  if (run.vmsAreDown && !run.allowed && !(await mayRestart(run))) return 'asked';
  run.bootId = bootId;
  const sentence = isBack ? `${hostId} has rebooted, and its VMs run again` : `${hostId} is alive: ${why}`;
  move(run, { event: 'alive-again', boot: isBack ? 'same' : boot, why: sentence });
  return 'over';
}

/** Its own list says so: of a host without a roster there is nothing to ask about either. */
const allRunAgain = async ({ input: { hostId }, brief }: Run): Promise<boolean> =>
  (await look.judgeBoot({ hostId, roster: brief.roster.map((v) => v.vmId) })) === 'same';

/** Mode `approve`, of a host that came back with a new boot before anybody was asked: its VMs are down, and start after a yes. */
async function mayRestart(run: Run): Promise<boolean> {
  const why = rebootQuestion(run.input.hostId);
  // What was said before this was asked was an answer to something else.
  if (!isAskedFor(run, why)) {
    await needApproval(run, why);
    return false;
  }
  run.allowed = takeApproval(run) !== undefined;
  return run.allowed;
}

const rebootQuestion = (hostId: string): string =>
  `${hostId} has rebooted by itself, and its cluster acts only after a person's yes`;

const isAskedFor = ({ state }: Run, why: string): boolean => state.phase === 'held' && state.why === why;

export function takeAbort(run: Run): boolean {
  if (run.said.abort === undefined) return false;
  move(run, { event: 'aborted', by: run.said.abort.by, why: run.said.abort.reason });
  return true;
}

/**
 * Held while more hosts are in trouble than the blast radius allows, and in mode `approve` until a person says yes; goes on by itself when the
 * cause passes.
 */
export async function admit(run: Run): Promise<void> {
  const { hostId, policy } = { hostId: run.input.hostId, policy: run.brief.policy };
  let told: string | undefined;
  for (;;) {
    if (takeAbort(run)) return;
    const { inTrouble, allowed } = await look.countTrouble({ ...run.input });
    const within = inTrouble.length <= allowed;
    const unasked = !run.allowed;
    if (within && !unasked && run.state.phase === 'admitted') return;
    if (within && !unasked) return move(run, { event: 'approved', by: 'the blast radius is kept again' });
    const yes = takeApproval(run);
    if (yes !== undefined) {
      run.allowed = true;
      return move(run, { event: 'approved', by: yes.by });
    }
    const why = within
      ? `${hostId} is dead (${whyDead(run)}), and its cluster acts only after a person's yes`
      : `${inTrouble.join(', ')} are in trouble at once, ${allowed} allowed without approval`;
    if (within && run.state.phase !== 'held') move(run, { event: 'needs-approval', why });
    else if (!within) move(run, { event: 'over-blast-radius', inTrouble, allowed });
    if (why !== told)
      await waitFor(run, why, `vmedic incident approve ${run.input.incidentId} --reason "..."`);
    told = why;
    await condition(
      () => run.said.approve !== undefined || run.said.abort !== undefined,
      policy.confirmEveryMs * 5,
    );
    const { verdict } = await look.lookAtHost({ hostId, withPower: false });
    // Whoever was asked about its reboot answers where the host is looked at: it goes back to there.
    if (verdict.verdict === 'alive' && (await aliveAgain(run, verdict.bootId, verdict.why)) !== 'not-known')
      return;
  }
}

const whyDead = (run: Run): string => ('why' in run.state ? run.state.why : 'proven');
