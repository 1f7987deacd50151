/**
 * The three activities of `restartVm`. Theory of operation:
 *
 * - `prepareStart`: permit, reservation, storage, definition. Everything before the pivot; all of it undone by `withdrawPreparation`.
 * - `startVm`: the pivot. The permit is issued anew right before the act, then the target is read until it is known whether the VM runs.
 * - `settleVm`: record, guest health, old definitions. Forward only.
 *
 * Each is tried once within the workflow task (`oneLook`), which costs an engine an eighth of an activity; what is not done by that is done as
 * an activity of its own, with all the patience it needs. A worker that dies in between leaves nothing that the next one does not find: each
 * reads before it writes, and a start is ordered under a number that the timeline keeps.
 *
 * INVARIANTS:
 * - A definition's sighting is stored before it is made, so that no host that may hold the VM is ever forgotten.
 * - `startVm` answers `not-started` only from the target's own complete list read after the act.
 * - An order that may have been sent before is known to be so, whoever asks again: by the attempt's number, or by the line in the timeline.
 * - After an unknown start only the same target is tried again, until that host is fenced: the order may still be waiting there.
 */
import { type Fault, fault } from '../domain/faults';
import type { HealthCheck } from '../domain/fleet';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { isAtRest } from '../domain/observations';
import { placement } from '../domain/placement';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { define, removeStaleDefinitions, takeDefinitionAway } from './definitions';
import {
  clusterById,
  declaredHost,
  type Environment,
  lookEveryMs,
  pause,
  recordedVm,
  signal,
  tell,
} from './environment';
import { faultOf, isOfInventory } from './fault-boundary';
import { repairsNow } from './guest-repair';
import { candidates, wanted } from './plan';
import type { HealthMark } from './ports';
import { poolNotKnown, releaseForStart } from './release';
import { alertIfDegraded, becomesHealthy, mustNotBeAtRest, type Settled, switchRecord } from './settle';
import { mayStillStart, orderedBefore, tellNotStarted } from './orders-left';
import { answerOf, orderStart } from './start-order';
import { readBackStart, type Started, type StartOrder } from './start-outcome';
import { permitFor, type StartBasis } from './start-permit';
import { lookForVms } from './where-vms-are';

export type { Settled, StartBasis, Started };

export type Prepared =
  | {
      readonly kind: 'prepared';
      readonly target: HostId;
      readonly mark: HealthMark;
      readonly health: HealthCheck;
      readonly activated: readonly string[];
      /** An earlier run has ordered this start already, and nobody knows what became of it. */
      readonly orderedBefore?: true;
    }
  | { readonly kind: 'already-running'; readonly target: HostId; readonly health: HealthCheck }
  | { readonly kind: 'no-capacity' | 'blocked'; readonly target: HostId | undefined; readonly fault: Fault };

