/**
 * A start that was ordered and never answered for outlives the run that ordered it: the run may have been given up by a person, or ended from
 * outside, and the host carry the order out an hour later. The reservation stays with such an order, and leads to the incident that gave it.
 *
 * INVARIANT: while an order may still be carried out on a host, its VM is started nowhere else, and what the order needs stays there.
 */
import type { HostId, IncidentId, VmId } from '../domain/ids';
import type { Reservation, VmRecord } from '../domain/records';
import { type Environment, tell } from './environment';

export const startSentence = (vm: Pick<VmRecord, 'name' | 'vmId'>, target: HostId): string =>
  `${vm.name} (${vm.vmId}): start on ${target}`;

const notStartedSentence = (vm: VmRecord, target: HostId): string =>
  `${vm.name} was not started on ${target}: `;

/** Accounts for an order: the host has said that nothing came of it. */
export async function tellNotStarted(
  env: Environment,
  vm: VmRecord,
  { incidentId, target }: { readonly incidentId: IncidentId; readonly target: HostId },
  once: string,
  fault: { readonly sentence: string },
): Promise<void> {
  const sentence = `${notStartedSentence(vm, target)}${fault.sentence}`;
  await tell(env, incidentId, `not-started-${once}`, 'vm', sentence, { fault });
}

/** Whether the VM may still be started there by the order that this reservation was made for. */
export async function mayStillStart(env: Environment, vm: VmRecord, left: Reservation): Promise<boolean> {
  const { hostId, incidentId } = left;
  // What a host was asked before it was switched off died with it.
  if ((await env.inventory.evidenceFor(hostId)) !== undefined) return false;
  const sent = startSentence(vm, hostId);
  const told = (await env.inventory.timeline(incidentId)).filter(
    (e) =>
      (e.kind === 'act' && e.sentence === sent) ||
      (e.kind === 'observation' && e.facts['ordered'] === sent) ||
      (e.kind === 'vm' && e.sentence.startsWith(notStartedSentence(vm, hostId))),
  );
  const last = told.at(-1);
  return last !== undefined && last.kind !== 'vm';
}

const reservationOf = async (env: Environment, vm: VmId): Promise<Reservation | undefined> =>
  (await env.inventory.reservations(vm))[0];

/**
 * The only host on which this VM may be started, because an earlier run has ordered it there; undefined when there is no such order. Noted in
 * the timeline of this incident, so that it is not forgotten when this run ends before it has sent anything.
 */
export async function orderedBefore(
  env: Environment,
  vm: VmRecord,
  incidentId: IncidentId,
): Promise<HostId | undefined> {
  const left = await reservationOf(env, vm.vmId);
  if (left === undefined || !(await mayStillStart(env, vm, left))) return undefined;
  const sentence = `${left.incidentId} has ordered ${vm.name} to start on ${left.hostId}, and it is not known what became of that: it is tried nowhere else`;
  const facts = { ordered: startSentence(vm, left.hostId) };
  await tell(env, incidentId, `ordered-${vm.vmId}-${left.incidentId}`, 'observation', sentence, facts);
  return left.hostId;
}
