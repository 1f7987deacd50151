/**
 * Fencing one host. Theory of operation: evidence is made only here and only from readings. Before the first `off` the intent is written to
 * the timeline, so that a worker that dies right after sending it leaves a trace: from then on the host is never taken for "never touched".
 */
import {
  evidenceFromAttestation,
  evidenceFromReadings,
  evidenceIsFresh,
  type FenceEvidence,
  isRefused,
  readAnew,
} from '../domain/evidence';
import { DriverFault, type Fault, fault } from '../domain/faults';
import type { FenceDevice, FenceLevel, Host } from '../domain/fleet';
import { evidenceId, type HostId, type IncidentId } from '../domain/ids';
import { judgeHost } from '../domain/judge-host';
import { limits } from '../domain/limits';
import { millisOf, type PowerReading } from '../domain/observations';
import type { HostStanding } from '../domain/records';
import { faultOf } from './fault-boundary';
import { signsOf } from './look-at-host';
import { whyDisarmed } from './armed';
import { declaredCluster, declaredHost, type Environment, nowIso, signal, tell } from './environment';
import { mustHaveAccess, poolsToCut, wouldCut } from './storage-access';

export type LevelResult =
  | { readonly kind: 'off'; readonly evidence: FenceEvidence }
  | { readonly kind: 'failed'; readonly faults: readonly Fault[]; readonly offSent: boolean }
  | { readonly kind: 'alive-again'; readonly bootId: string | undefined; readonly why: string }
  | { readonly kind: 'degraded'; readonly why: string };

/** A person's word is taken unless the host itself says otherwise at that moment. */
export type AttestResult =
  | { readonly kind: 'taken'; readonly evidence: FenceEvidence }
  | { readonly kind: 'contradicted'; readonly fault: Fault };

export interface LevelInput {
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly level: FenceLevel;
  /**
   * `alive`: a person ordered it for a host that may be well. `degraded`: policy or a person allows it although its kernel answers while its
   * hypervisor does not, so that its guests may run. Undefined: only while nothing at all is heard of it.
   */
  readonly evenIf: 'alive' | 'degraded' | undefined;
}

/** A host that says it answers this soon after "off" was read was not switched off: a dead one is silent or refuses. */
const contradictionLookMs = 300;

