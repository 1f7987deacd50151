/**
 * The activities of `repairGuest`. Theory of operation: the guest is stopped and read to be so on every host of its cluster, its disks are kept as they
 * are, and only then is anything written to them; each step asks again that the VM runs nowhere, and finds what an earlier try of it has done.
 *
 * INVARIANTS:
 * - Nothing touches a disk while the VM runs anywhere, or while that is not known of any host.
 * - A guest's process is ended by force only after its guest was asked, and only for a repair that was found possible before.
 * - What was kept goes only after nothing was written since, or by a person's hand.
 */
import { DriverFault, type Fault, fault } from '../domain/faults';
import {
  guestDegradedAlert,
  keptAlert,
  type KeptDisk,
  type MendedFileSystem,
  mendedWords,
  type RepairOrder,
  repairsByItself,
} from '../domain/guest-repair';
import type { HostId, IncidentId, VmId } from '../domain/ids';
import { limits } from '../domain/limits';
import { isAtRest, type ObservedVm } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { clusterById, type Environment, lookEveryMs, pause, recordedVm, signal, tell } from './environment';
import { faultOf } from './fault-boundary';
import { clear, raise } from './incident';

export interface RepairStep {
  readonly vmId: VmId;
  readonly incidentId: IncidentId;
  readonly attempt: string;
  /** Where it ran before the repair, and where its disks are worked on. */
  readonly on: HostId;
}

export type RepairReady =
  | {
      readonly kind: 'ready';
      readonly on: HostId;
      readonly runs: boolean;
      readonly kept: readonly KeptDisk[];
    }
  | { readonly kind: 'refused'; readonly on: HostId; readonly runs: boolean; readonly fault: Fault };

