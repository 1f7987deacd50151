/** How an incident ends: what is said of it, to whom, and what is left for a person. */
import { isClosed, type VmResult } from '../domain/recovery-state';
import { limits } from '../domain/limits';
import { look, wayBack } from './activity-options';
import type { RecoverHostResult } from './inputs';
import { downAlert, type LeftDown, leftDownSentence } from './left-down';
import { type Run, show } from './recover-host-run';
import { vmAlert } from './restart-vm-ending';
import { showPhase } from './search-attributes';

export async function report(run: Run): Promise<RecoverHostResult> {
  const { state } = run;
  if (!isClosed(state.phase)) throw new Error(`reported in phase ${state.phase}`);
  const { hostId, incidentId } = run.input;
  const cameBack = run.bootId !== undefined && state.phase !== 'dismissed';
  if (cameBack) await look.acceptBoot({ hostId, bootId: run.bootId as string });
  const down = run.done.filter((v) => v.phase !== 'running');
  const left = state.phase === 'aborted' ? leftDown(run) : undefined;
  const sentence = 'why' in state ? `${state.why}${left?.sentence ?? ''}` : sentenceOf(run.done, down);
  showPhase(state.phase);
  const nextCommand =
    left?.nextCommand ?? (down.length === 0 ? undefined : `vmedic incident show ${incidentId}`);
  const alert = { key: `host:${hostId}:${incidentId}`, sentence: `${hostId}: ${sentence}`, nextCommand };
  const outcome = state.phase as RecoverHostResult['outcome'];
  await look.closeIncident({
    incidentId,
    outcome: outcome === 'rehearsed' ? 'dismissed' : outcome,
    phase: state.phase,
    sentence,
    nextCommand,
    facts: { vms: run.done },
    notUp: down,
    alert: {
      ...alert,
      severity: left === undefined && nextCommand !== undefined ? 'critical' : gravityOf(run, left),
    },
    clearAlerts: [
      ...[`waiting:${hostId}`, `unfenced:${hostId}`],
      ...(state.phase === 'aborted' ? [] : [downAlert(hostId)]),
      ...run.done.filter((v) => v.phase === 'running').map((v) => vmAlert(v.vmId)),
    ],
  });
  show(run, sentence);
  return { incidentId, hostId, outcome, sentence, vms: run.done, would: [] };
}

function sentenceOf(all: readonly VmResult[], down: readonly VmResult[]): string {
  if (all.length === 0) return 'there was no VM to bring back';
  if (down.length === 0) return `all ${all.length} VMs run again`;
  const named = down.slice(0, limits.detailLinesMax).map((v) => `${v.name} (${v.phase})`);
  return `${all.length - down.length} of ${all.length} VMs run again; not: ${named.join(', ')}`;
}

/** What an incident that was stopped leaves behind: VMs that do not run, by name, and the command that brings them back. */
function leftDown(run: Run): LeftDown | undefined {
  if (run.vmsAreDown === false) return undefined;
  const settled = new Set<string>(run.done.map((v) => v.vmId));
  const names = run.brief.roster.filter((v) => !settled.has(v.vmId)).map((v) => v.name);
  return leftDownSentence(run.input.hostId, names, run.vmsAreDown === true ? 'down' : 'not-known');
}

const gravityOf = (run: Run, left: LeftDown | undefined) =>
  left === undefined ? 'info' : run.vmsAreDown === true ? 'critical' : 'warning';

export async function closeAborted(run: Run, by: string, why: string): Promise<void> {
  const { hostId, incidentId } = run.input;
  const left = leftDown(run);
  const sentence = `stopped by ${by}: ${why}${left?.sentence ?? ''}`;
  const nextCommand = left?.nextCommand;
  const severity = gravityOf(run, left);
  await wayBack.closeIncident({
    incidentId,
    outcome: 'aborted',
    phase: 'aborted',
    sentence,
    nextCommand,
    facts: { phase: run.state.phase },
    alert: { key: `host:${hostId}:${incidentId}`, severity, sentence: `${hostId}: ${sentence}`, nextCommand },
    clearAlerts: [`waiting:${hostId}`, `unfenced:${hostId}`],
  });
}
