/** Starts and releases against what was known before them: a proof that came later, or never, is none. */
import type { FenceEvidence, StartPermit } from '../../domain/evidence';
import type { HostId, VmId } from '../../domain/ids';
import { limits } from '../../domain/limits';
import { type HostVmList, isAtRest, type PowerReading } from '../../domain/observations';
import type { JournalEntry } from '../../drivers/simulated';
import { type Checker, type EffectOf, effects, type Facts, type Finding } from './facts';

type Answer = Extract<JournalEntry, { kind: 'answer' }>;

const answersBefore = (facts: Facts, port: string, call: string, before: number): Answer[] =>
  facts.journal.filter(
    (e): e is Answer => e.kind === 'answer' && e.port === port && e.call === call && e.seq < before,
  );

/** Why the evidence does not rest on what was read before; undefined when it does. */
export function evidenceGap(facts: Facts, evidence: FenceEvidence, before: number): string | undefined {
  if (evidence.method === 'attested') return evidence.by === '' ? 'an attestation without a name' : undefined;
  if (evidence.readings.length === 0) return 'evidence without a reading';
  const read = answersBefore(facts, 'fencing', 'status', before).map((e) => e.answer as PowerReading);
  for (const reading of evidence.readings) {
    if (reading.power !== 'off') return `${reading.deviceId} was read as "${reading.power}"`;
    const found = read.some(
      (r) =>
        r.deviceId === reading.deviceId &&
        r.hostId === evidence.hostId &&
        r.observedAt === reading.observedAt &&
        r.power === 'off',
    );
    if (!found) return `no reading "off" of ${reading.deviceId} at ${reading.observedAt} came before`;
  }
  return undefined;
}

function accountGap(
  facts: Facts,
  vm: VmId,
  account: StartPermit['accounts'][number],
  before: number,
): string | undefined {
  if (account.by === 'fence-evidence') {
    const stored = facts.inventory.evidence.find((e) => e.evidence.id === account.evidenceId);
    if (stored === undefined) return `the evidence ${account.evidenceId ?? '(none)'} is not stored`;
    if (stored.evidence.hostId !== account.hostId) return `its evidence is about ${stored.evidence.hostId}`;
    return evidenceGap(facts, stored.evidence, before);
  }
  const list = answersBefore(facts, 'hypervisor', 'list', before)
    .map((e) => e.answer as HostVmList)
    .find((l) => l.hostId === account.hostId && l.observedAt === account.observedAt);
  if (list === undefined) return `no list of it read at ${account.observedAt} came before`;
  const seen = list.vms.find((v) => v.vmId === vm);
  return seen !== undefined && !isAtRest(seen.state) ? `its own list said "${seen.state}"` : undefined;
}

const startedByUs = (facts: Facts): EffectOf<'process-started'>[] =>
  effects(facts, 'process-started').filter((e) => e.by === 'port');

export const startsHavePermits: Checker = (facts) => {
  const checker = 'no start without a permit';
  return startedByUs(facts).flatMap((start): Finding[] => {
    const { vmId, hostId, permit, seq } = start;
    const found = (what: string): Finding => ({
      checker,
      sentence: `${vmId} was started on ${hostId} ${what}`,
      seq,
    });
    if (permit === undefined) return [found('without a permit')];
    if (permit.vmId !== vmId || permit.target !== hostId)
      return [found(`with a permit for ${permit.vmId} on ${permit.target}`)];
    const asked = facts.journal.find(
      (e) =>
        e.kind === 'call' &&
        e.call === 'start' &&
        e.seq < seq &&
        (e.args[0] as StartPermit).issuedAt === permit.issuedAt &&
        (e.args[0] as StartPermit).vmId === vmId,
    );
    if (asked === undefined) return [found('though nobody asked for it')];
    const age = Date.parse(asked.at) - Date.parse(permit.issuedAt);
    return age > limits.listAgeMsMax ? [found(`with a permit that was ${age} ms old`)] : [];
  });
};

/** Every account of the permit, and the host that the VM ran on last: it is the first that may still hold it. */
export const permitsRestOnFacts: Checker = (facts) => {
  const checker = 'no start without evidence or lists that precede it';
  return startedByUs(facts).flatMap((start): Finding[] => {
    const { vmId, hostId, permit, seq } = start;
    const findings = (permit?.accounts ?? []).flatMap((account): Finding[] => {
      const gap = accountGap(facts, vmId, account, seq);
      if (gap === undefined) return [];
      return [{ checker, sentence: `${vmId} was started on ${hostId}, ${account.hostId}: ${gap}`, seq }];
    });
    const last = lastHostOf(facts, vmId, seq);
    if (last !== undefined && !(permit?.accounts ?? []).some((a) => a.hostId === last))
      findings.push({
        checker,
        sentence: `${vmId} was started on ${hostId}; ${last}, where it ran last, is not accounted for`,
        seq,
      });
    return findings;
  });
};

const lastHostOf = (facts: Facts, vm: VmId, before: number): HostId | undefined =>
  effects(facts, 'process-started')
    .filter((e) => e.vmId === vm && e.seq < before)
    .at(-1)?.hostId;

export const noLiveHostsLockReleased: Checker = (facts) => {
  const checker = 'no lock of a live host released';
  return effects(facts, 'lock-released').flatMap((release): Finding[] => {
    const { path, owner, evidence, seq } = release;
    const found = (what: string): Finding => ({
      checker,
      sentence: `the lock of ${owner} on ${path} ${what}`,
      seq,
    });
    const findings: Finding[] = [];
    if (release.ownerAlive) findings.push(found('was released while it ran'));
    if (evidence.hostId !== owner) findings.push(found(`was released on evidence about ${evidence.hostId}`));
    return findings;
  });
};

export const evidencePrecedesRelease: Checker = (facts) =>
  effects(facts, 'lock-released').flatMap(({ path, owner, evidence, seq }): Finding[] => {
    const gap = evidenceGap(facts, evidence, seq);
    const sentence = `the lock of ${owner} on ${path} was released: ${gap ?? ''}`;
    return gap === undefined ? [] : [{ checker: 'evidence precedes act', sentence, seq }];
  });

/** All that is stored as proof, used or not: made of readings "off" only, and never from silence. */
export const unknownIsNeverOff: Checker = (facts) => {
  const checker = 'unknown is never counted as off';
  const findings = facts.inventory.evidence.flatMap(({ evidence }): Finding[] => {
    const gap = evidenceGap(facts, evidence, Infinity);
    return gap === undefined
      ? []
      : [{ checker, sentence: `${evidence.hostId} is held to be off: ${gap}`, seq: undefined }];
  });
  for (const host of facts.inventory.hosts) {
    const proven = facts.inventory.evidence.some((e) => e.evidence.hostId === host.hostId);
    if (host.standing === 'fenced' && !proven)
      findings.push({
        checker,
        sentence: `${host.hostId} is recorded as fenced without evidence`,
        seq: undefined,
      });
  }
  return findings;
};
