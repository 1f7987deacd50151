/**
 * What a monitor says of a host or a VM, and what follows. A monitor is no person: it is heeded as the watch is: as far as the cluster's mode
 * lets VMedic act by itself.
 */
import { createHash } from 'node:crypto';
import { effectiveMode } from '../../../domain/armed';
import { type ClusterMode, findCluster, type MissingVms } from '../../../domain/fleet';
import type { ClusterId, HostId, VmId } from '../../../domain/ids';
import type { IncidentRecord, VmRecord } from '../../../domain/records';
import { mayTakeUp, wasStopped } from '../../../domain/watch-rules';
import type { Request, StartAnswer } from '../../answers';
import { Refusal } from '../../errors';
import { knownHost, knownVm } from '../../known';
import { type HttpDoor, withRecoveries } from '../door';
import { asProblem } from '../problems';

export interface Report {
  readonly about: { readonly kind: 'host' | 'vm'; readonly name: string };
  readonly reason: string;
  /** The same for every repeat of one report. */
  readonly key: string;
}

export interface Sender {
  readonly name: string;
  readonly origin: string;
  readonly requestId: string;
}

export interface Heeded {
  readonly about: string;
  readonly became: 'started' | 'same' | 'busy' | 'rehearsed' | 'repeated' | 'refused' | 'ignored';
  readonly incidentId?: string;
  readonly sentence: string;
}

/** Starts under way at once for one message: a payload may name hundreds of VMs. */
const atOnce = 8;
/** Of a VM, to know how often it came to nothing in a row. */
const incidentsRead = 10;

/** Heeds each report once. @throws what says that Temporal or the inventory does not answer: the sender shall send it again. */
export async function heedAll(door: HttpDoor, sender: Sender, reports: readonly Report[]): Promise<Heeded[]> {
  const distinct = [...new Map(reports.map((r) => [`${r.about.kind} ${r.about.name}`, r])).values()];
  // Hosts before VMs: a VM's report then finds the incident of its host.
  const inOrder = distinct.sort((a, b) =>
    a.about.kind < b.about.kind ? -1 : a.about.kind > b.about.kind ? 1 : 0,
  );
  const heeded: Heeded[] = [];
  for (const kind of ['host', 'vm'] as const) {
    const waiting = inOrder.filter((r) => r.about.kind === kind);
    const take = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        heeded.push(await heed(door, sender, next));
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, waiting.length) }, take));
  }
  return heeded;
}

async function heed(door: HttpDoor, sender: Sender, report: Report): Promise<Heeded> {
  const { kind, name } = report.about;
  const about = `${kind} ${name}`;
  try {
    const subject = await subjectOf(door, report);
    const { hostIncident } = subject;
    if (hostIncident !== undefined)
      return await audited(door, sender, report, subject.mode, () =>
        join(door, sender, report, hostIncident),
      );
    const request = requestOf(sender, report, subject.mode);
    return await audited(door, sender, report, subject.mode, async () => {
      const answer = await withRecoveries(door, (to) =>
        subject.kind === 'host'
          ? to.recoverHost(subject.hostId, request)
          : to.restartMissingVm(subject.vmId, request, subject.graceMs),
      );
      return told(about, answer, subject.mode);
    });
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status >= 500) throw error;
    return { about, became: 'refused', sentence: problem.message };
  }
}

/** The same as the watch's own: `observe` rehearses each thing once, `approve` opens the incident and waits for a person's yes. */
function requestOf(sender: Sender, { reason, key }: Report, mode: ClusterMode): Request {
  // Part of a workflow ID, and what a sender calls its messages may be anything.
  const rehearsal = createHash('sha256').update(key).digest('hex').slice(0, 16);
  return {
    ...{ source: 'webhook', by: sender.name, reason },
    ...(mode === 'observe' && { rehearse: true, rehearsal }),
    ...(mode === 'approve' && { needsApproval: true }),
  };
}

type Subject =
  | { kind: 'host'; hostId: HostId; mode: ClusterMode; hostIncident: undefined }
  | { kind: 'vm'; vmId: VmId; mode: ClusterMode; graceMs: number; hostIncident: IncidentRecord | undefined };

async function subjectOf(door: HttpDoor, { about }: Report): Promise<Subject> {
  if (about.kind === 'host') {
    const { id, cluster } = knownHost(door.fleet, about.name);
    await refuseStopped(door, id);
    return { kind: 'host', hostId: id, mode: await modeNow(door, cluster), hostIncident: undefined };
  }
  const vm = await knownVm(door.inventory, about.name);
  const [hostIncident] = await door.inventory.incidents({ hostId: vm.hostId, open: true, limit: 1 });
  const watched = findCluster(door.fleet, vm.clusterId)?.policy.watch;
  const leftAlone = await whyLeftAlone(
    door,
    vm,
    hostIncident === undefined ? watched?.missingVms : undefined,
  );
  if (leftAlone !== undefined)
    throw new Refusal('refused', 'VM_LEFT_ALONE', `${vm.name} ${leftAlone}: its reports are left alone`);
  const graceMs = watched?.vmGraceMs ?? 0;
  return { kind: 'vm', vmId: vm.vmId, mode: await modeNow(door, vm.clusterId), graceMs, hostIncident };
}

