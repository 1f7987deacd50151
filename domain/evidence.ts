/**
 * Theory of operation. Two proofs stand between a failure and an act that could make two writers:
 *
 * - `FenceEvidence`: this host is off. Made only from power readings of every device of one fence level, all `off`, or from an
 *   operator's attestation. Releasing a dead host's locks takes one.
 * - `StartPermit`: this VM may start on that target. Made only when every host that may hold the VM is accounted for: by
 *   `FenceEvidence`, or by that host's own complete list, read after the incident began, in which the VM is at rest.
 *
 * Both are plain data, so that they travel through workflow histories; the brands keep anybody from writing them by hand.
 *
 * INVARIANTS:
 * - Unknown is never off: no function here makes a proof from an error, a timeout or an absence of answers.
 * - Proofs age. `isFresh` is asked again right before the act, not only when the proof was made.
 * - An attestation does not age by the clock; it lapses when the host is seen to answer again.
 */
import type { FenceLevel } from './fleet';
import type { EvidenceId, HostId, IncidentId, VmId } from './ids';
import { limits } from './limits';
import { type HostVmList, isAtRest, millisOf, type PowerReading, type Timestamp } from './observations';

declare const proof: unique symbol;
interface Proof<Kind extends string> {
  readonly [proof]: Kind;
}

interface EvidenceFacts {
  readonly id: EvidenceId;
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
}

export interface ObservedOff extends EvidenceFacts {
  readonly method: 'observed-off';
  readonly level: string;
  readonly readings: readonly PowerReading[];
  /** The oldest of its readings: an age is as good as its worst part. */
  readonly observedAt: Timestamp;
  /** Of a proof read anew: when the host was first seen off. */
  readonly offSince?: Timestamp;
}

export interface Attested extends EvidenceFacts {
  readonly method: 'attested';
  readonly by: string;
  readonly reason: string;
  readonly observedAt: Timestamp;
}

export type FenceEvidence = (ObservedOff | Attested) & Proof<'FenceEvidence'>;

export interface Refused {
  readonly refused: readonly string[];
}

/** Evidence from readings: every device of the level must have been read, and read as off. */
export function evidenceFromReadings(
  facts: EvidenceFacts,
  level: FenceLevel,
  readings: readonly PowerReading[],
): FenceEvidence | Refused {
  const refused: string[] = [];
  const used: PowerReading[] = [];
  if (level.devices.length === 0) refused.push(`fence level ${level.name} has no device: nothing was read`);
  for (const device of level.devices) {
    const reading = readings.filter((r) => r.deviceId === device.id && r.hostId === facts.hostId).at(-1);
    if (reading === undefined) refused.push(`${device.id} was not read`);
    else if (reading.power !== 'off') refused.push(`${device.id} reads "${reading.power}"`);
    else used.push(reading);
  }
  if (refused.length > 0) return { refused };
  const observedAt = used.map((r) => r.observedAt).sort((a, b) => millisOf(a) - millisOf(b))[0] as Timestamp;
  return {
    ...facts,
    method: 'observed-off',
    level: level.name,
    readings: used,
    observedAt,
  } as unknown as FenceEvidence;
}

/** Evidence from a person who has seen to it that the host is off. Their name and reason are part of it. */
export function evidenceFromAttestation(
  facts: EvidenceFacts,
  said: { readonly by: string; readonly reason: string; readonly at: Timestamp },
): FenceEvidence | Refused {
  const refused: string[] = [];
  if (said.by.trim() === '') refused.push('an attestation needs a name');
  if (said.reason.trim() === '') refused.push('an attestation needs a reason: what was seen or done');
  if (refused.length > 0) return { refused };
  return {
    ...facts,
    method: 'attested',
    by: said.by,
    reason: said.reason,
    observedAt: said.at,
  } as unknown as FenceEvidence;
}

/** When the host was first seen off. It stays as it was however often the proof is read anew, so that a wait counted from it comes to its end. */
export const offSince = (evidence: FenceEvidence): Timestamp =>
  (evidence.method === 'observed-off' ? evidence.offSince : undefined) ?? evidence.observedAt;

/** The same proof, read anew. */
export const readAnew = (before: FenceEvidence, again: FenceEvidence): FenceEvidence =>
  again.method === 'attested' ? again : { ...again, offSince: offSince(before) };

/** Whether the evidence may still be acted on at `now`, or the power must be read again first. */
export function evidenceIsFresh(evidence: FenceEvidence, nowMs: number): boolean {
  if (evidence.method === 'attested') return true;
  const age = nowMs - millisOf(evidence.observedAt);
  return age <= limits.evidenceAgeMsMax && age >= -limits.clockSkewMsMax;
}

/** How one host that may hold the VM is accounted for. */
export type Account =
  | { readonly hostId: HostId; readonly by: 'fence-evidence'; readonly evidence: FenceEvidence }
  | { readonly hostId: HostId; readonly by: 'own-list'; readonly list: HostVmList };

