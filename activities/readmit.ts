/**
 * A host that came back after it was fenced: nothing on it may start a VM that lives elsewhere by now, then it takes VMs again.
 *
 * INVARIANTS:
 * - Only what is at rest is touched, and only definitions: of a VM that runs there against the record nothing is touched, and the host stays out.
 * - In service only after its own list, read again, shows it clean, and its pools take its writes again.
 */
import { DriverFault, type Fault, fault } from '../domain/faults';
import type { HostId, IncidentId } from '../domain/ids';
import { type HostVmList, isAtRest } from '../domain/observations';
import type { VmRecord } from '../domain/records';
import { mustBeArmed } from './armed';
import { takeDefinitionAway } from './definitions';
import { declaredCluster, declaredHost, type Environment, nowIso, signal, tell } from './environment';
import { faultOf, isOfInventory } from './fault-boundary';
import { setStanding } from './fence';
import { restoreEverywhere } from './storage-access';

export type Readmission =
  | { readonly kind: 'clean'; readonly did: readonly string[] }
  | { readonly kind: 'refused'; readonly fault: Fault };

interface ReadmitInput {
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
  readonly mode: 'act' | 'rehearse';
}

export const readmitActivities = (env: Environment) => ({
  /** Cleans the host and puts it into service; repeated it finds nothing left to do. In a rehearsal only says what it would do. */
  async readmitHost(input: ReadmitInput): Promise<Readmission> {
    const { hostId, incidentId, mode } = input;
    declaredHost(env, hostId);
    const refused = (detail: string): Readmission => ({
      kind: 'refused',
      fault: fault('HOST_NOT_CLEAN', { host: hostId, detail }),
    });
    if (mode === 'act') await mustBeArmed(env, declaredCluster(env, hostId).id);
    const begunAt = new Date().toISOString();
    let list: HostVmList;
    try {
      list = await env.lists.read(hostId);
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined) throw error;
      return refused(known.sentence);
    }
    const standing = (await env.inventory.host(hostId))?.standing;
    if (standing === 'excluded') return refused('it is being fenced, or its fence was ended from outside');
    if (standing === 'fenced' && mode === 'act') {
      // It answers: what proved it off is void from here on, whoever still holds it.
      await env.inventory.lapseEvidence(hostId, begunAt);
      await setStanding(env, hostId, 'quarantined', ['fenced']);
    }
    const records = await env.inventory.vms({ ids: list.vms.map((v) => v.vmId) });
    const foreign = records.filter((vm) => vm.hostId !== hostId);
    const running = foreign.filter((vm) => !atRest(list, vm));
    if (running.length > 0) return refused(running.map((vm) => runsHere(vm, list)).join('; '));
    const did = mode === 'act' ? await clean(env, input, foreign) : foreign.map((vm) => wouldTake(vm));
    did.push(...(await endAutostart(env, input, records)));
    if (mode === 'act') {
      const left = await leftovers(env, hostId);
      if (left.length > 0) return refused(left.join('; '));
    }
    try {
      const opened = await restoreEverywhere(env, hostId, mode);
      if (mode === 'act' && opened.length > 0)
        await tell(env, incidentId, 'access-open', 'act', `${opened.join('; ')}, read back`);
      did.push(...opened);
    } catch (error) {
      const known = faultOf(error);
      if (known === undefined || isOfInventory(known)) throw error;
      return refused(known.sentence);
    }
    if (mode === 'rehearse') return { kind: 'clean', did: [...did, `${hostId} would take VMs again`] };
    await intoService(env, hostId);
    await tell(env, incidentId, 'readmitted', 'act', `${hostId} takes VMs again`, { did });
    return { kind: 'clean', did };
  },
});

const seenIn = (list: HostVmList, vm: VmRecord) => list.vms.find((v) => v.vmId === vm.vmId);

const atRest = (list: HostVmList, vm: VmRecord): boolean => {
  const seen = seenIn(list, vm);
  return seen === undefined || isAtRest(seen.state);
};

const runsHere = (vm: VmRecord, list: HostVmList): string =>
  `${vm.name} is ${seenIn(list, vm)?.state ?? 'unknown'} there, and the record puts it on ${vm.hostId}`;

const wouldTake = (vm: VmRecord): string =>
  `would take the definition of ${vm.name} away: it belongs to ${vm.hostId} now`;

async function clean(env: Environment, input: ReadmitInput, foreign: readonly VmRecord[]): Promise<string[]> {
  const did: string[] = [];
  for (const vm of foreign) {
    await takeDefinitionAway(env, vm, input.hostId);
    const sentence = `the definition of ${vm.name} on ${input.hostId} is taken away: it belongs to ${vm.hostId} now`;
    await tell(env, input.incidentId, `taken-${vm.vmId}`, 'act', sentence);
    did.push(sentence);
  }
  return did;
}

/** A protected VM is started by nobody but VMedic: a host that starts it by itself at boot asks no permit. */
async function endAutostart(
  env: Environment,
  { hostId, incidentId, mode }: ReadmitInput,
  records: readonly VmRecord[],
): Promise<string[]> {
  const own = records.filter((vm) => vm.hostId === hostId && vm.protected);
  const definitions = await env.hypervisor.definitions(
    hostId,
    own.map((vm) => vm.vmId),
    signal(),
  );
  const did: string[] = [];
  for (const { vmId, name } of definitions.filter((d) => d.autostart)) {
    if (mode === 'act') {
      const outcome = await env.hypervisor.disableAutostart(hostId, vmId, signal());
      if (outcome.kind !== 'ok') throw new DriverFault(outcome.fault.code, outcome.fault.facts);
    }
    const sentence = `autostart of ${name} on ${hostId} ${mode === 'act' ? 'is' : 'would be'} switched off`;
    if (mode === 'act') await tell(env, incidentId, `autostart-${vmId}`, 'act', sentence);
    did.push(sentence);
  }
  return did;
}

/** Read anew: what is still wrong after the cleaning. */
async function leftovers(env: Environment, hostId: HostId): Promise<string[]> {
  const list = await env.lists.read(hostId);
  const records = await env.inventory.vms({ ids: list.vms.map((v) => v.vmId) });
  const stale = records
    .filter((vm) => vm.hostId !== hostId)
    .map((vm) => `it still has a definition of ${vm.name}, which belongs to ${vm.hostId}`);
  const own = records.filter((vm) => vm.hostId === hostId && vm.protected).map((vm) => vm.vmId);
  const definitions = await env.hypervisor.definitions(hostId, own, signal());
  const starting = definitions.filter((d) => d.autostart).map((d) => `it still starts ${d.name} by itself`);
  return [...stale, ...starting];
}

/** Its present boot is the one in which it is trusted. */
async function intoService(env: Environment, hostId: HostId): Promise<void> {
  const answer = await env.hostCommands.bootId(hostId, signal());
  for (;;) {
    const record = await env.inventory.host(hostId);
    if (record === undefined || record.standing === 'in-service') return;
    try {
      const bootId = answer.says === 'answers' ? answer.bootId : undefined;
      const seen = answer.says === 'answers' ? { lastSeenAt: nowIso() } : {};
      await env.inventory.updateHost(hostId, record.version, { standing: 'in-service', bootId, ...seen });
      return;
    } catch (error) {
      if (faultOf(error)?.code !== 'RECORD_CHANGED') throw error;
    }
  }
}
