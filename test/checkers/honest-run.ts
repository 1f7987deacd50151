/** A recovery done by hand on a simulated datacenter, by the book: what checkers must find nothing in, and tests doctor. */
import {
  evidenceFromReadings,
  type FenceEvidence,
  isRefused,
  issueStartPermit,
  type StartPermit,
} from '../../domain/evidence';
import { evidenceId, hostId, type HostId, incidentId } from '../../domain/ids';
import type { EvidenceRecord, HostRecord, IncidentRecord, VmRecord } from '../../domain/records';
import {
  fleetOf,
  type SampleOptions,
  sampleWorld,
  simulatedPorts,
  type SimulatedPorts,
  World,
} from '../../drivers/simulated';
import type { Facts, InventoryRows } from './facts';

export const dead = hostId('hv-a');
export const target = hostId('hv-b');
export const incident = incidentId({ kind: 'host', hostId: dead }, 1);

export interface Run {
  readonly world: World;
  readonly ports: SimulatedPorts;
  rows: InventoryRows;
  facts(): Facts;
}

const forever = new AbortController().signal;

function made<T extends object>(proof: T | { readonly refused: readonly string[] }): T {
  if (isRefused(proof)) throw new Error(proof.refused.join('; '));
  return proof;
}

export async function begin(options: Partial<SampleOptions> = {}): Promise<Run> {
  const world = new World(sampleWorld({ hosts: 2, vmsPerHost: 1, storage: 'nfs', ...options }));
  const ports = simulatedPorts(world);
  const hosts = fleetOf(world.spec).clusters[0]?.hosts ?? [];
  const vms: VmRecord[] = [];
  for (const host of hosts)
    for (const read of await ports.hypervisor.definitions(host.id, undefined, forever))
      vms.push({
        ...{
          vmId: read.vmId,
          name: read.name,
          clusterId: host.clusterId,
          hostId: host.id,
          desired: 'running',
        },
        observed: { state: 'running', reason: 'booted', at: world.now() },
        ...{ protected: true, persistent: true, priority: 3, antiAffinity: undefined, shape: read.shape },
        ...{ definitionVersion: 1, epoch: 0, version: 1 },
      });
  const records = hosts.map((h): HostRecord => ({
    ...{ hostId: h.id, clusterId: h.clusterId, standing: 'in-service', version: 1 },
    ...{ bootId: undefined, lastSeenAt: undefined },
  }));
  const opened: IncidentRecord = {
    ...{ incidentId: incident, target: { kind: 'host', hostId: dead }, epoch: 1, phase: 'restarting' },
    ...{ clusterId: hosts[0]!.clusterId, summary: '', nextCommand: undefined, outcome: undefined },
    ...{ openedAt: world.now(), closedAt: undefined, triggers: [], workflowId: 'host:hv-a', version: 1 },
  };
  const run: Run = {
    ...{ world, ports },
    rows: { vms, hosts: records, reservations: [], incidents: [opened], evidence: [] },
    facts: () => ({ world: world.snapshot(), journal: world.journal.since(), inventory: run.rows }),
  };
  return run;
}

export async function fence(run: Run): Promise<FenceEvidence> {
  const host = fleetOf(run.world.spec).clusters[0]?.hosts.find((h) => h.id === dead);
  const level = host!.fenceLevels[0]!;
  await run.ports.fencing.off(dead, level.devices[0]!, forever);
  const reading = await run.ports.fencing.status(dead, level.devices[0]!, forever);
  const facts = { id: evidenceId(incident, 1), hostId: dead, incidentId: incident };
  const evidence = made(evidenceFromReadings(facts, level, [reading]));
  const stored: EvidenceRecord = { evidence, lapsedAt: undefined };
  const hosts = run.rows.hosts.map((h) => (h.hostId === dead ? { ...h, standing: 'fenced' as const } : h));
  run.rows = { ...run.rows, hosts, evidence: [stored] };
  return evidence;
}

export const victim = (run: Run): VmRecord => run.rows.vms.find((v) => v.name === 'vm-001')!;

export async function releaseLocks(run: Run, evidence: FenceEvidence): Promise<void> {
  const pool = run.world.spec.pools[0]!.id;
  const images = victim(run).shape.disks.map((d) => d.path);
  const { locks } = await run.ports.storageLocks.list(pool, images, evidence.hostId, forever);
  await run.ports.storageLocks.release(pool, locks, evidence, forever);
}

export async function permit(run: Run, evidence: FenceEvidence, vm = victim(run)): Promise<StartPermit> {
  const list = await run.ports.hypervisor.list(target, forever);
  return made(
    issueStartPermit({
      ...{ vmId: vm.vmId, target, incidentId: incident, recordVersion: vm.version, mayHold: [dead, target] },
      accounts: [
        { hostId: dead, by: 'fence-evidence', evidence },
        { hostId: target, by: 'own-list', list },
      ],
      incidentBeganAt: run.rows.incidents[0]!.openedAt,
      now: run.world.now(),
    }),
  );
}

/** Fence, release, permit, define, start, record: in this order. */
export async function recoverByTheBook(run: Run): Promise<void> {
  const vm = victim(run);
  const evidence = await fence(run);
  await releaseLocks(run, evidence);
  const text = run.world.host(dead).definitions.get(vm.vmId)!.text;
  const definition = { vmId: vm.vmId, version: 1, text, readFrom: dead, readAt: run.world.now() };
  const allowed = await permit(run, evidence);
  await run.ports.hypervisor.define(target, definition, forever);
  const outcome = await run.ports.hypervisor.start(allowed, definition, true, forever);
  if (outcome.kind !== 'ok') throw new Error(JSON.stringify(outcome));
  recordOn(run, target);
}

export function recordOn(run: Run, host: HostId): void {
  const name = victim(run).name;
  run.rows = {
    ...run.rows,
    vms: run.rows.vms.map((v) => (v.name === name ? { ...v, hostId: host, version: v.version + 1 } : v)),
  };
}