interface PermitFacts {
  readonly vmId: VmId;
  readonly target: HostId;
  readonly incidentId: IncidentId;
  readonly issuedAt: Timestamp;
  /** Version of the VM's record that the hosts were taken from: a newer record voids the permit. */
  readonly recordVersion: number;
  readonly accounts: readonly {
    readonly hostId: HostId;
    readonly by: 'fence-evidence' | 'own-list';
    readonly observedAt: Timestamp;
    readonly evidenceId?: EvidenceId;
  }[];
}

export type StartPermit = PermitFacts & Proof<'StartPermit'>;
/** This VM, which stands paused on the target, may go on there. Nothing else runs it. */
export type ResumePermit = PermitFacts & Proof<'ResumePermit'>;

export interface PermitRequest {
  readonly vmId: VmId;
  readonly target: HostId;
  readonly incidentId: IncidentId;
  readonly recordVersion: number;
  /** The record's host, the target, and every host where a definition was seen and not since seen removed. */
  readonly mayHold: readonly HostId[];
  readonly accounts: readonly Account[];
  readonly incidentBeganAt: Timestamp;
  readonly now: Timestamp;
}

/** Every account of the host must hold: one that contradicts another is a reason to stop, not to choose. */
function accountProblem(request: PermitRequest, host: HostId, stands: boolean): string | undefined {
  const accounts = request.accounts.filter((a) => a.hostId === host);
  if (accounts.length === 0) return `${host} may hold it and is not accounted for`;
  const problem = (a: Account): string | undefined =>
    a.by === 'fence-evidence'
      ? evidenceProblem(a.evidence, host, millisOf(request.now))
      : listProblem(a.list, host, request, stands);
  return accounts.map(problem).find((p) => p !== undefined);
}

function evidenceProblem(evidence: FenceEvidence, host: HostId, nowMs: number): string | undefined {
  if (evidence.hostId !== host) return `the evidence for ${host} is about ${evidence.hostId}`;
  if (!evidenceIsFresh(evidence, nowMs))
    return `the evidence that ${host} is off has aged: read its power again`;
  return undefined;
}

/** Written so that a time that cannot be read fails every comparison and is refused. */
function listProblem(
  list: HostVmList,
  host: HostId,
  request: PermitRequest,
  stands: boolean,
): string | undefined {
  if (list.hostId !== host) return `the list for ${host} is from ${list.hostId}`;
  const read = millisOf(list.observedAt);
  const age = millisOf(request.now) - read;
  if (!(read >= millisOf(request.incidentBeganAt))) return `the list of ${host} is older than the incident`;
  if (!(age <= limits.listAgeMsMax)) return `the list of ${host} has aged: read it again`;
  if (age < -limits.clockSkewMsMax) return `the list of ${host} is from the future: clocks differ too much`;
  const found = list.vms.find((v) => v.vmId === request.vmId);
  if (stands)
    return found?.state === 'paused'
      ? undefined
      : `${host} says it is ${found?.state ?? 'not there'}, not paused`;
  const seen = found !== undefined && isAtRest(found.state) ? undefined : found;
  if (seen !== undefined) return `${host} says it is ${seen.state} (${seen.reason})`;
  return undefined;
}

/** The permit, or every reason why there is none. */
export const issueStartPermit = (request: PermitRequest): StartPermit | Refused =>
  issue(request, 'start') as StartPermit | Refused;

/** The target itself must say that the VM stands paused there; every other host that may hold it is accounted for as for a start. */
export const issueResumePermit = (request: PermitRequest): ResumePermit | Refused =>
  issue(request, 'resume') as ResumePermit | Refused;

function issue(request: PermitRequest, to: 'start' | 'resume'): PermitFacts | Refused {
  const hosts = [...new Set([...request.mayHold, request.target])];
  const refused = hosts
    .map((h) => accountProblem(request, h, to === 'resume' && h === request.target))
    .filter((p) => p !== undefined);
  if (request.accounts.some((a) => a.hostId === request.target && a.by === 'fence-evidence'))
    refused.push(`${request.target} is fenced: it cannot be the target`);
  if (refused.length > 0) return { refused };
  return {
    vmId: request.vmId,
    target: request.target,
    incidentId: request.incidentId,
    issuedAt: request.now,
    recordVersion: request.recordVersion,
    accounts: request.accounts
      .filter((a) => hosts.includes(a.hostId))
      .map((a) =>
        a.by === 'fence-evidence'
          ? { hostId: a.hostId, by: a.by, observedAt: a.evidence.observedAt, evidenceId: a.evidence.id }
          : { hostId: a.hostId, by: a.by, observedAt: a.list.observedAt },
      ),
  };
}

/** A permit is good for one start, soon: its lists age like any other. Attestations are re-checked by whoever holds the evidence. */
export function permitIsFresh(permit: StartPermit | ResumePermit, nowMs: number): boolean {
  const age = nowMs - millisOf(permit.issuedAt);
  return age <= limits.listAgeMsMax && age >= -limits.clockSkewMsMax;
}

export const isRefused = (value: object): value is Refused => 'refused' in value;
