/**
 * A shutdown that somebody asked VMedic for. What is wanted is written first, so that a VM that is down on purpose is nobody's failure, whoever
 * dies meanwhile; an alert of severity `info` says that it is under way, and keeps the watch from taking a VM that still runs for one that
 * somebody has started again.
 */
import { limits } from '../domain/limits';
import { isAtRest } from '../domain/observations';
import type { HostId, VmId } from '../domain/ids';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { type Environment, lookEveryMs, pause, recordedVm, signal } from './environment';
import { faultOf } from './fault-boundary';
import { clear, raise } from './incident';
import { whereIs } from './missing-vm';

export interface StopVmInput {
  readonly vmId: VmId;
  readonly name: string;
  readonly by: string;
  readonly reason: string;
  /** `limits.shutDownMsMax` when left out. */
  readonly patienceMs?: number;
}

/** `still-running`: it is not known to be down, because its guest did not react, or its hypervisor refused to ask it. Nothing is ever forced. */
export interface StopVmResult {
  readonly kind: 'stopped' | 'still-running';
  readonly sentence: string;
  /** With `still-running`: the last look saw no process, and not that there is none. It may be down. */
  readonly notKnown?: true;
}

/** Open for as long as a shutdown of the VM is under way. */
export const stoppingAlert = (vm: Pick<VmRecord, 'vmId'>): string => `stopping:${vm.vmId}`;

export const shutDownActivities = (env: Environment) => ({
  /** Repeated it finds the VM at rest, or asks its guest again. Never ends a process. */
  async shutDownVm(input: StopVmInput): Promise<StopVmResult> {
    const vm = await recordedVm(env, input.vmId);
    await mustBeArmed(env, vm.clusterId);
    const key = stoppingAlert(vm);
    const sentence = `${vm.name} is being shut down for ${input.by}: ${input.reason}`;
    await raise(env, undefined, { key, severity: 'info', sentence, nextCommand: undefined });
    await want(env, vm, 'stopped');
    const result = await untilAtRest(env, vm, Date.now() + (input.patienceMs ?? limits.shutDownMsMax));
    // It runs, and goes on running: left as "not wanted", nobody would bring it back when its host fails. One that may be down stays unwanted,
    // else it would be started against the word of whoever shut it down; the watch wants it again once it sees it run.
    if (result.kind === 'still-running' && result.notKnown !== true) await want(env, vm, 'running');
    await clear(env, key);
    return result;
  },
});

async function untilAtRest(env: Environment, vm: VmRecord, deadline: number): Promise<StopVmResult> {
  let askedMs = 0;
  let last = 'its guest did not react';
  for (;;) {
    let runs = false;
    try {
      const seen = await seenAt(env, await recordedVm(env, vm.vmId));
      if ('down' in seen) return { kind: 'stopped', sentence: seen.down };
      runs = seen.on !== undefined;
      last = seen.last;
      // A guest that is booting does not hear it, so it is said again.
      if (seen.on !== undefined && Date.now() - askedMs >= limits.shutDownAgainMs) {
        askedMs = Date.now();
        const outcome = await env.hypervisor.shutDown(seen.on, vm.vmId, signal());
        if (outcome.kind === 'refused') return { kind: 'still-running', sentence: outcome.fault.sentence };
      }
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      last = known.sentence;
    }
    if (Date.now() >= deadline) return notStopped(vm, last, runs);
    await pause(lookEveryMs);
  }
}

function notStopped({ name }: VmRecord, last: string, runs: boolean): StopVmResult {
  if (runs)
    return { kind: 'still-running', sentence: `${last}. Nothing was forced; ask again, or end it by hand` };
  const sentence = `${last}. It is not known whether ${name} has stopped; nothing was forced, and it is not brought back unless it is seen to run. Ask again, or start it: vmedic vm restart ${name} --reason "..."`;
  return { kind: 'still-running', sentence, notKnown: true };
}

/** `on`: the host on which its guest can be asked; undefined while nobody knows where it runs. */
type Seen = { readonly down: string } | { readonly on: HostId | undefined; readonly last: string };

/** That its own host does not run it is no proof: somebody may have moved it, so then every host of its cluster is asked. */
async function seenAt(env: Environment, vm: VmRecord): Promise<Seen> {
  const isOff = (await env.inventory.evidenceFor(vm.hostId)) !== undefined;
  if (!isOff) {
    const own = (await env.lists.read(vm.hostId)).vms.find((v) => v.vmId === vm.vmId);
    if (own !== undefined && !isAtRest(own.state))
      return {
        on: vm.hostId,
        last: `it is ${own.state} (${own.reason}) on ${vm.hostId}: its guest did not react`,
      };
  }
  const where = await whereIs(env, vm);
  if (where.is === 'nowhere')
    return {
      down: isOff
        ? `it is down with ${vm.hostId}, and stays down`
        : `it is shut down on ${vm.hostId}, and stays down until it is started`,
    };
  if (where.is === 'running')
    return { on: where.on, last: `it runs on ${where.on}, where somebody moved it: its guest did not react` };
  return { on: undefined, last: where.why };
}

async function want(env: Environment, { vmId }: VmRecord, desired: VmRecord['desired']): Promise<void> {
  for (;;) {
    const now = await recordedVm(env, vmId);
    if (now.desired === desired) return;
    try {
      await env.inventory.updateVm(vmId, now.version, { desired });
      return;
    } catch (error) {
      if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    }
  }
}