export const guestRepairActivities = (env: Environment) => ({
  /** Reads only. What cannot be known now is a reason against it: a repair is nothing that cannot wait. */
  async preflightRepair(input: { vmId: VmId; attempt: string }): Promise<RepairReady> {
    const vm = await recordedVm(env, input.vmId);
    const { hostId: on, name } = vm;
    const sights = await everywhere(env, vm);
    const own = sights.find((s) => s.host === on);
    const runs = own?.seen !== undefined && !isAtRest(own.seen.state);
    const why = [...(await standingOf(env, vm)), ...reasonsIn(sights, on)];
    if (own?.seen?.savedImage === true)
      why.push(`its memory image is saved on ${on}, and would not fit a mended disk`);
    if (runs && !(await isKnownUnwell(env, vm)))
      why.push(`it runs on ${on}, and no start of it was seen to end unwell: vmedic vm stop ${name} first`);
    const kept = await keptOr(env, why, on, orderOf(vm, input.attempt));
    if (why.length === 0) return { kind: 'ready', on, runs, kept };
    return {
      kind: 'refused',
      on,
      runs,
      fault: fault('REPAIR_REFUSED', { vm: name, detail: why.join('; ') }),
    };
  },

  /** Asks its guest, then ends its process; returns once it runs on no host of its cluster. Repeated it finds it at rest. */
  async stopForRepair(input: RepairStep & { patienceMs?: number }): Promise<void> {
    const vm = await recordedVm(env, input.vmId);
    await mustBeArmed(env, vm.clusterId);
    const { policy } = clusterById(env, vm.clusterId);
    const askUntil = Date.now() + (input.patienceMs ?? limits.repairStopMsMax);
    const giveUpAt = askUntil + policy.readBackDeadlineMs;
    for (let askedMs = 0, told = false; ;) {
      const reasons = reasonsIn(await everywhere(env, vm), undefined);
      if (reasons.length === 0) return;
      // Where the record says it is now: it may have been started elsewhere since the repair began.
      const { hostId } = await recordedVm(env, vm.vmId);
      const isLate = Date.now() >= askUntil;
      if (isLate && !told) {
        const sentence = `${vm.name} (${vm.vmId}): its guest was asked to shut down on ${hostId} and did not; its process is ended`;
        await tell(env, input.incidentId, `end-${input.attempt}-${hostId}`, 'act', sentence);
        told = true;
      }
      if (isLate) await env.hypervisor.end(hostId, vm.vmId, signal());
      else if (Date.now() - askedMs >= limits.shutDownAgainMs) {
        askedMs = Date.now();
        await env.hypervisor.shutDown(hostId, vm.vmId, signal());
      }
      if (Date.now() >= giveUpAt) throw failed(vm, input.on, 'stopping the guest', reasons.join('; '));
      await pause(lookEveryMs);
    }
  },

  async keepDisks(input: RepairStep): Promise<void> {
    const vm = await atRest(env, input, 'keeping a disk');
    await mustBeArmed(env, vm.clusterId);
    await env.guestRepair.keep(input.on, orderOf(vm, input.attempt), signal());
    const what = vm.shape.disks.map((d) => d.device).join(', ');
    const sentence = `${vm.name}: ${what} kept as they are, before anything is written to them`;
    await tell(env, input.incidentId, `kept-${input.attempt}`, 'vm', sentence);
  },

  async mendDisks(input: RepairStep): Promise<readonly MendedFileSystem[]> {
    const vm = await atRest(env, input, 'mending');
    await mustBeArmed(env, vm.clusterId);
    await tell(env, input.incidentId, `mend-${input.attempt}`, 'act', mendSentence(vm), { on: input.on });
    const found = await env.guestRepair.mend(input.on, orderOf(vm, input.attempt), signal());
    const sentence = `${vm.name}: ${mendedWords(found)}`;
    await tell(env, input.incidentId, `mended-${input.attempt}`, 'vm', sentence, { found });
    return found;
  },

  /** What is under way comes to its end, armed or not. */
  async goBackToKept(input: RepairStep): Promise<void> {
    const vm = await atRest(env, input, 'going back to what was kept of a disk');
    await env.guestRepair.goBack(input.on, orderOf(vm, input.attempt), signal());
    const sentence = `${vm.name}: its disks are as they were before the repair`;
    await tell(env, input.incidentId, `back-${input.attempt}`, 'vm', sentence);
  },

  /** Only what nothing was written after; a host that is proven off is not asked. */
  async dropKept(input: RepairStep): Promise<void> {
    const vm = await recordedVm(env, input.vmId);
    if ((await env.inventory.evidenceFor(input.on)) !== undefined) return;
    await env.guestRepair.drop(input.on, orderOf(vm, input.attempt), signal());
  },

  /** It helped: what was kept stays, and is said until a person has seen it. */
  async tellKept(input: RepairStep & { kept: readonly KeptDisk[] }): Promise<void> {
    const { vmId, incidentId, on, kept } = input;
    const vm = await recordedVm(env, vmId);
    const where = kept.map((k) => `${k.device} as ${k.kept}`).join(', ');
    const sentence = `${vm.name} was repaired and is well; kept as it was before, on ${on}: ${where}`;
    const nextCommand = `once it is not needed, on ${on}: ${kept.map((k) => k.remove).join('; ')}; then vmedic incident acknowledge ${incidentId}`;
    await tell(env, incidentId, `stays-${input.attempt}`, 'vm', sentence, { kept });
    await raise(env, incidentId, { key: keptAlert(vmId), severity: 'warning', sentence, nextCommand });
    await clear(env, guestDegradedAlert(vmId));
  },
});

/** Once for each incident: what did not help is not tried again by itself. */
export async function repairsNow(env: Environment, vm: VmRecord, incident: IncidentId): Promise<boolean> {
  const isOn =
    clusterById(env, vm.clusterId).mode === 'automatic' && repairsByItself(vm.shape.disks, env.fleet.pools);
  if (!isOn) return false;
  const sentence = mendSentence(vm);
  return !(await env.inventory.timeline(incident)).some((e) => e.kind === 'act' && e.sentence === sentence);
}

