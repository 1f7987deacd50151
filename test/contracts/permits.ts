/** Permits and evidence for suites that try drivers, not the rules by which proofs are made: those have tests of their own. */
import {
  evidenceFromAttestation,
  type FenceEvidence,
  isRefused,
  issueResumePermit,
  issueStartPermit,
  type ResumePermit,
  type StartPermit,
} from '../../domain/evidence';
import { evidenceId, hostId, type HostId, incidentId, type VmId } from '../../domain/ids';

const incident = incidentId({ kind: 'host', hostId: hostId('gone') }, 1);

/** A permit whose lists say that the VM is nowhere, true or not: a driver has to stand up to a permit that is wrong, too. */
export function permitFor(vm: VmId, target: HostId, ageMs = 0): StartPermit {
  const at = new Date(Date.now() - ageMs).toISOString();
  const permit = issueStartPermit({
    ...{ vmId: vm, target, incidentId: incident, recordVersion: 1, mayHold: [target] },
    accounts: [{ hostId: target, by: 'own-list', list: { hostId: target, observedAt: at, vms: [] } }],
    incidentBeganAt: at,
    now: at,
  });
  if (isRefused(permit)) throw new Error(permit.refused.join('; '));
  return permit;
}

/** Likewise, of a VM that stands paused there. */
export function resumePermitFor(vm: VmId, target: HostId, ageMs = 0): ResumePermit {
  const at = new Date(Date.now() - ageMs).toISOString();
  const seen = { vmId: vm, name: vm, state: 'paused', reason: 'I/O error', persistent: true } as const;
  const permit = issueResumePermit({
    ...{ vmId: vm, target, incidentId: incident, recordVersion: 1, mayHold: [target] },
    accounts: [{ hostId: target, by: 'own-list', list: { hostId: target, observedAt: at, vms: [seen] } }],
    incidentBeganAt: at,
    now: at,
  });
  if (isRefused(permit)) throw new Error(permit.refused.join('; '));
  return permit;
}

export function evidenceAbout(host: HostId): FenceEvidence {
  const evidence = evidenceFromAttestation(
    { id: evidenceId(incident, 1), hostId: host, incidentId: incident },
    { by: 'the suite', reason: 'it switched the host off', at: new Date().toISOString() },
  );
  if (isRefused(evidence)) throw new Error(evidence.refused.join('; '));
  return evidence;
}
