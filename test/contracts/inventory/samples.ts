import type { DiscoveredVm } from '../../../activities/ports';
import { evidenceFromAttestation, evidenceFromReadings, type FenceEvidence } from '../../../domain/evidence';
import {
  clusterId,
  evidenceId,
  fenceDeviceId,
  hostId,
  incidentId,
  vmId,
  type VmId,
} from '../../../domain/ids';
import type { Reservation, Trigger } from '../../../domain/records';
import type { OpenInventory } from '../../../drivers/postgres';

/** What a case gets: two inventories on one empty database, as two processes would have them, and a way behind their back. */
export interface InventorySubject {
  readonly inventory: OpenInventory;
  readonly other: OpenInventory;
  /** Runs SQL past the driver, for what only a fault or an intruder would do. */
  readonly behind: (sql: string) => Promise<unknown[]>;
  /** Keeps the rows of a `select … for update` locked until all `calls` wait for them: so they have all read before the first writes. */
  readonly allAtOnce: <T>(
    rows: string,
    calls: readonly (() => Promise<T>)[],
  ) => Promise<PromiseSettledResult<T>[]>;
}

export interface InventoryCase {
  readonly name: string;
  readonly run: (subject: InventorySubject) => Promise<void>;
}

export const cluster = clusterId('c1');
export const hvA = hostId('hv-a');
export const hvB = hostId('hv-b');
export const web = vmId('11111111-0000-4000-8000-000000000001');
export const db = vmId('11111111-0000-4000-8000-000000000002');
export const incident = incidentId({ kind: 'host', hostId: hvA }, 1);
export const bmc = fenceDeviceId('bmc-a');

/** Seconds after a fixed moment, so that "later" is written in the case and not measured. */
export const at = (seconds: number): string =>
  new Date(Date.UTC(2026, 0, 5, 8, 0, 0) + seconds * 1000).toISOString();

interface Look {
  readonly host?: typeof hvA;
  readonly state?: DiscoveredVm['vm']['observed']['state'];
  readonly seconds?: number;
  readonly text?: string;
  readonly memoryMiB?: number;
  readonly vcpus?: number;
  readonly protect?: boolean;
  readonly name?: string;
}

export function seen(id: VmId, look: Look = {}): DiscoveredVm {
  const { host = hvA, state = 'running', seconds = 0, memoryMiB = 512, vcpus = 1, protect = true } = look;
  return {
    definitionText: look.text ?? `<domain><uuid>${id}</uuid></domain>`,
    vm: {
      vmId: id,
      name: look.name ?? `vm-${id.slice(-4)}`,
      clusterId: cluster,
      hostId: host,
      observed: { state, reason: state === 'running' ? 'booted' : 'destroyed', at: at(seconds) },
      protected: protect,
      persistent: true,
      priority: 3,
      antiAffinity: undefined,
      shape: {
        memoryMiB,
        vcpus,
        disks: [
          { device: 'vda', path: `/pool/${id}.qcow2`, format: 'qcow2', poolId: undefined, shareable: false },
        ],
        networks: ['default'],
        consolePath: `/run/console/${id}`,
      },
    },
  };
}

export const manyVms = (count: number): VmId[] =>
  Array.from({ length: count }, (_, i) => vmId(`22222222-0000-4000-8000-${String(i).padStart(12, '0')}`));

export const declareHosts = (inventory: OpenInventory): Promise<void> =>
  inventory.ensureHosts([hvA, hvB].map((host) => ({ hostId: host, clusterId: cluster })));

/** Two hosts, and two VMs on the first. */
export async function smallFleet(inventory: OpenInventory): Promise<void> {
  await declareHosts(inventory);
  await inventory.recordDiscovery(hvA, at(0), [seen(web), seen(db)]);
}

export const reservation = (vm: VmId, over: Partial<Reservation> = {}): Reservation => ({
  vmId: vm,
  hostId: hvB,
  incidentId: incident,
  memoryMiB: 512,
  vcpus: 1,
  ...over,
});

export const trigger = (n: number): Trigger => ({
  source: 'webhook',
  by: `monitor-${n}`,
  reason: 'host is down',
  at: at(n),
});

export const hostIncident = (epoch = 1, host = hvA) => ({
  incidentId: incidentId({ kind: 'host', hostId: host }, epoch),
  target: { kind: 'host', hostId: host } as const,
  clusterId: cluster,
  epoch,
  workflowId: `host:${host}`,
  openedAt: at(epoch),
});

export const line = (key: string, seconds = 0) => ({
  key,
  at: at(seconds),
  kind: 'observation' as const,
  sentence: `seen: ${key}`,
  facts: { key, nested: { list: [1, 'two', null] } },
});

function proof(made: ReturnType<typeof evidenceFromReadings>): FenceEvidence {
  if ('refused' in made) throw new Error(made.refused.join('; '));
  return made;
}

export function observedOff(seq: number, seconds: number): FenceEvidence {
  const level = { name: 'bmc', devices: [{ id: bmc, agent: 'fence_ipmilan' }] };
  const reading = {
    hostId: hvA,
    deviceId: bmc,
    agent: 'fence_ipmilan',
    power: 'off' as const,
    observedAt: at(seconds),
  };
  return proof(
    evidenceFromReadings({ id: evidenceId(incident, seq), hostId: hvA, incidentId: incident }, level, [
      reading,
    ]),
  );
}

export const attestedOff = (seq: number, seconds: number): FenceEvidence =>
  proof(
    evidenceFromAttestation(
      { id: evidenceId(incident, seq), hostId: hvA, incidentId: incident },
      { by: 'ada', reason: 'pulled both power cords', at: at(seconds) },
    ),
  );

/** The code of the fault that a call ends with; fails when it ends otherwise. */
export async function faultCode(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => new Error('the call succeeded'),
    (e: unknown) => e,
  );
  if (error instanceof Error && 'fault' in error) return (error.fault as { code: string }).code;
  throw error;
}
