/** After a start: the record follows reality, the guest shows that it is well. */
import { DriverFault } from '../domain/faults';
import type { HealthCheck } from '../domain/fleet';
import { guestDegradedAlert } from '../domain/guest-repair';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { type HostVmList, isAtRest, millisOf, type Timestamp } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { type Environment, lookEveryMs, nowIso, pause, recordedVm, signal } from './environment';
import { faultOf } from './fault-boundary';
import { clear, raise } from './incident';
import type { HealthMark } from './ports';

export type Settled =
  | {
      readonly healthy: boolean;
      readonly sentence: string;
      /** Of a guest that did not get well: the operator has switched on its repair for every pool it has a disk on. */
      readonly repairs?: true;
    }
  /** Of the only look that was asked for: the guest may need longer. */
  | { readonly healthy: 'not-yet' };

/**
 * The record follows reality at once: from here on it names the target. Repeated after a crash it changes nothing. "Running" from before the
 * incident is no news of this start: left so, a list that was read in the middle of it would be newer, and take its place.
 */
export async function switchRecord(
  env: Environment,
  id: VmId,
  target: HostId,
  incidentBeganAt: Timestamp,
): Promise<VmRecord> {
  for (;;) {
    const vm = await recordedVm(env, id);
    const isNews = millisOf(vm.observed.at) >= millisOf(incidentBeganAt);
    if (vm.hostId === target && vm.observed.state === 'running' && isNews) return vm;
    try {
      const observed = { state: 'running', reason: 'started by vmedic', at: nowIso() } as const;
      return await env.inventory.updateVm(id, vm.version, { hostId: target, desired: 'running', observed });
    } catch (error) {
      if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    }
  }
}

/**
 * A guest that does not get well may have stopped since its start was read back, and must not be called "running, and not healthy". A host that
 * cannot be asked now says nothing either way.
 */
export async function mustNotBeAtRest(env: Environment, vm: VmRecord, target: HostId): Promise<void> {
  let list: HostVmList;
  try {
    list = await env.lists.read(target);
  } catch (error) {
    if (faultOf(error) === undefined) throw error;
    return;
  }
  const seen = list.vms.find((v) => v.vmId === vm.vmId);
  if (seen !== undefined && !isAtRest(seen.state)) return;
  const detail = 'it was started, ran, and is at rest again';
  throw new DriverFault('START_REFUSED', { host: target, vm: vm.name, detail });
}

/**
 * Looks grow rarer up to this: each is a command on the host, and thirty guests that boot at once, looked at four times a second, would take
 * the CPU they boot with.
 */
const healthLookMsMax = 2_000;

/** `not-known`: the last look got no answer, so nobody knows how the guest is. */
export async function becomesHealthy(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  check: HealthCheck & { readonly waitMs: number; readonly looked?: boolean },
  mark: HealthMark,
): Promise<'yes' | 'no' | 'not-known'> {
  if (check.kind === 'running') return 'yes';
  const deadline = Date.now() + check.waitMs;
  let wait: number = lookEveryMs;
  // It was looked at a moment ago, and was not well then.
  if (check.looked === true) await pause((wait *= 2));
  for (let answered = false; ; wait = Math.min(wait * 2, healthLookMsMax)) {
    try {
      if (await env.hostCommands.isHealthy(target, vm, check, mark, signal())) return 'yes';
      answered = true;
    } catch (error) {
      // A look that failed says nothing about the guest; the deadline decides.
      if (faultOf(error) === undefined) throw error;
      answered = false;
    }
    if (Date.now() >= deadline) return answered ? 'no' : 'not-known';
    await pause(wait);
  }
}

/** A guest that does not come up after a power cut mostly waits for its administrator; nothing is repaired by us. */
export async function alertIfDegraded(
  env: Environment,
  incidentId: IncidentId,
  vm: VmRecord,
  sentence: string | undefined,
): Promise<void> {
  const key = guestDegradedAlert(vm.vmId);
  if (sentence === undefined) return clear(env, key);
  const nextCommand = `look at the console of ${vm.name}; vmedic vm show ${vm.name} has the steps of a repair, which begins with a snapshot; vmedic vm repair ${vm.name} does them`;
  await raise(env, incidentId, { key, severity: 'warning', sentence, nextCommand });
}
