/** What tests that follow a run need: one system per test, waiting for a condition, and asking the run. */
import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { type FenceEvidence, evidenceFromReadings, isRefused } from '../../domain/evidence';
import { findHost } from '../../domain/fleet';
import {
  evidenceId,
  type HostId,
  incidentId,
  type IncidentId,
  type VmId,
  workflowIds,
} from '../../domain/ids';
import type { TimelineEntry } from '../../domain/records';
import type { fenceHost } from '../../workflows';
import {
  recoveryStatusQuery,
  type RecoveryStatus,
  vmStatusQuery,
  type VmStatus,
} from '../../workflows/messages';
import { recoverySystem, type RecoverySystem, type SystemOptions } from './recovery-system';

/** Call it once per file; each system begun is closed after its test. */
export function systems(): (options?: SystemOptions) => Promise<RecoverySystem> {
  const begun: RecoverySystem[] = [];
  afterEach(async () => {
    for (const system of begun.splice(0)) await system.close();
  });
  return async (options = {}) => {
    const system = await recoverySystem(options);
    begun.push(system);
    return system;
  };
}

const lookEveryMs = 25;

/** The first answer that is neither undefined nor false; fails with what was last seen. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  patienceMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

export const statusOf = (run: WorkflowHandle): Promise<RecoveryStatus> => run.query(recoveryStatusQuery);
export const vmStatusOf = (run: WorkflowHandle): Promise<VmStatus> => run.query(vmStatusQuery);

export function untilPhase(run: WorkflowHandle, phase: RecoveryStatus['phase']): Promise<RecoveryStatus> {
  return eventually(`phase ${phase}`, async () => {
    const status = await statusOf(run);
    return status.phase === phase && status;
  });
}

export function untilVmPhase(run: WorkflowHandle, phase: VmStatus['phase']): Promise<VmStatus> {
  return eventually(`VM phase ${phase}`, async () => {
    const status = await vmStatusOf(run);
    return status.phase === phase && status;
  });
}

/** The hosts on which the VM runs in the world, whatever anybody believes. */
export const runsOn = (system: RecoverySystem, vm: VmId): HostId[] =>
  system.controls
    .snapshot()
    .processes.filter((p) => p.vmId === vm && p.endedSeq === undefined)
    .map((p) => p.hostId);

/** Some rounds of the watch over this host, so that what was to happen by now has happened. */
export async function watchRounds(system: RecoverySystem, letter: string, count = 6): Promise<void> {
  const lists = (): number =>
    system.controls
      .journal()
      .filter((e) => e.kind === 'call' && e.call === 'list' && e.target === system.host(letter)).length;
  const before = lists();
  await eventually(`${count} looks at ${letter}`, () => lists() >= before + count);
}

/** A person, with a reason unless the test says otherwise. */
export const said = (reason = 'seen in the rack', by = 'alice') => ({ by, reason });

/** The sentence that an update was refused with; fails when it was taken. */
export async function refusalOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError && error.cause !== undefined) return error.cause.message;
    throw error;
  }
  throw new Error('the update was taken');
}

/** How many updates a run has taken: a refused one leaves no event. */
export async function updatesTaken(run: WorkflowHandle): Promise<number> {
  const { events } = await run.fetchHistory();
  return (events ?? []).filter((e) => e.workflowExecutionUpdateAcceptedEventAttributes != null).length;
}

/** Whether the run ended as cancelled, which is neither success nor failure. */
export async function endedCancelled(run: WorkflowHandle): Promise<boolean> {
  try {
    await run.result();
    return false;
  } catch (error) {
    return error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure;
  }
}

export async function failureOf(run: WorkflowHandle): Promise<{ type: string; message: string }> {
  try {
    await run.result();
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const cause = error.cause as { type?: string; message: string };
    return { type: cause.type ?? '', message: cause.message };
  }
  throw new Error('the run ended well');
}

export const incidentOfHost = (system: RecoverySystem, letter: string, epoch = 1): IncidentId =>
  incidentId({ kind: 'host', hostId: system.host(letter) }, epoch);

export async function timelineOf(system: RecoverySystem, incident: IncidentId): Promise<TimelineEntry[]> {
  return system.inventory.timeline(incident);
}

/** Ports calls that change something, as the world's journal has them. */
export function actsOn(system: RecoverySystem): string[] {
  const acting = new Set([
    'off',
    'define',
    'start',
    'undefine',
    'disableAutostart',
    'release',
    'makeReady',
    'standDown',
  ]);
  return system.controls
    .journal()
    .flatMap((e) => (e.kind === 'call' && acting.has(e.call) ? [`${e.port}.${e.call} ${e.target}`] : []));
}

/** Stored evidence that a host was read as off so long ago. */
export async function evidenceOfAge(
  system: RecoverySystem,
  letter: string,
  ageMs: number,
): Promise<FenceEvidence> {
  const hostId = system.host(letter);
  const level = findHost(system.fleet, hostId)?.fenceLevels[0];
  if (level === undefined) throw new Error(`${hostId} has no fence level`);
  const observedAt = new Date(Date.now() - ageMs).toISOString();
  const incident = incidentOfHost(system, letter);
  const facts = { id: evidenceId(incident, Date.now() - ageMs), hostId, incidentId: incident };
  const readings = level.devices.map((d) => ({
    ...{ hostId, deviceId: d.id, agent: d.agent, power: 'off' as const, observedAt },
  }));
  const evidence = evidenceFromReadings(facts, level, readings);
  if (isRefused(evidence)) throw new Error(evidence.refused.join('; '));
  await system.inventory.storeEvidence(evidence);
  return evidence;
}

export const fencingRun = (system: RecoverySystem, letter: string): WorkflowHandle<typeof fenceHost> =>
  system.client.workflow.getHandle<typeof fenceHost>(workflowIds.fence(system.host(letter)));