export const restartVmActivities = (env: Environment) => ({
  async prepareStart(
    input: StartBasis & { target: HostId | undefined; avoid: readonly HostId[]; oneLook?: true },
  ): Promise<Prepared> {
    const vm = await recordedVm(env, input.vmId);
    const { policy } = clusterById(env, vm.clusterId);
    const deadline = Date.now() + (input.oneLook === true ? 0 : policy.storageDeadlineMs);
    const unknownPool = poolNotKnown(vm);
    if (unknownPool !== undefined) return blocked(undefined, unknownPool);
    for (;;) {
      // At each look: one may release locks, and the switch may have been thrown while storage was waited for.
      await mustBeArmed(env, vm.clusterId);
      const attempt = await preparedOrNot(env, vm, input);
      if (attempt.kind !== 'blocked' || attempt.fault.class !== 'transient' || Date.now() >= deadline)
        return attempt;
      if (attempt.fault.code === 'VSPHERE_HA_IN_CHARGE')
        await watchHa(env, vm, input.incidentId, attempt.fault);
      await pause(lookEveryMs * 4);
    }
  },

  /** The way back of `prepareStart`, also of one that timed out: reads what is there and takes away only that. */
  async withdrawPreparation(input: {
    vmId: VmId;
    incidentId: IncidentId;
    activated: readonly string[];
  }): Promise<void> {
    const vm = await recordedVm(env, input.vmId);
    const [held] = await env.inventory.reservations(input.vmId);
    if (held?.incidentId !== input.incidentId) return;
    // An order from before this run may still be carried out there: what it needs stays, and so does the trace that leads to it.
    if (await mayStillStart(env, vm, held)) return;
    // A target that is proven off meanwhile is not asked: its sighting stays until it is readmitted.
    if ((await env.inventory.evidenceFor(held.hostId)) === undefined) {
      // All of its disks: what a `makeReady` that was cut off has activated, nobody was told.
      const disks = new Set([...input.activated, ...vm.shape.disks.map((d) => d.path)]);
      await env.volumes.standDown(held.hostId, [...disks], signal());
      if (held.hostId !== vm.hostId) await takeDefinitionAway(env, vm, held.hostId, 'left-alone');
    }
    await env.inventory.releaseReservation(input.vmId, input.incidentId);
  },

  async startVm(input: StartOrder): Promise<Started> {
    const vm = await recordedVm(env, input.vmId);
    const sent =
      input.sent === undefined
        ? await orderStart(env, vm, input)
        : await answerOf(env, vm, input, input.sent);
    if ('kind' in sent) return sent;
    const started = await readBackStart(env, vm, input, sent);
    // A host that names who holds a lock has refused, whatever else that means.
    if (started.kind === 'not-started' || started.kind === 'contradicted')
      await tellNotStarted(env, vm, input, sent.once, started.fault);
    return started;
  },

  async settleVm(
    input: StartBasis & {
      target: HostId;
      mark: HealthMark;
      health: HealthCheck;
      oneLook?: true;
      /** A moment ago, with the answer "not yet". */
      looked?: boolean;
    },
  ): Promise<Settled> {
    const vm = await switchRecord(env, input.vmId, input.target, input.incidentBeganAt);
    await env.inventory.releaseReservation(vm.vmId, input.incidentId);
    const waitMs = input.oneLook === true ? lookEveryMs : input.health.timeoutMs;
    const check = { ...input.health, waitMs, looked: input.looked === true };
    const health = await becomesHealthy(env, vm, input.target, check, input.mark);
    const healthy = health === 'yes';
    if (!healthy && input.oneLook === true) return { healthy: 'not-yet' };
    if (!healthy) await mustNotBeAtRest(env, vm, input.target);
    const patienceMs = input.oneLook === true ? 0 : clusterById(env, vm.clusterId).policy.readBackDeadlineMs;
    await removeStaleDefinitions(env, vm, input.target, input.evidence, patienceMs);
    const sentence = healthy
      ? `${vm.name} runs on ${input.target} and is healthy`
      : `${vm.name} runs on ${input.target}; its health check (${input.health.kind}) did not pass in ${input.health.timeoutMs} ms`;
    await tell(env, input.incidentId, `settled-${vm.vmId}-${input.target}`, 'vm', sentence, { healthy });
    await alertIfDegraded(env, input.incidentId, vm, healthy ? undefined : sentence);
    // A repair stops the guest: never one that may be well, and only could not be looked at.
    const repairs = health === 'no' && (await repairsNow(env, vm, input.incidentId));
    return { healthy, sentence, ...(repairs && { repairs }) };
  },

  /** For a start whose outcome is not known: one look at the target. */
  async whereIsVm(input: { vmId: VmId; target: HostId }): Promise<'running' | 'at-rest' | 'unknown'> {
    try {
      const list = await env.lists.read(input.target);
      const seen = list.vms.find((v) => v.vmId === input.vmId);
      if (seen === undefined || isAtRest(seen.state)) return 'at-rest';
      return seen.state === 'running' ? 'running' : 'unknown';
    } catch (error) {
      if (faultOf(error) === undefined) throw error;
      return 'unknown';
    }
  },
});

/** Another one starts it, on a host of its own choice: every host is asked, so that the next look finds it running. */
async function watchHa(env: Environment, vm: VmRecord, incidentId: IncidentId, why: Fault): Promise<void> {
  await tell(env, incidentId, `ha-${vm.vmId}`, 'observation', `${vm.name}: ${why.sentence}`);
  await lookForVms(env, vm.clusterId, [vm.vmId]);
}

const blocked = (target: HostId | undefined, why: Fault): Prepared => ({
  kind: 'blocked',
  target,
  fault: why,
});

/** A host that could not be asked keeps the VM from being prepared there, for as long as any other cause does and no longer. */
async function preparedOrNot(...[env, vm, input]: Parameters<typeof prepareOnce>): Promise<Prepared> {
  try {
    return await prepareOnce(env, vm, input);
  } catch (error) {
    const known = faultOf(error);
    if (known?.class !== 'transient' || isOfInventory(known)) throw error;
    return blocked(input.target, known);
  }
}

