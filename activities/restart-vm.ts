/**
 * The three activities of `restartVm`. Theory of operation:
 *
 * - `prepareStart`: permit, reservation, storage, definition. Everything before the pivot; all of it undone by `withdrawPreparation`.
 * - `startVm`: the pivot. The permit is issued anew right before the act, then the target is read until it is known whether the VM runs.
 * - `settleVm`: record, guest health, old definitions. Forward only.
 *
 * INVARIANTS:
 * - A definition's sighting is stored before it is made, so that no host that may hold the VM is ever forgotten.
 * - `startVm` answers `not-started` only from the target's own complete list read after the act.
 * - After an unknown start only the same target is tried again, until that host is fenced: the order may still be waiting there.
 */
import { Context } from '@temporalio/activity';
import {
  type Account,
  type FenceEvidence,
  isRefused,
  issueStartPermit,
  type StartPermit,
} from '../domain/evidence';
import { DriverFault, type Fault, fault } from '../domain/faults';
import type { HealthCheck } from '../domain/fleet';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { isAtRest, type ObservedVm } from '../domain/observations';
import { placement } from '../domain/placement';
import type { StoredDefinition, VmRecord } from '../domain/records';
import type { HealthMark } from './ports';
import { freshEvidence } from './fence';
import { faultOf } from './fault-boundary';
import { candidates, wanted } from './plan';
import {
  clusterById,
  declaredHost,
  type Environment,
  nowIso,
  pause,
  recordedVm,
  signal,
  tell,
} from './environment';

/** What a start rests on; the same in all activities of one attempt. */
export interface StartBasis {
  readonly vmId: VmId;
  readonly incidentId: IncidentId;
  readonly incidentBeganAt: string;
  /** Proofs for hosts that failed, by host. */
  readonly evidence: readonly FenceEvidence[];
}

export type Prepared =
  | {
      readonly kind: 'prepared';
      readonly target: HostId;
      readonly mark: HealthMark;
      readonly health: HealthCheck;
      readonly activated: readonly string[];
    }
  | { readonly kind: 'already-running'; readonly target: HostId; readonly health: HealthCheck }
  | { readonly kind: 'no-capacity' | 'blocked'; readonly target: HostId | undefined; readonly fault: Fault };

export type Started =
  | { readonly kind: 'running' }
  | { readonly kind: 'not-started'; readonly fault: Fault }
  | { readonly kind: 'unknown'; readonly fault: Fault }
  | { readonly kind: 'contradicted'; readonly fault: Fault };

export interface Settled {
  readonly healthy: boolean;
  readonly sentence: string;
}

/** Between two looks at something that is waited for. */
const lookEveryMs = 250;

