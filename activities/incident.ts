/** The incident's row, its timeline and its alerts: what people see, and what outlives the workflow. */
import type { ClusterPolicy, FenceLevel, Host } from '../domain/fleet';
import type { ClusterId, DiskId, HostId, IncidentId, IncidentTarget, PoolId, VmId } from '../domain/ids';
import { type Fault, withNextStep } from '../domain/faults';
import type { VmResult } from '../domain/recovery-state';
import type { IncidentChange } from './ports';
import type { AlertRecord, IncidentOutcome, Trigger, VmRecord } from '../domain/records';
import { clusterById, declaredHost, type Environment, nowIso, signal, tell } from './environment';
import { poolsToCut } from './storage-access';
import { lookForVms } from './where-vms-are';

export interface IncidentBrief {
  readonly openedAt: string;
  readonly policy: ClusterPolicy;
  readonly fenceLevels: readonly FenceLevel[];
  /** Pools whose servers are told to take no write of the host before it is switched off. Left out where there is none. */
  readonly cutsAccess?: readonly PoolId[];
  /** The boot id seen last while the host was well; undefined when it was never seen. */
  readonly knownBootId: string | undefined;
  /** VMs that the record puts on the host and that are to run: taken before any power-off. */
  readonly roster: readonly { readonly vmId: VmId; readonly name: string }[];
}

export interface AlertInput {
  readonly severity: AlertRecord['severity'];
  readonly key: string;
  readonly sentence: string;
  readonly nextCommand: string | undefined;
}

/** What every incident is opened with. A `phase` beside it is what the run does first; left out, that of any new incident. */
interface Opening {
  clusterId: ClusterId;
  incidentId: IncidentId;
  epoch: number;
  workflowId: string;
  trigger: Trigger;
}

export const incidentActivities = (env: Environment) => ({
  async openHostIncident(
    input: Opening & { hostId: HostId; mode: 'act' | 'rehearse' },
  ): Promise<IncidentBrief> {
    const host = declaredHost(env, input.hostId);
    const cluster = clusterById(env, input.clusterId);
    const [record, vms] = await Promise.all([env.inventory.host(input.hostId), rosterOf(env, input.hostId)]);
    const roster = vms.map((v) => ({ vmId: v.vmId, name: v.name }));
    const openedAt = nowIso();
    const known: IncidentBrief = {
      ...{ openedAt, policy: cluster.policy, roster, ...cutsOf(env, host) },
      ...{ fenceLevels: host.fenceLevels, knownBootId: record?.bootId },
    };
    if (input.mode === 'act') {
      const opened = await open(env, { kind: 'host', hostId: input.hostId }, input, openedAt);
      await tell(env, input.incidentId, 'roster', 'observation', `${roster.length} VMs are on its roster`, {
        roster,
      });
      return { ...known, openedAt: opened };
    }
    return known;
  },

  /** For a VM on its own (`vmedic vm restart`): its incident is `(vmId, epoch)`. */
  async openVmIncident(input: Opening & { vmId: VmId; phase?: string }): Promise<void> {
    await open(env, { kind: 'vm', vmId: input.vmId }, input, nowIso());
    if (input.phase !== undefined)
      await env.inventory.updateIncident(input.incidentId, { phase: input.phase });
    await lookForVms(env, input.clusterId, [input.vmId]);
  },

  /** For a disk that belongs to no VM: its incident is `(diskId, epoch)`. */
  async openDiskIncident(input: Opening & { diskId: DiskId; phase: string }): Promise<void> {
    await open(env, { kind: 'disk', diskId: input.diskId }, input, nowIso());
    await env.inventory.updateIncident(input.incidentId, { phase: input.phase });
  },

  /** Phase, summary and next command of the incident, with one timeline line; and, when it waits for a person, one alert. */
  async notePhase(input: {
    incidentId: IncidentId;
    key: string;
    change: IncidentChange;
    sentence: string;
    facts?: Readonly<Record<string, unknown>>;
    alert?: AlertInput;
    clearAlert?: string;
  }): Promise<void> {
    await env.inventory.updateIncident(input.incidentId, input.change);
    await tell(env, input.incidentId, input.key, 'phase', input.sentence, input.facts ?? {});
    if (input.clearAlert !== undefined) await clear(env, input.clearAlert);
    if (input.alert !== undefined) await raise(env, input.incidentId, input.alert);
  },

  async closeIncident(input: {
    incidentId: IncidentId;
    outcome: IncidentOutcome;
    phase: string;
    sentence: string;
    nextCommand: string | undefined;
    facts: Readonly<Record<string, unknown>>;
    alert?: AlertInput;
    clearAlerts: readonly string[];
    /** VMs that do not run: each is named with its cause and the next step. */
    notUp?: readonly VmResult[];
  }): Promise<void> {
    for (const vm of input.notUp ?? []) {
      const why = vm.fault === undefined ? '' : `: ${withNextStep(vm.fault)}`;
      await tell(env, input.incidentId, `not-up-${vm.vmId}`, 'vm', `${vm.name} is ${vm.phase}${why}`);
    }
    // By phase, because a fence of its own may have closed the incident before a recovery took it up again.
    await tell(env, input.incidentId, `closed-${input.phase}`, 'phase', input.sentence, input.facts);
    await env.inventory.updateIncident(input.incidentId, {
      phase: input.phase,
      summary: input.sentence,
      nextCommand: input.nextCommand,
      outcome: input.outcome,
      closedAt: nowIso(),
    });
    const open = new Set((await env.inventory.alerts({ open: true })).map((a) => a.key));
    for (const key of input.clearAlerts.filter((k) => open.has(k))) await clear(env, key);
    if (input.alert !== undefined) await raise(env, input.incidentId, input.alert);
  },

  async noteSaid(input: {
    incidentId: IncidentId;
    key: string;
    what: string;
    by: string;
    reason: string;
  }): Promise<void> {
    await tell(env, input.incidentId, input.key, 'decision', `${input.by}: ${input.what} (${input.reason})`, {
      by: input.by,
      reason: input.reason,
    });
  },

  /** The host's new boot is accepted: its VMs are back on it. */
  async acceptBoot(input: { hostId: HostId; bootId: string }): Promise<void> {
    const record = await env.inventory.host(input.hostId);
    if (record !== undefined && record.bootId !== input.bootId)
      await env.inventory.updateHost(input.hostId, record.version, {
        bootId: input.bootId,
        lastSeenAt: nowIso(),
      });
  },

  async addTrigger(input: { incidentId: IncidentId; trigger: Trigger }): Promise<void> {
    await env.inventory.attachTrigger(input.incidentId, input.trigger);
  },
});