export const fenceActivities = (env: Environment) => ({
  async excludeFromPlacement(input: { hostId: HostId; incidentId: IncidentId }): Promise<void> {
    const was = (await env.inventory.host(input.hostId))?.standing;
    await tell(env, input.incidentId, 'excluded', 'act', `${input.hostId} is out of placement`, { was });
    await setStanding(env, input.hostId, 'excluded', ['in-service', 'maintenance', 'quarantined']);
    await env.inventory.updateIncident(input.incidentId, {
      phase: 'fencing',
      summary: 'fencing',
      nextCommand: undefined,
    });
  },

  async includeInPlacement(input: { hostId: HostId; incidentId: IncidentId }): Promise<void> {
    await mustHaveAccess(env, input.hostId, input.incidentId);
    // As it was found: a host that is not trusted yet, or that is in maintenance, is not put into service by a fence taken back.
    const was = (await env.inventory.timeline(input.incidentId)).map((e) => e.facts['was']);
    const to = (['maintenance', 'quarantined'] as const).find((s) => was.includes(s)) ?? 'in-service';
    await setStanding(env, input.hostId, to, ['excluded']);
    const sentence = to === 'in-service' ? 'takes VMs again' : `is ${to} again`;
    await tell(env, input.incidentId, 'included-again', 'act', `${input.hostId} ${sentence}`);
  },

  /** Out of placement with no fence under way: only a readmission puts it back. */
  async quarantineHost(input: { hostId: HostId }): Promise<void> {
    await setStanding(env, input.hostId, 'quarantined', ['excluded']);
  },

  async fenceLevel(input: LevelInput): Promise<LevelResult> {
    const host = declaredHost(env, input.hostId);
    const faults: Fault[] = [];
    let offSent = await wasOffSent(env, input.incidentId);
    const readings: PowerReading[] = [];
    for (const device of input.level.devices) {
      const result = await switchOff(env, host, device, input, () => offSent);
      offSent = offSent || result.offSent;
      if (result.kind === 'alive-again')
        return { kind: 'alive-again', bootId: result.bootId, why: result.why };
      if (result.kind === 'degraded') return { kind: 'degraded', why: result.why };
      if (result.kind === 'failed') faults.push(result.fault);
      else readings.push(result.reading);
    }
    if (faults.length > 0) return { kind: 'failed', faults, offSent };
    const contradiction = await answersAtOnce(env, host);
    if (contradiction !== undefined) return { kind: 'failed', faults: [contradiction], offSent: true };
    return settleEvidence(env, input, readings);
  },

  async attest(input: {
    hostId: HostId;
    incidentId: IncidentId;
    by: string;
    reason: string;
    /** The host was proven off before, and its incident is past the fence: only the proof is renewed. */
    renews?: true;
  }): Promise<AttestResult> {
    const contradiction = await contradictsAttestation(env, declaredHost(env, input.hostId));
    if (contradiction !== undefined) {
      const said = `${input.by} attests that ${input.hostId} is off, and it answers: not taken`;
      await tell(env, input.incidentId, `attest-refused-${Date.now()}`, 'attestation', said, { ...input });
      return { kind: 'contradicted', fault: contradiction };
    }
    const at = nowIso();
    const facts = {
      id: evidenceId(input.incidentId, Date.now()),
      hostId: input.hostId,
      incidentId: input.incidentId,
    };
    const evidence = evidenceFromAttestation(facts, { by: input.by, reason: input.reason, at });
    if (isRefused(evidence))
      throw new DriverFault('PERMIT_REFUSED', { host: input.hostId, detail: evidence.refused.join('; ') });
    const sentence = `${input.by} attests that ${input.hostId} is off: ${input.reason}`;
    await keepEvidence(env, evidence, 'attestation', sentence, input.renews);
    return { kind: 'taken', evidence };
  },

  /** A person says that the password is right now: devices are asked again. */
  async retryRefusedDevices(input: { hostId: HostId }): Promise<void> {
    const devices = declaredHost(env, input.hostId).fenceLevels.flatMap((l) => l.devices.map((d) => d.id));
    await env.inventory.forgetLoginRefusals(devices);
  },

  async rehearseFence(input: { hostId: HostId }): Promise<string[]> {
    const host = declaredHost(env, input.hostId);
    const would: string[] = [];
    for (const pool of poolsToCut(env.fleet, host)) would.push(await wouldCut(env, input.hostId, pool));
    for (const [index, level] of host.fenceLevels.entries()) {
      const first = host.fenceLevels[index - 1];
      const when = first === undefined ? '' : `if ${first.name} fails, `;
      for (const device of level.devices) {
        const answer = await readStatus(env, host, device);
        const isOff = 'reading' in answer && answer.reading.power === 'off';
        const act = isOff
          ? `would only read ${device.id}`
          : `would switch ${input.hostId} off by ${device.id}`;
        const now = 'reading' in answer ? `it reads "${answer.reading.power}" now` : answer.fault.sentence;
        would.push(`${when}${act} (${level.name}); ${now}`);
      }
    }
    if (would.length === 0)
      would.push(`${input.hostId} has no fence device: it would wait for vmedic incident attest-fenced`);
    return would;
  },
});

type SwitchResult = { offSent: boolean } & (
  | { kind: 'off'; reading: PowerReading }
  | { kind: 'failed'; fault: Fault }
  | { kind: 'alive-again'; bootId: string | undefined; why: string }
  | { kind: 'degraded'; why: string }
);

/** Status, off, status until off is read. "Already off" is off. */
async function switchOff(
  env: Environment,
  host: Host,
  device: FenceDevice,
  input: LevelInput,
  offSentBefore: () => boolean,
): Promise<SwitchResult> {
  const before = await readStatus(env, host, device);
  if ('fault' in before) return { kind: 'failed', fault: before.fault, offSent: false };
  if (before.reading.power === 'off') return { kind: 'off', reading: before.reading, offSent: false };
  const life = offSentBefore() ? undefined : await signOfLife(env, host, input.evenIf);
  if (life !== undefined) return { ...life, offSent: false };
  const disarmed = await whyDisarmed(env, declaredCluster(env, host.id).id);
  // An answer and not a throw: between attempts the fence hears an abort or an attestation, within one it would not.
  if (disarmed !== undefined) return { kind: 'failed', fault: disarmed, offSent: false };
  await tell(env, input.incidentId, `off-${device.id}`, 'act', `"off" is sent to ${device.id}`, {
    call: 'off',
    device: device.id,
  });
  try {
    await env.fencing.off(host.id, device, signal());
  } catch (error) {
    // Whatever the device said, only the reading below decides: an `off` that timed out may have worked.
    if (faultOf(error) === undefined) throw error;
  }
  const after = await readStatus(env, host, device);
  if ('fault' in after)
    return {
      kind: 'failed',
      fault: fault('FENCE_OUTCOME_UNKNOWN', { host: host.id, device: device.id }),
      offSent: true,
    };
  if (after.reading.power === 'off') return { kind: 'off', reading: after.reading, offSent: true };
  return {
    kind: 'failed',
    fault: fault('FENCE_OFF_NOT_TAKEN', { host: host.id, device: device.id, power: after.reading.power }),
    offSent: true,
  };
}