const mendSentence = ({ name, vmId }: VmRecord): string =>
  `${name} (${vmId}): replay the journals of its guest and check its file systems`;

const orderOf = ({ vmId, name, shape }: VmRecord, attempt: string): RepairOrder => ({
  ...{ attempt, vmId, name },
  disks: shape.disks,
});

const failed = ({ name: vm }: VmRecord, host: HostId, what: string, detail: string): DriverFault =>
  new DriverFault('REPAIR_FAILED', { what, vm, host, detail });

interface Sight {
  readonly host: HostId;
  /** Undefined where it is not known there, or that host is proven off. */
  readonly seen?: ObservedVm;
  readonly unreadable?: Fault;
}

/** Every host of its cluster, and every other one that a definition of it was seen on, by its own complete list or by evidence that it is off. */
async function everywhere(env: Environment, vm: VmRecord): Promise<Sight[]> {
  const declared = clusterById(env, vm.clusterId).hosts.map((h) => h.id);
  const sightings = (await env.inventory.sightings([vm.vmId])).map((s) => s.hostId);
  const hosts = [...new Set([vm.hostId, ...declared, ...sightings])];
  return Promise.all(
    hosts.map(async (host): Promise<Sight> => {
      if ((await env.inventory.evidenceFor(host)) !== undefined) return { host };
      try {
        const seen = (await env.lists.read(host)).vms.find((v) => v.vmId === vm.vmId);
        return { host, ...(seen !== undefined && { seen }) };
      } catch (error) {
        const known = faultOf(error);
        if (known === undefined) throw error;
        return { host, unreadable: known };
      }
    }),
  );
}

/** Why it may run somewhere else than on `except`. */
const reasonsIn = (sights: readonly Sight[], except: HostId | undefined): string[] =>
  sights.flatMap(({ host, seen, unreadable }) => {
    if (unreadable !== undefined) return [`it may run where nobody can look: ${unreadable.sentence}`];
    if (seen === undefined || isAtRest(seen.state) || host === except) return [];
    return [`it is ${seen.state} (${seen.reason}) on ${host}`];
  });

async function atRest(env: Environment, { vmId, on }: RepairStep, what: string): Promise<VmRecord> {
  const vm = await recordedVm(env, vmId);
  const sights = await everywhere(env, vm);
  // A host that cannot be asked now is asked again: what it says then may be that the VM does not run there.
  const silent = sights.find((s) => s.unreadable !== undefined)?.unreadable;
  if (silent !== undefined) throw new DriverFault(silent.code, silent.facts);
  const reasons = reasonsIn(sights, undefined);
  if (reasons.length > 0) throw failed(vm, on, what, reasons.join('; '));
  return vm;
}

async function standingOf(env: Environment, { hostId }: VmRecord): Promise<string[]> {
  if ((await env.inventory.evidenceFor(hostId)) !== undefined) return [`${hostId} is proven off`];
  const standing = (await env.inventory.host(hostId))?.standing;
  return standing === undefined || standing === 'in-service' || standing === 'maintenance'
    ? []
    : [`${hostId} is ${standing}`];
}

const isKnownUnwell = async (env: Environment, { vmId }: VmRecord): Promise<boolean> =>
  (await env.inventory.alerts({ open: true })).some((a) => a.key === guestDegradedAlert(vmId));

async function keptOr(
  env: Environment,
  why: string[],
  on: HostId,
  order: RepairOrder,
): Promise<readonly KeptDisk[]> {
  if (order.disks.length === 0) why.push('it has no disk');
  if ((await env.inventory.evidenceFor(on)) !== undefined) return [];
  try {
    const said = await env.guestRepair.preflight(on, order, signal());
    if (said.kind === 'ready') return said.kept;
    why.push(...said.why);
  } catch (error) {
    const known = faultOf(error);
    if (known === undefined) throw error;
    why.push(known.sentence);
  }
  return [];
}
