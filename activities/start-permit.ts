/** Accounts for every host that may hold a VM, then asks the domain for the permit. */
import {
  type Account,
  type FenceEvidence,
  isRefused,
  issueStartPermit,
  type PermitRequest,
  type Refused,
  type StartPermit,
} from '../domain/evidence';
import { type Fault, fault } from '../domain/faults';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { isAtRest, type ObservedVm } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { type Environment, nowIso } from './environment';
import { faultOf } from './fault-boundary';
import { freshEvidence } from './fence';

/** What a start rests on; the same in all activities of one attempt. */
export interface StartBasis {
  readonly vmId: VmId;
  readonly incidentId: IncidentId;
  readonly incidentBeganAt: string;
  /** Proofs for hosts that failed, by host. */
  readonly evidence: readonly FenceEvidence[];
  /** A person has looked into a proof that no longer held and says go on: such a host is asked for its own list instead. */
  readonly afterRetry: boolean;
  /** Where this run has ordered a start before: each of them accounts for itself, whatever has been taken away there since. */
  readonly tried?: readonly HostId[];
}

type PermitAnswer<Permit> = { permit: Permit } | { running: HostId } | { refused: Fault };

/** Accounts for every host that may hold the VM, then asks the domain for the permit: to start, unless another is asked for. */
export async function permitFor<Permit extends object = StartPermit>(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  basis: StartBasis,
  issue: (request: PermitRequest) => Permit | Refused = issueStartPermit as never,
): Promise<PermitAnswer<Permit>> {
  const sightings = await env.inventory.sightings([vm.vmId]);
  const seenOn = sightings.map((s) => s.hostId);
  const mayHold = [...new Set([vm.hostId, target, ...(basis.tried ?? []), ...seenOn])];
  const accounts: Account[] = [];
  const problems: string[] = [];
  for (const host of mayHold) {
    try {
      accounts.push(await account(env, host, target, basis));
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      if (known.code === 'EVIDENCE_CONTRADICTED') return { refused: known };
      problems.push(known.sentence);
    }
  }
  const runsOn = accounts.find((a) => a.by === 'own-list' && runs(a.list.vms, vm.vmId));
  if (runsOn !== undefined) return { running: runsOn.hostId };
  const saved = accounts.find(
    (a) => a.by === 'own-list' && a.hostId === vm.hostId && isSaved(a.list.vms, vm.vmId),
  );
  if (saved !== undefined) {
    const detail = `its memory image is saved on ${saved.hostId}, and would be lost; start it there by hand, or look and remove the image`;
    return { refused: fault('PERMIT_REFUSED', { vm: vm.name, host: target, detail }) };
  }
  const answer = issue({
    vmId: vm.vmId,
    target,
    incidentId: basis.incidentId,
    recordVersion: vm.version,
    mayHold,
    accounts,
    incidentBeganAt: basis.incidentBeganAt,
    now: nowIso(),
  });
  if (!isRefused(answer)) return { permit: answer };
  const detail = [...problems, ...answer.refused].join('; ');
  const refusal = fault('PERMIT_REFUSED', { vm: vm.name, host: target, detail });
  // Worth another look until the deadline: a host that does not answer now may answer, or be fenced, in a moment.
  return { refused: { ...refusal, class: 'transient' } };
}

const runs = (vms: readonly ObservedVm[], id: VmId): boolean =>
  vms.some((v) => v.vmId === id && v.state === 'running');

/** On the record's host only: one that lies elsewhere is older than the VM's last run, and of no use to anybody. */
const isSaved = (vms: readonly ObservedVm[], id: VmId): boolean =>
  vms.some((v) => v.vmId === id && v.savedImage === true && isAtRest(v.state));

async function account(env: Environment, host: HostId, target: HostId, basis: StartBasis): Promise<Account> {
  // The newest: a host that came back and failed again has an older proof that has lapsed.
  const given = basis.evidence.filter((e) => e.hostId === host).at(-1);
  const proof = given ?? (host === target ? undefined : await env.inventory.evidenceFor(host));
  const evidence = proof === undefined ? undefined : await evidenceFrom(env, proof, basis);
  if (evidence !== undefined) return { hostId: host, by: 'fence-evidence', evidence };
  return { hostId: host, by: 'own-list', list: await env.lists.read(host) };
}

/** Undefined when the proof no longer holds and a person knows it: what the host itself says counts then. */
async function evidenceFrom(
  env: Environment,
  proof: FenceEvidence,
  { afterRetry }: StartBasis,
): Promise<FenceEvidence | undefined> {
  try {
    return await freshEvidence(env, proof);
  } catch (error) {
    if (!afterRetry || faultOf(error)?.code !== 'EVIDENCE_CONTRADICTED') throw error;
    return undefined;
  }
}
