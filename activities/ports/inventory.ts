import type { FenceEvidence } from '../../domain/evidence';
import type { Capacity } from '../../domain/fleet';
import type {
  ClusterId,
  DiskId,
  EvidenceId,
  FenceDeviceId,
  HostId,
  IncidentId,
  VmId,
} from '../../domain/ids';
import type { Timestamp } from '../../domain/observations';
import type {
  AlertRecord,
  EvidenceRecord,
  HostRecord,
  IncidentRecord,
  Reservation,
  StoredDefinition,
  TimelineEntry,
  Trigger,
  VmDisk,
  VmRecord,
} from '../../domain/records';
import type { ReadinessReport } from '../../domain/readiness';
import type { SupervisionRows } from './supervision';

/** Where a definition of a VM was seen and has not since been seen removed. */
export interface Sighting {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly seenAt: Timestamp;
}

export interface DeviceHealth {
  readonly deviceId: FenceDeviceId;
  readonly loginRefusals: number;
  readonly lastRefusedAt: Timestamp | undefined;
  readonly lastAnswerAt: Timestamp | undefined;
}

export interface DiscoveredVm {
  /** The record as it should stand; `version` and `definitionVersion` are the inventory's to count. */
  readonly vm: Omit<VmRecord, 'version' | 'definitionVersion' | 'epoch' | 'desired'>;
  /** Undefined when the definition was not read this time. */
  readonly definitionText: string | undefined;
}

/** Where an incident stands in a list that is newest first. */
export type IncidentPlace = Pick<IncidentRecord, 'openedAt' | 'epoch' | 'incidentId'>;

export type IncidentChange = Partial<
  Pick<IncidentRecord, 'phase' | 'summary' | 'nextCommand' | 'outcome' | 'closedAt'>
>;

/**
 * Theory of operation. What VMedic knows, shared by CLI, API and workers: always a PostgreSQL server. Rows change by compare-and-set
 * on their version; a lost race throws `RECORD_CHANGED`. Every write may be repeated (workers die between the write and its report):
 * repeated with the same arguments it changes nothing more. Faults: `INVENTORY_UNREACHABLE`, `RECORD_CHANGED`, `UNKNOWN_VM`,
 * `UNKNOWN_HOST`, `UNKNOWN_INCIDENT`.
 */
export interface InventoryPort extends SupervisionRows {
  /** Makes sure that every declared host has a row; never changes existing ones. */
  ensureHosts(hosts: readonly { readonly hostId: HostId; readonly clusterId: ClusterId }[]): Promise<void>;
  hosts(filter?: { readonly clusterId?: ClusterId }): Promise<HostRecord[]>;
  host(id: HostId): Promise<HostRecord | undefined>;
  updateHost(
    id: HostId,
    expectedVersion: number,
    change: Partial<Pick<HostRecord, 'standing' | 'bootId' | 'lastSeenAt'>>,
  ): Promise<HostRecord>;

  vms(filter?: {
    readonly clusterId?: ClusterId;
    readonly hostId?: HostId;
    readonly notHostId?: HostId;
    readonly ids?: readonly VmId[];
  }): Promise<VmRecord[]>;
  /** One short word for the records of all VMs of a host: another whenever one of them has changed, come or gone, and the same otherwise. */
  vmsMark(host: HostId): Promise<string>;
  vm(id: VmId): Promise<VmRecord | undefined>;
  updateVm(
    id: VmId,
    expectedVersion: number,
    change: Partial<Pick<VmRecord, 'hostId' | 'desired' | 'observed' | 'protected' | 'epoch'>>,
  ): Promise<VmRecord>;
  /**
   * The VM's disks are elsewhere now: its new definition becomes the stored one, with a version of its own, and its record names the disks, both
   * at once. Repeated with what is stored already it changes nothing.
   */
  redefineVm(
    id: VmId,
    expectedVersion: number,
    now: {
      readonly text: string;
      readonly disks: readonly VmDisk[];
      readonly readFrom: HostId;
      readonly readAt: Timestamp;
    },
  ): Promise<VmRecord>;
  /**
   * Stores what one host's complete list showed: new VMs are added (desired = running when seen running, or stopped by trouble), definitions
   * get a new version when their text changed, sightings are recorded for the VMs listed and removed for this host's others. Never changes
   * `hostId` or `desired` of a VM that is known already, unless `adopt` names it and the list is newer than what was observed last; one
   * that is adopted with a process is wanted, and any other as much as it was. A VM's record and definition follow the list of the host that
   * the record names, and no other's: a stale definition elsewhere is only sighted. The list must be complete: a VM left out of `vms`
   * counts as gone from this host. One that is there but whose definition was not read is passed with `definitionText` undefined.
   */
  recordDiscovery(
    hostId: HostId,
    at: Timestamp,
    vms: readonly DiscoveredVm[],
    adopt?: readonly VmId[],
  ): Promise<{ added: VmId[]; redefined: VmId[] }>;