export const restartVmActivities = (env: Environment) => ({
  async prepareStart(
    input: StartBasis & { target: HostId | undefined; avoid: readonly HostId[] },
  ): Promise<Prepared> {
    const vm = await recordedVm(env, input.vmId);
    const cluster = clusterById(env, vm.clusterId);
    const deadline = Date.now() + cluster.policy.storageDeadlineMs;
    const unknownPool = vm.shape.disks.find((d) => d.poolId === undefined);
    if (unknownPool !== undefined)
      return blocked(undefined, fault('POOL_UNSUPPORTED', { pool: `of ${unknownPool.path}`, vm: vm.name }));
    for (;;) {
      const attempt = await prepareOnce(env, vm, input);
      if (attempt.kind !== 'blocked' || attempt.fault.class !== 'transient' || Date.now() >= deadline)
        return attempt;
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
    const held = (await env.inventory.reservations()).find(
      (r) => r.vmId === input.vmId && r.incidentId === input.incidentId,
    );
    if (held === undefined) return;
    // A target that is proven off meanwhile is not asked: its sighting stays until it is readmitted.
    if ((await env.inventory.evidenceFor(held.hostId)) === undefined) {
      await env.volumes.standDown(held.hostId, input.activated, signal());
      if (held.hostId !== vm.hostId) await takeDefinitionAway(env, vm, held.hostId);
    }
    await env.inventory.releaseReservation(input.vmId, input.incidentId);
  },

  async startVm(input: StartBasis & { target: HostId }): Promise<Started> {
    const vm = await recordedVm(env, input.vmId);
    const definition = await currentDefinition(env, vm);
    const permit = await permitFor(env, vm, input.target, input);
    if ('running' in permit)
      return permit.running === input.target
        ? { kind: 'running' }
        : contradicted(vm, `it runs on ${permit.running} as well as being asked for on ${input.target}`);
    if ('refused' in permit) return withoutPermit(env, vm, input, permit.refused);
    await tell(
      env,
      input.incidentId,
      `start-${vm.vmId}-${input.target}`,
      'act',
      startSentence(vm, input.target),
      {
        permit: permit.permit,
      },
    );
    const outcome = await env.hypervisor.start(permit.permit, definition, vm.persistent, signal());
    return readBackStart(env, vm, input, outcome.kind === 'ok' ? undefined : outcome);
  },

  async settleVm(
    input: StartBasis & { target: HostId; mark: HealthMark; health: HealthCheck },
  ): Promise<Settled> {
    const vm = await switchRecord(env, input.vmId, input.target);
    await env.inventory.releaseReservation(vm.vmId, input.incidentId);
    const healthy = await becomesHealthy(env, vm, input.target, input.health, input.mark);
    await removeStaleDefinitions(env, vm, input.target, input.evidence);
    const sentence = healthy
      ? `${vm.name} runs on ${input.target} and is healthy`
      : `${vm.name} runs on ${input.target}; its health check (${input.health.kind}) did not pass in ${input.health.timeoutMs} ms`;
    await tell(env, input.incidentId, `settled-${vm.vmId}-${input.target}`, 'vm', sentence, { healthy });
    return { healthy, sentence };
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

  async rehearseStart(
    input: StartBasis & { target: HostId | undefined; assumeOff: HostId | undefined },
  ): Promise<RehearsedStart> {
    const vm = await recordedVm(env, input.vmId);
    const except = input.assumeOff === undefined ? [] : [input.assumeOff];
    const not = (why: string): RehearsedStart => ({
      comesBack: false,
      target: undefined,
      would: [`${vm.name} would NOT come back: ${why}`],
    });
    const hosts = await candidates(env, clusterById(env, vm.clusterId), except, [vm.vmId]);
    const [placed] = placement([wanted(vm, except)], hosts);
    const target = input.target ?? placed?.target;
    if (target === undefined)
      return not(placed !== undefined && placed.target === undefined ? placed.why : 'no host is in service');
    if ((await env.inventory.definition(vm.vmId)) === undefined)
      return not(fault('DEFINITION_NOT_STORED', { vm: vm.name }).sentence);
    const sights = await env.hostCommands.inspectDisks(target, vm.shape.disks, signal());
    const bad = sights.filter((s) => s.seen !== 'usable').map((s) => `${s.path} is ${s.seen} on ${target}`);
    if (bad.length > 0) return not(bad.join('; '));
    const size = `${vm.shape.memoryMiB} MiB, ${vm.shape.vcpus} vCPU`;
    const would = [
      `${vm.name}: would reserve ${size} on ${target}, define it there, start it and read it back`,
    ];
    return { comesBack: true, target, would };
  },
});

export interface RehearsedStart {
  readonly comesBack: boolean;
  readonly target: HostId | undefined;
  readonly would: readonly string[];
}

const blocked = (target: HostId | undefined, why: Fault): Prepared => ({
  kind: 'blocked',
  target,
  fault: why,
});

const contradicted = (vm: VmRecord, detail: string): Started => ({
  kind: 'contradicted',
  fault: fault('EVIDENCE_CONTRADICTED', { host: vm.hostId, detail }),
});

async function prepareOnce(
  env: Environment,
  vm: VmRecord,
  input: StartBasis & { target: HostId | undefined; avoid: readonly HostId[] },
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
  if (!storage.ready) return blocked(target, storage.fault);
  const mark = await env.hostCommands.markHealth(target, vm.shape, signal());
  const defined = await define(env, vm, target);
  if (defined !== undefined) return blocked(target, defined);
  return { kind: 'prepared', target, mark, health: healthOf(env, vm), activated: storage.activated };
}

function healthOf(env: Environment, vm: VmRecord): HealthCheck {
  const cluster = clusterById(env, vm.clusterId);
  return cluster.vms[vm.name]?.health ?? cluster.vms[vm.vmId]?.health ?? cluster.policy.health;
}

const sizeOf = (vm: VmRecord) => ({ memoryMiB: vm.shape.memoryMiB, vcpus: vm.shape.vcpus });

async function chooseTarget(
  env: Environment,
  vm: VmRecord,
  input: { target: HostId | undefined; avoid: readonly HostId[]; evidence: readonly FenceEvidence[] },
): Promise<{ target: HostId } | Prepared> {
  if (input.target !== undefined) return { target: input.target };
  const off = input.evidence.map((e) => e.hostId);
  const hosts = await candidates(env, clusterById(env, vm.clusterId), off, [vm.vmId]);
  const [placed] = placement([wanted(vm, input.avoid)], hosts);
  if (placed?.target !== undefined) return { target: placed.target };
  const detail = placed?.why ?? 'no host is in service';
  return { kind: 'no-capacity', target: undefined, fault: fault('NO_CAPACITY', { vm: vm.name, detail }) };
}

type PermitAnswer = { permit: StartPermit } | { running: HostId } | { refused: Fault };

/** Accounts for every host that may hold the VM, then asks the domain for the permit. */
async function permitFor(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  basis: StartBasis,
): Promise<PermitAnswer> {
  const sightings = await env.inventory.sightings([vm.vmId]);
  const mayHold = [...new Set([vm.hostId, target, ...sightings.map((s) => s.hostId)])];
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
  const answer = issueStartPermit({
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

async function account(env: Environment, host: HostId, target: HostId, basis: StartBasis): Promise<Account> {
  const given = basis.evidence.find((e) => e.hostId === host);
  const proof = given ?? (host === target ? undefined : await env.inventory.evidenceFor(host));
  if (proof !== undefined)
    return { hostId: host, by: 'fence-evidence', evidence: await freshEvidence(env, proof) };
  return {
    hostId: host,
    by: 'own-list',
    list: await env.lists.read(host),
  };
}

async function currentDefinition(env: Environment, vm: VmRecord): Promise<StoredDefinition> {
  const stored = await env.inventory.definition(vm.vmId);
  if (stored === undefined) throw new DriverFault('DEFINITION_NOT_STORED', { vm: vm.name });
  return stored;
}

async function define(env: Environment, vm: VmRecord, target: HostId): Promise<Fault | undefined> {
  const definition = await currentDefinition(env, vm);
  await env.inventory.recordSighting(vm.vmId, target, nowIso());
  if (!vm.persistent) return undefined;
  const outcome = await env.hypervisor.define(target, definition, signal());
  if (outcome.kind === 'ok') return undefined;
  return outcome.kind === 'refused' ? outcome.fault : { ...outcome.fault, class: 'transient' };
}

/**
 * Reads the target until it says whether the VM runs. A refusal is believed only together with a list in which the VM is at rest; an
 * answer that never came is read until the deadline and is then `unknown`, which is neither success nor failure.
 */
async function readBackStart(
  env: Environment,
  vm: VmRecord,
  { target, evidence }: StartBasis & { target: HostId },
  problem: { kind: 'refused' | 'unreachable' | 'unknown'; fault: Fault } | undefined,
): Promise<Started> {
  const deadline = Date.now() + clusterById(env, vm.clusterId).policy.readBackDeadlineMs;
  let last: Fault =
    problem?.fault ?? fault('CALL_OUTCOME_UNKNOWN', { call: 'start', host: target, vm: vm.name });
  for (;;) {
    try {
      const list = await env.lists.read(target);
      const seen = list.vms.find((v) => v.vmId === vm.vmId);
      if (seen?.state === 'running') return { kind: 'running' };
      const atRest = seen === undefined || isAtRest(seen.state);
      if (atRest && problem?.kind === 'refused') return notStarted(vm, evidence, problem.fault);
      if (atRest && problem?.kind === 'unreachable') return { kind: 'not-started', fault: problem.fault };
      if (atRest && problem === undefined)
        last = fault('START_REFUSED', {
          host: target,
          vm: vm.name,
          detail: 'it was started and is at rest again',
        });
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      last = known;
    }
    if (Date.now() >= deadline) return { kind: 'unknown', fault: last };
    await pause(lookEveryMs);
  }
}

/** A lock still held after a proven power-off contradicts the proof; without a proof it is a reason like any other. */
function notStarted(vm: VmRecord, evidence: readonly FenceEvidence[], why: Fault): Started {
  if (why.code === 'LOCK_HELD' && evidence.length > 0) return contradicted(vm, why.sentence);
  return { kind: 'not-started', fault: why };
}

/**
 * No permit now. If an earlier attempt of this activity may have sent the start (its worker died), the order may still be carried out,
 * so that "not started" would be a guess.
 */
async function withoutPermit(
  env: Environment,
  vm: VmRecord,
  basis: StartBasis & { target: HostId },
  why: Fault,
): Promise<Started> {
  if (Context.current().info.attempt === 1) return { kind: 'not-started', fault: why };
  const sentence = startSentence(vm, basis.target);
  const sent = (await env.inventory.timeline(basis.incidentId)).some(
    (e) => e.kind === 'act' && e.sentence === sentence,
  );
  return sent ? readBackStart(env, vm, basis, undefined) : { kind: 'not-started', fault: why };
}

const startSentence = (vm: VmRecord, target: HostId): string => `${vm.name} (${vm.vmId}): start on ${target}`;

/** The record follows reality at once: from here on it names the target. Repeated after a crash it changes nothing. */
async function switchRecord(env: Environment, id: VmId, target: HostId): Promise<VmRecord> {
  for (;;) {
    const vm = await recordedVm(env, id);
    if (vm.hostId === target && vm.observed.state === 'running') return vm;
    try {
      const observed = { state: 'running', reason: 'started by vmedic', at: nowIso() } as const;
      return await env.inventory.updateVm(id, vm.version, { hostId: target, desired: 'running', observed });
    } catch (error) {
      if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    }
  }
}

async function becomesHealthy(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  check: HealthCheck,
  mark: HealthMark,
): Promise<boolean> {
  if (check.kind === 'running') return true;
  const deadline = Date.now() + check.timeoutMs;
  for (;;) {
    try {
      if (await env.hostCommands.isHealthy(target, vm, check, mark, signal())) return true;
    } catch (error) {
      // A look that failed says nothing about the guest; the deadline decides.
      if (faultOf(error) === undefined) throw error;
    }
    if (Date.now() >= deadline) return false;
    await pause(lookEveryMs);
  }
}

/** An old definition starts the VM on an old disk with no error, so none may stay where it can be reached. */
async function removeStaleDefinitions(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  evidence: readonly FenceEvidence[],
): Promise<void> {
  const elsewhere = (await env.inventory.sightings([vm.vmId])).filter((s) => s.hostId !== target);
  for (const { hostId } of elsewhere) {
    const off =
      evidence.some((e) => e.hostId === hostId) || (await env.inventory.evidenceFor(hostId)) !== undefined;
    if (!off) await takeDefinitionAway(env, vm, hostId);
  }
}

/** Undefines the VM on a host where it is at rest, reads back that it is gone, then forgets the sighting. */
async function takeDefinitionAway(env: Environment, vm: VmRecord, host: HostId): Promise<void> {
  const seen = (await env.lists.read(host)).vms.find((v) => v.vmId === vm.vmId);
  if (seen !== undefined) {
    if (!isAtRest(seen.state))
      throw new DriverFault('EVIDENCE_CONTRADICTED', { host, detail: `${vm.name} is ${seen.state} there` });
    const outcome = await env.hypervisor.undefine(host, vm.vmId, signal());
    const after = (await env.lists.read(host)).vms.some((v) => v.vmId === vm.vmId);
    if (after)
      throw new DriverFault('HYPERVISOR_UNREACHABLE', {
        host,
        detail: outcome.kind === 'ok' ? 'the definition is still there' : outcome.fault.sentence,
      });
  }
  await env.inventory.removeSighting(vm.vmId, host);
}
