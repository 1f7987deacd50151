/**
 * The same recovery without VMedic: the same drivers, the same reading of the power, the same definitions and starts, as many at once.
 * Nothing is remembered, so a crash in the middle would lose it: this is the floor, not a rival.
 */
import type { FencingPort, HypervisorPort } from '../activities/ports';
import {
  type Account,
  evidenceFromReadings,
  type FenceEvidence,
  isRefused,
  issueStartPermit,
} from '../domain/evidence';
import { type FenceLevel, findHost, type Fleet } from '../domain/fleet';
import { evidenceId, type HostId, incidentId } from '../domain/ids';
import type { HostVmList } from '../domain/observations';
import type { StoredDefinition } from '../domain/records';
import { fleetOf } from '../workers/config';
import { composeDrivers } from '../workers/compose';
import type { BenchSite, BenchVm } from './site';

export interface BareRun {
  readonly cutMs: number;
  readonly offProvenMs: number;
  readonly upMs: readonly number[];
}

export interface Concurrency {
  readonly window: number;
  readonly perHost: number;
}

/** A list serves the permits of this long: reading one per VM is VMedic's care, not the floor's. */
const listServesMs = 5_000;

export async function recoverBare(
  site: BenchSite,
  { window, perHost }: Concurrency,
  timeoutMs: number,
): Promise<BareRun> {
  const drivers = await composeDrivers(site);
  const { hypervisor, fencing } = drivers.ports;
  try {
    const definitions = await definitionsOf(hypervisor, site);
    const ups = await site.watch();
    try {
      const cutMs = await site.cutPower();
      const evidence = await proveOff(fencing, fleetOf(site.config), site.failing);
      const offProvenMs = Date.now();
      const starter = new Starter(hypervisor, definitions, evidence);
      const lanes = site.survivors.map((host, i) => ({
        host,
        vms: site.vms.filter((_, at) => at % site.survivors.length === i),
      }));
      const each = Math.min(perHost, Math.ceil(window / lanes.length));
      await Promise.all(
        lanes.flatMap(({ host, vms }) => Array.from({ length: each }, () => starter.work(host, vms))),
      );
      return { cutMs, offProvenMs, upMs: await ups.all(timeoutMs) };
    } finally {
      ups.stop();
    }
  } finally {
    await drivers.close();
  }
}

/** One for each call: what listens to it would else add up. */
const never = (): AbortSignal => new AbortController().signal;
const incident = (host: HostId) => incidentId({ kind: 'host', hostId: host }, 1);

async function definitionsOf(
  hypervisor: HypervisorPort,
  { failing }: BenchSite,
): Promise<ReadonlyMap<string, StoredDefinition>> {
  const readAt = new Date().toISOString();
  const read = await hypervisor.definitions(failing, undefined, never());
  return new Map(read.map(({ vmId, text }) => [vmId, { vmId, version: 1, text, readFrom: failing, readAt }]));
}

/** Status; off and status again unless it reads "off" already. */
async function proveOff(fencing: FencingPort, fleet: Fleet, host: HostId): Promise<FenceEvidence> {
  const level = findHost(fleet, host)?.fenceLevels[0] as FenceLevel;
  const readings = [];
  for (const device of level.devices) {
    let reading = await fencing.status(host, device, never());
    if (reading.power !== 'off') {
      await fencing.off(host, device, never());
      reading = await fencing.status(host, device, never());
    }
    readings.push(reading);
  }
  const id = incident(host);
  const evidence = evidenceFromReadings(
    { id: evidenceId(id, 1), hostId: host, incidentId: id },
    level,
    readings,
  );
  if (isRefused(evidence)) throw new Error(`${host} is not off: ${evidence.refused.join('; ')}`);
  return evidence;
}

class Starter {
  private readonly lists = new Map<HostId, { readonly atMs: number; readonly list: Promise<HostVmList> }>();
  private readonly beganAt = new Date().toISOString();

  constructor(
    private readonly hypervisor: HypervisorPort,
    private readonly definitions: ReadonlyMap<string, StoredDefinition>,
    private readonly evidence: FenceEvidence,
  ) {}

  /** Takes VMs from the one list of its host until it is empty. */
  async work(host: HostId, vms: BenchVm[]): Promise<void> {
    for (let vm = vms.shift(); vm !== undefined; vm = vms.shift()) await this.start(host, vm);
  }

  private async start(target: HostId, { vmId, name }: BenchVm): Promise<void> {
    const definition = this.definitions.get(vmId);
    if (definition === undefined) throw new Error(`no definition of ${name} was read`);
    const defined = await this.hypervisor.define(target, definition, never());
    const started =
      defined.kind === 'ok'
        ? await this.hypervisor.start(await this.permit(target, vmId), definition, true, never())
        : defined;
    if (started.kind !== 'ok') throw new Error(`${name} was not started bare: ${started.fault.sentence}`);
  }

  private async permit(target: HostId, vmId: BenchVm['vmId']) {
    const { evidence } = this;
    const accounts: Account[] = [
      { hostId: evidence.hostId, by: 'fence-evidence', evidence },
      { hostId: target, by: 'own-list', list: await this.listOf(target) },
    ];
    const permit = issueStartPermit({
      ...{ vmId, target, accounts, recordVersion: 1, incidentId: evidence.incidentId },
      mayHold: [evidence.hostId, target],
      incidentBeganAt: this.beganAt,
      now: new Date().toISOString(),
    });
    if (isRefused(permit)) throw new Error(permit.refused.join('; '));
    return permit;
  }

  private listOf(host: HostId): Promise<HostVmList> {
    const known = this.lists.get(host);
    if (known !== undefined && Date.now() - known.atMs < listServesMs) return known.list;
    const list = this.hypervisor.list(host, never());
    this.lists.set(host, { atMs: Date.now(), list });
    return list;
  }
}