  definition(vm: VmId): Promise<StoredDefinition | undefined>;
  sightings(vms: readonly VmId[]): Promise<Sighting[]>;
  recordSighting(vm: VmId, host: HostId, at: Timestamp): Promise<void>;
  removeSighting(vm: VmId, host: HostId): Promise<void>;

  /**
   * Keeps room for a VM on a host. One reservation per VM: the same again is `reserved`; one on another host for the same incident is
   * moved. `no-room` when the host's capacity less what runs and is reserved there does not suffice. Atomic per host.
   */
  reserve(wanted: Reservation, capacity: Capacity): Promise<'reserved' | 'no-room'>;
  releaseReservation(vm: VmId, incident: IncidentId): Promise<void>;
  /** All of them, or the one of this VM. */
  reservations(of?: VmId): Promise<Reservation[]>;

  /** Opens the incident, or returns the one open already for its target with the trigger attached. */
  openIncident(
    incident: Pick<
      IncidentRecord,
      'incidentId' | 'target' | 'clusterId' | 'epoch' | 'workflowId' | 'openedAt'
    >,
    trigger: Trigger,
  ): Promise<IncidentRecord>;
  attachTrigger(id: IncidentId, trigger: Trigger): Promise<void>;
  incident(id: IncidentId): Promise<IncidentRecord | undefined>;
  /** Newest first. */
  incidents(filter?: {
    readonly open?: boolean;
    readonly hostId?: HostId;
    readonly vmId?: VmId;
    readonly diskId?: DiskId;
    readonly clusterId?: ClusterId;
    readonly limit?: number;
    /** The last one of the page before. */
    readonly olderThan?: IncidentPlace;
  }): Promise<IncidentRecord[]>;
  updateIncident(id: IncidentId, change: IncidentChange): Promise<IncidentRecord>;

  /** Appends to the incident's hash chain. `key` makes it idempotent: the same key again changes nothing. Answers which keys were there before. */
  appendTimeline(
    id: IncidentId,
    entries: readonly (Pick<TimelineEntry, 'at' | 'kind' | 'sentence' | 'facts'> & {
      readonly key: string;
    })[],
  ): Promise<readonly string[]>;
  /** Oldest first; only what comes after `afterSeq` when it is given. */
  timeline(id: IncidentId, afterSeq?: number): Promise<TimelineEntry[]>;

  storeEvidence(evidence: FenceEvidence): Promise<void>;
  evidence(id: EvidenceId): Promise<EvidenceRecord | undefined>;
  /** The newest evidence for a host that has not lapsed. */
  evidenceFor(host: HostId): Promise<FenceEvidence | undefined>;
  /** The host was seen to answer: whatever said that it is off proves nothing any more. */
  lapseEvidence(host: HostId, at: Timestamp): Promise<void>;

  deviceHealth(id: FenceDeviceId): Promise<DeviceHealth>;
  noteDeviceAnswer(id: FenceDeviceId, answer: 'answered' | 'login-refused', at: Timestamp): Promise<void>;
  /** A person says that the password is right now. */
  forgetLoginRefusals(ids: readonly FenceDeviceId[]): Promise<void>;

  raiseAlert(alert: Omit<AlertRecord, 'clearedAt'>): Promise<'raised' | 'already'>;
  clearAlert(key: string, at: Timestamp): Promise<'cleared' | 'not-raised'>;
  alerts(filter?: { readonly open?: boolean }): Promise<AlertRecord[]>;

  /** Keeps the newest report of each cluster; an older one than is kept changes nothing. */
  storeReadiness(report: ReadinessReport): Promise<void>;
  readiness(cluster: ClusterId): Promise<ReadinessReport | undefined>;
}