/** The same rules as the watch's own: a monitor that repeats itself outranks neither a policy nor a person. */
async function whyLeftAlone(
  { inventory }: HttpDoor,
  vm: VmRecord,
  missingVms: MissingVms | undefined,
): Promise<string | undefined> {
  if (!vm.protected) return 'is not protected';
  if (vm.desired === 'stopped') return 'is to be stopped';
  if (missingVms === 'leave')
    return 'is left to another system when it is missing, by the policy of its cluster';
  const before = await inventory.incidents({ vmId: vm.vmId, limit: incidentsRead });
  const nowMs = Date.now();
  if (before[0] === undefined || mayTakeUp(before, vm.observed.at, nowMs, nowMs)) return undefined;
  return `has had its last recovery end as ${before[0].outcome ?? 'closed'}, and nothing about it has changed since`;
}

async function refuseStopped({ inventory }: HttpDoor, hostId: HostId): Promise<void> {
  const [[latest], record] = await Promise.all([
    inventory.incidents({ hostId, limit: 1 }),
    inventory.host(hostId),
  ]);
  if (!wasStopped(latest, record?.lastSeenAt)) return;
  throw new Refusal(
    'refused',
    'HOST_LEFT_ALONE',
    `the recovery of ${hostId} was stopped by a person, and it has not been heard since: its reports are left alone`,
    `vmedic host recover ${hostId} --reason "..."`,
  );
}

/** The cluster's mode, or less: while VMedic is disarmed, or has not seen every host since it took the fleet over. */
async function modeNow({ fleet, inventory }: HttpDoor, id: ClusterId): Promise<ClusterMode> {
  const cluster = findCluster(fleet, id);
  if (cluster === undefined) return 'observe';
  const [hosts, claim, switches] = await Promise.all([
    inventory.hosts({ clusterId: id }),
    inventory.fleetClaim(),
    inventory.switches(),
  ]);
  return effectiveMode(cluster, hosts, claim, switches).mode;
}

/** A VM that is down because its host is: the host's incident restarts it, and this report is one more sign of it. */
async function join(
  door: HttpDoor,
  sender: Sender,
  { about, reason }: Report,
  { incidentId }: IncidentRecord,
): Promise<Heeded> {
  const trigger = { source: 'webhook', by: sender.name, reason: `${about.name}: ${reason}` } as const;
  await door.inventory.attachTrigger(incidentId, { ...trigger, at: new Date().toISOString() });
  door.log.info(
    { incidentId, vm: about.name, by: sender.name },
    'a report was added to the incident of its host',
  );
  return {
    ...{ about: `vm ${about.name}`, became: 'same', incidentId },
    sentence: 'its host is being recovered already; this report was added to that',
  };
}

function told(about: string, answer: StartAnswer, mode: ClusterMode): Heeded {
  if (answer.answer === 'busy')
    return {
      ...{ about, became: 'busy', sentence: `${answer.type} is at work on it: ${answer.summary}` },
      ...(answer.incidentId !== undefined && { incidentId: answer.incidentId }),
    };
  const { incidentId } = answer;
  if (answer.answer === 'same' && answer.workflowId.startsWith('rehearsal:'))
    return { about, became: 'repeated', sentence: 'rehearsed before: VMedic only observes at this moment' };
  if (answer.answer === 'same') return { about, became: 'same', incidentId, sentence: answer.sentence };
  if (answer.rehearsal) {
    const sentence = `VMedic only observes at this moment: rehearsed as ${answer.workflowId}; a person may order it`;
    return { about, became: 'rehearsed', sentence };
  }
  const sentence = mode === 'approve' ? 'opened; it waits for a person to approve it' : 'started';
  return { about, became: 'started', incidentId, sentence };
}

async function audited(
  door: HttpDoor,
  sender: Sender,
  { about, reason }: Report,
  mode: ClusterMode,
  act: () => Promise<Heeded>,
): Promise<Heeded> {
  const id = await door.inventory.noteAudit({
    ...{ at: new Date().toISOString(), who: sender.name, via: 'webhook', origin: sender.origin },
    action: `${about.kind === 'host' ? 'recoverHost' : 'restartVm'}${mode === 'observe' ? ' (rehearsal)' : ''}`,
    ...{ target: about.name, reason, answer: 'asked', requestId: sender.requestId },
  });
  const complete = (answer: string): Promise<void> =>
    door.inventory.noteAuditAnswer(id, answer).catch((error: unknown) => {
      // What was done stays done, and "asked" is true.
      door.log.warn({ err: error, audit: id, answer }, 'the audit trail could not be completed');
    });
  try {
    const heeded = await act();
    await complete(heeded.became);
    return heeded;
  } catch (error) {
    await complete(asProblem(error).code);
    throw error;
  }
}