async function prepareOnce(
  env: Environment,
  vm: VmRecord,
  input: StartBasis & { target: HostId | undefined; avoid: readonly HostId[]; oneLook?: true },
): Promise<Prepared> {
  const chosen = await chooseTarget(env, vm, input);
  if ('kind' in chosen) return chosen;
  const target = chosen.target;
  const permit = await permitFor(env, vm, target, input);
  if ('running' in permit)
    return { kind: 'already-running', target: permit.running, health: healthOf(env, vm) };
  if ('refused' in permit) return blocked(target, permit.refused);
  const room = { vmId: vm.vmId, hostId: target, incidentId: input.incidentId, ...sizeOf(vm) };
  const reserved = await env.inventory.reserve(room, declaredHost(env, target).capacity);
  if (reserved === 'no-room')
    return {
      kind: 'no-capacity',
      target,
      fault: fault('NO_CAPACITY', { vm: vm.name, detail: `${target} has no room left` }),
    };
  const storage = await env.volumes.makeReady(permit.permit, vm.shape.disks, signal());
  if (!storage.ready) return blocked(target, await unlessReleased(env, vm, input, storage.fault));
  const mark = await env.hostCommands.markHealth(target, vm.shape, signal());
  const defined = await define(env, vm, target);
  if (defined !== undefined) return blocked(target, defined);
  const { activated } = storage;
  const before = chosen.orderedBefore === true ? { orderedBefore: true as const } : {};
  return { kind: 'prepared', target, mark, health: healthOf(env, vm), activated, ...before };
}

/** Its old host may still hold what it needs. The next look tells whether that was all; here is said who keeps it, where that is known. */
async function unlessReleased(
  env: Environment,
  vm: VmRecord,
  input: StartBasis & { oneLook?: true },
  why: Fault,
): Promise<Fault> {
  if (input.oneLook === true || why.code !== 'STORAGE_NOT_READY') return why;
  const kept = await releaseForStart(env, vm, input.incidentId, input.evidence);
  if (kept === undefined) return why;
  // A person has set that proof aside, as the permit does.
  if (kept.code === 'EVIDENCE_CONTRADICTED') return input.afterRetry ? why : kept;
  return fault('STORAGE_NOT_READY', {
    ...why.facts,
    detail: `${why.facts['detail'] ?? ''}; ${kept.sentence}`,
  });
}

function healthOf(env: Environment, vm: VmRecord): HealthCheck {
  const cluster = clusterById(env, vm.clusterId);
  return cluster.vms[vm.name]?.health ?? cluster.vms[vm.vmId]?.health ?? cluster.policy.health;
}

const sizeOf = (vm: VmRecord) => ({ memoryMiB: vm.shape.memoryMiB, vcpus: vm.shape.vcpus });

/**
 * A target that somebody named is taken only while it stands to take VMs: on one that is fenced, or about to be, the next permit could count
 * the proof that it is off while the VM runs there.
 */
async function givenTarget(
  env: Environment,
  vm: VmRecord,
  target: HostId,
): Promise<{ target: HostId } | Prepared> {
  const standing = (await env.inventory.host(target))?.standing;
  if (standing !== 'fenced' && standing !== 'excluded' && standing !== 'quarantined') return { target };
  const detail = `${target} is ${standing}; once it is well: vmedic host readmit ${target}`;
  return { kind: 'no-capacity', target, fault: fault('NO_CAPACITY', { vm: vm.name, detail }) };
}

async function chooseTarget(
  env: Environment,
  vm: VmRecord,
  input: StartBasis & { target: HostId | undefined; avoid: readonly HostId[] },
): Promise<{ target: HostId; orderedBefore?: true } | Prepared> {
  const only = await orderedBefore(env, vm, input.incidentId);
  if (only !== undefined) {
    const given = await givenTarget(env, vm, only);
    return 'kind' in given ? given : { ...given, orderedBefore: true };
  }
  if (input.target !== undefined) return givenTarget(env, vm, input.target);
  const off = input.evidence.map((e) => e.hostId);
  const hosts = await candidates(env, clusterById(env, vm.clusterId), off, [vm.vmId]);
  const [placed] = placement([wanted(vm, input.avoid)], hosts);
  if (placed?.target !== undefined) return { target: placed.target };
  const records = await env.inventory.hosts({ clusterId: vm.clusterId });
  const readmit = records.filter((h) => h.standing === 'quarantined').map((h) => h.hostId);
  const hint = readmit.length === 0 ? '' : ` (quarantined until vmedic host readmit: ${readmit.join(', ')})`;
  const detail = `${placed?.why ?? 'no host is in service'}${hint}`;
  return { kind: 'no-capacity', target: undefined, fault: fault('NO_CAPACITY', { vm: vm.name, detail }) };
}
