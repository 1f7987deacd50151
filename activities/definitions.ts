/** Definitions on hosts: made on the target, taken away wherever an old one could start the VM on an old disk. */
import type { FenceEvidence } from '../domain/evidence';
import { DriverFault, type Fault } from '../domain/faults';
import type { HostId } from '../domain/ids';
import { isAtRest } from '../domain/observations';
import type { StoredDefinition, VmRecord } from '../domain/records';
import { type Environment, lookEveryMs, nowIso, pause, signal } from './environment';
import { faultOf } from './fault-boundary';

export async function currentDefinition(env: Environment, vm: VmRecord): Promise<StoredDefinition> {
  const stored = await env.inventory.definition(vm.vmId);
  if (stored === undefined) throw new DriverFault('DEFINITION_NOT_STORED', { vm: vm.name });
  return stored;
}

export async function define(env: Environment, vm: VmRecord, target: HostId): Promise<Fault | undefined> {
  const definition = await currentDefinition(env, vm);
  await env.inventory.recordSighting(vm.vmId, target, nowIso());
  if (!vm.persistent) return undefined;
  const outcome = await env.hypervisor.define(target, definition, signal());
  if (outcome.kind === 'ok') return undefined;
  return outcome.kind === 'refused' ? outcome.fault : { ...outcome.fault, class: 'transient' };
}

/** An old definition starts the VM on an old disk with no error, so none may stay where it can be reached. */
export async function removeStaleDefinitions(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  evidence: readonly FenceEvidence[],
  waitMs: number,
): Promise<void> {
  const elsewhere = (await env.inventory.sightings([vm.vmId])).filter((s) => s.hostId !== target);
  for (const { hostId } of elsewhere) {
    const off =
      evidence.some((e) => e.hostId === hostId) || (await env.inventory.evidenceFor(hostId)) !== undefined;
    if (!off) await untilTakenAway(env, vm, target, hostId, Date.now() + waitMs);
  }
}

/** A host that does not answer for so long is a person's matter, and said: waited for in silence, nobody would know what is left there. */
async function untilTakenAway(
  env: Environment,
  vm: VmRecord,
  target: HostId,
  host: HostId,
  deadline: number,
): Promise<void> {
  for (;;) {
    try {
      return await takeDefinitionAway(env, vm, host);
    } catch (error) {
      const known = faultOf(error);
      if (known?.class !== 'transient') throw error;
      const facts = { vm: vm.name, target, host, detail: known.sentence };
      if (Date.now() >= deadline) throw new DriverFault('OLD_DEFINITION_LEFT', facts, { cause: error });
    }
    await pause(lookEveryMs);
  }
}

/**
 * Undefines the VM on a host where it is at rest, reads back that it is gone, then forgets the sighting. A memory image that was saved there
 * goes with it once the VM has gone on without it: restored, it would destroy the disk.
 */
export async function takeDefinitionAway(
  env: Environment,
  vm: VmRecord,
  host: HostId,
  saved: 'outdated' | 'left-alone' = 'outdated',
): Promise<void> {
  const seen = (await env.lists.read(host)).vms.find((v) => v.vmId === vm.vmId);
  // Of an attempt that never started it: what was saved there is not ours to throw away. The sighting stays, so the host stays accounted for.
  if (seen?.savedImage === true && saved === 'left-alone') return;
  if (seen !== undefined) {
    if (!isAtRest(seen.state))
      throw new DriverFault('EVIDENCE_CONTRADICTED', { host, detail: `${vm.name} is ${seen.state} there` });
    const outcome = await env.hypervisor.undefine(host, vm.vmId, signal());
    const after = (await env.lists.read(host)).vms.some((v) => v.vmId === vm.vmId);
    // A refusal (snapshots, for instance) stays one until a person cures it: tried again for ever, nobody would hear of it.
    if (after && outcome.kind === 'refused') throw new DriverFault(outcome.fault.code, outcome.fault.facts);
    if (after)
      throw new DriverFault('HYPERVISOR_UNREACHABLE', {
        host,
        detail: outcome.kind === 'ok' ? 'the definition is still there' : outcome.fault.sentence,
      });
  }
  await env.inventory.removeSighting(vm.vmId, host);
}