/** Why a host is not to be touched after all; undefined while nothing speaks against it. Looked for with all patience. */
export async function signOfLife(
  env: Environment,
  host: Host,
  evenIf: LevelInput['evenIf'],
): Promise<Extract<LevelResult, { kind: 'alive-again' | 'degraded' }> | undefined> {
  if (evenIf === 'alive') return undefined;
  const verdict = judgeHost(await signsOf(env, host, false));
  if (verdict.verdict === 'alive') return { kind: 'alive-again', bootId: verdict.bootId, why: verdict.why };
  if (verdict.verdict === 'degraded' && evenIf !== 'degraded') return { kind: 'degraded', why: verdict.why };
  return undefined;
}

async function readStatus(
  env: Environment,
  host: Host,
  device: FenceDevice,
): Promise<{ reading: PowerReading } | { fault: Fault }> {
  const refused = (): Fault =>
    fault('FENCE_LOGIN_REFUSED', {
      host: host.id,
      device: device.id,
      limit: String(limits.fenceLoginRefusalsMax),
    });
  const health = await env.inventory.deviceHealth(device.id);
  if (health.loginRefusals >= limits.fenceLoginRefusalsMax) return { fault: refused() };
  try {
    const reading = await env.fencing.status(host.id, device, signal());
    if (health.loginRefusals > 0) await env.inventory.noteDeviceAnswer(device.id, 'answered', nowIso());
    return { reading };
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined) throw error;
    if (known.code !== 'FENCE_LOGIN_REFUSED') return { fault: known };
    await env.inventory.noteDeviceAnswer(device.id, 'login-refused', nowIso());
    return { fault: refused() };
  }
}

export async function wasOffSent(env: Environment, incident: IncidentId): Promise<boolean> {
  return (await env.inventory.timeline(incident)).some((e) => e.kind === 'act' && e.facts['call'] === 'off');
}

async function answersAtOnce(env: Environment, host: Host): Promise<Fault | undefined> {
  const soon = AbortSignal.any([signal(), AbortSignal.timeout(contradictionLookMs)]);
  const sign = await env.hypervisor.probe(host.id, soon);
  if (sign.says !== 'answers') return undefined;
  return fault('EVIDENCE_CONTRADICTED', { host: host.id, detail: 'its hypervisor answers' });
}

/** Against a person's word stand the host's own words: its hypervisor, or its kernel. Looked for with all patience. */
async function contradictsAttestation(env: Environment, host: Host): Promise<Fault | undefined> {
  const verdict = judgeHost(await signsOf(env, host, false));
  if (verdict.verdict !== 'alive' && verdict.verdict !== 'degraded') return undefined;
  return fault('EVIDENCE_CONTRADICTED', { host: host.id, detail: verdict.why });
}

async function settleEvidence(
  env: Environment,
  input: LevelInput,
  readings: readonly PowerReading[],
): Promise<LevelResult> {
  const facts = {
    id: evidenceId(input.incidentId, Date.now()),
    hostId: input.hostId,
    incidentId: input.incidentId,
  };
  const evidence = evidenceFromReadings(facts, input.level, readings);
  if (isRefused(evidence)) {
    const detail = evidence.refused.join('; ');
    return {
      kind: 'failed',
      faults: [fault('EVIDENCE_AGED', { host: input.hostId, detail })],
      offSent: true,
    };
  }
  const sentence = `${input.hostId} is off: ${readings.map((r) => `${r.deviceId} reads off`).join(', ')}`;
  await keepEvidence(env, evidence, 'evidence', sentence);
  return { kind: 'off', evidence };
}