/** The VMs that go down with the host: those that the record puts there and that are to run, and those on their way there. */
export async function rosterOf(env: Environment, hostId: HostId): Promise<VmRecord[]> {
  const [vms, reservations] = await Promise.all([
    env.inventory.vms({ hostId }),
    env.inventory.reservations(),
  ]);
  // A VM that another recovery was about to start here is this host's matter too: its run must hear that its target is gone.
  const onTheirWay = reservations.filter((r) => r.hostId === hostId && !vms.some((v) => v.vmId === r.vmId));
  const coming =
    onTheirWay.length === 0 ? [] : await env.inventory.vms({ ids: onTheirWay.map((r) => r.vmId) });
  return [...vms, ...coming].filter((v) => v.protected && v.desired === 'running');
}

async function open(
  env: Environment,
  target: IncidentTarget,
  input: Opening,
  openedAt: string,
): Promise<string> {
  const { incidentId, clusterId, epoch, workflowId, trigger } = input;
  const row = await env.inventory.openIncident(
    { incidentId, target, clusterId, epoch, workflowId, openedAt },
    trigger,
  );
  await tell(
    env,
    incidentId,
    'opened',
    'trigger',
    `opened by ${trigger.by} (${trigger.source}): ${trigger.reason}`,
    {
      trigger,
    },
  );
  return row.openedAt;
}

/** Left out where there is none: a fence has nothing to do about it then. */
function cutsOf(env: Environment, host: Host): Pick<IncidentBrief, 'cutsAccess'> {
  const cutsAccess = poolsToCut(env.fleet, host);
  return cutsAccess.length > 0 ? { cutsAccess } : {};
}

/** An alert is a state change, stored first: only the one who changed the state delivers it. */
export async function raise(
  env: Environment,
  incidentId: IncidentId | undefined,
  alert: AlertInput,
): Promise<void> {
  const row = { ...alert, incidentId, raisedAt: nowIso() };
  if ((await env.inventory.raiseAlert(row)) === 'raised')
    await env.notifier.deliver({ ...row, clearedAt: undefined }, signal());
}

export async function clear(env: Environment, key: string): Promise<void> {
  const at = nowIso();
  if ((await env.inventory.clearAlert(key, at)) !== 'cleared') return;
  const row = (await env.inventory.alerts()).find((a) => a.key === key);
  if (row !== undefined) await env.notifier.deliver({ ...row, clearedAt: at }, signal());
}

export const describeFaults = (faults: readonly Fault[]): string => faults.map((f) => f.sentence).join(' ');

/** Takes an alert back that `told` remembers. It is forgotten once that is written: a write that failed is tried again in the next round. */
export async function clearTold(env: Environment, told: Set<string>, key: string): Promise<void> {
  if (!told.has(key)) return;
  await clear(env, key);
  told.delete(key);
}