async function keepEvidence(
  env: Environment,
  evidence: FenceEvidence,
  kind: 'evidence' | 'attestation',
  sentence: string,
  renews?: true,
): Promise<void> {
  await env.inventory.storeEvidence(evidence);
  await tell(env, evidence.incidentId, `evidence-${evidence.id}`, kind, sentence, { evidence });
  await setStanding(env, evidence.hostId, 'fenced', ['in-service', 'excluded', 'maintenance', 'quarantined']);
  if (renews === true) return;
  await env.inventory.updateIncident(evidence.incidentId, {
    phase: 'fenced',
    summary: sentence,
    nextCommand: undefined,
  });
}

/**
 * Evidence that may be acted on now: the given one while it is fresh, else the newest stored, else one made from reading the same devices
 * again. Throws `EVIDENCE_CONTRADICTED` when a device now reads "on" or an attested host answers, and the device's fault when it cannot be
 * read.
 */
export async function freshEvidence(env: Environment, given: FenceEvidence): Promise<FenceEvidence> {
  const stored = await env.inventory.evidence(given.id);
  if (stored === undefined || stored.lapsedAt !== undefined)
    throw new DriverFault('EVIDENCE_CONTRADICTED', {
      host: given.hostId,
      detail:
        stored === undefined ? 'no such evidence is stored' : `it was seen to answer at ${stored.lapsedAt}`,
    });
  if (given.method === 'attested') return stillSilent(env, given);
  if (evidenceIsFresh(given, Date.now())) return given;
  const newest = await env.inventory.evidenceFor(given.hostId);
  if (newest?.method === 'attested') return stillSilent(env, newest);
  if (newest !== undefined && evidenceIsFresh(newest, Date.now())) return newest;
  return refresh(env, given);
}

/** An attestation does not age: it lapses when its host is heard of. Nobody else may have listened since, so the look is made here. */
async function stillSilent(env: Environment, attested: FenceEvidence): Promise<FenceEvidence> {
  const contradiction = await answersAtOnce(env, declaredHost(env, attested.hostId));
  if (contradiction === undefined) return attested;
  await env.inventory.lapseEvidence(attested.hostId, nowIso());
  throw new DriverFault('EVIDENCE_CONTRADICTED', contradiction.facts);
}

async function refresh(env: Environment, aged: FenceEvidence): Promise<FenceEvidence> {
  const host = declaredHost(env, aged.hostId);
  const levelName = aged.method === 'observed-off' ? aged.level : '';
  const level = host.fenceLevels.find((l) => l.name === levelName);
  if (level === undefined) throw new DriverFault('EVIDENCE_AGED', { host: host.id });
  const readings: PowerReading[] = [];
  for (const device of level.devices) {
    const answer = await readStatus(env, host, device);
    if ('fault' in answer) throw new DriverFault(answer.fault.code, answer.fault.facts);
    readings.push(answer.reading);
  }
  const on = readings.find((r) => r.power === 'on');
  if (on !== undefined)
    throw new DriverFault('EVIDENCE_CONTRADICTED', {
      host: host.id,
      detail: `${on.deviceId} now reads "on"`,
    });
  const facts = { id: evidenceId(aged.incidentId, Date.now()), hostId: host.id, incidentId: aged.incidentId };
  const read = evidenceFromReadings(facts, level, readings);
  if (isRefused(read)) throw new DriverFault('EVIDENCE_AGED', { host: host.id });
  const evidence = readAnew(aged, read);
  await env.inventory.storeEvidence(evidence);
  const sentence = `${host.id} is still off`;
  await tell(env, aged.incidentId, `evidence-${evidence.id}`, 'evidence', sentence, { evidence });
  return evidence;
}

/** Moves the host's standing if it stands in one of `from`; a lost race is read again. Already there is fine. */
export async function setStanding(
  env: Environment,
  id: HostId,
  to: HostStanding,
  from: readonly HostStanding[],
): Promise<void> {
  for (;;) {
    const record = await env.inventory.host(id);
    if (record === undefined || record.standing === to || !from.includes(record.standing)) return;
    try {
      await env.inventory.updateHost(id, record.version, { standing: to });
      return;
    } catch (error) {
      if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    }
  }
}

export const ageOf = (evidence: FenceEvidence): number => Date.now() - millisOf(evidence.observedAt);
