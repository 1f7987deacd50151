/** What the inventory stores. Every row has a version; a change names the version it was made from (compare-and-set). */
import type { FenceEvidence } from './evidence';
import type { Capacity, Priority } from './fleet';
import type { ClusterId, HostId, IncidentId, IncidentTarget, PoolId, VmId } from './ids';
import type { Timestamp, VmState } from './observations';

/**
 * `in-service` takes VMs; `excluded` is out of placement because work on it is under way; `fenced` is off by our evidence;
 * `quarantined` has come back and is not trusted yet; `maintenance` is planned.
 */
export type HostStanding = 'in-service' | 'excluded' | 'fenced' | 'quarantined' | 'maintenance';

export interface HostRecord {
  readonly hostId: HostId;
  readonly clusterId: ClusterId;
  readonly standing: HostStanding;
  readonly bootId: string | undefined;
  readonly lastSeenAt: Timestamp | undefined;
  readonly version: number;
}

/** What a logical volume is, whatever it and its group are called on a host. */
export interface VolumeIdentity {
  readonly group: string;
  readonly volume: string;
}

export interface VmDisk {
  readonly device: string;
  /** The hypervisor's own UUID of the disk, where it has one. */
  readonly uuid?: string;
  readonly path: string;
  readonly format: string;
  readonly poolId: PoolId | undefined;
  readonly shareable: boolean;
  /** The guest cannot write to it: a CD-ROM, or marked so. Left out where it can. */
  readonly readonly?: true;
  /** Of a logical volume: read while its VM ran. */
  readonly volume?: VolumeIdentity;
}

/** Whether other VMs may have it open at the same time, so that its being locked speaks against nothing. */
export const mayBeShared = (disk: VmDisk): boolean => disk.shareable || disk.readonly === true;

/** What a definition says of a VM, read from its XML while its host lived. */
export interface VmShape {
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly disks: readonly VmDisk[];
  readonly networks: readonly string[];
  readonly consolePath: string | undefined;
}

export interface VmRecord {
  readonly vmId: VmId;
  readonly name: string;
  readonly clusterId: ClusterId;
  /** Where the record says that it runs, or ran last. */
  readonly hostId: HostId;
  readonly desired: 'running' | 'stopped';
  readonly observed: { readonly state: VmState | 'missing'; readonly reason: string; readonly at: Timestamp };
  readonly protected: boolean;
  readonly persistent: boolean;
  readonly priority: Priority;
  readonly antiAffinity: string | undefined;
  readonly shape: VmShape;
  /** Version of the stored definition that is current; older ones are stale wherever they are seen. */
  readonly definitionVersion: number;
  readonly epoch: number;
  readonly version: number;
}

export interface StoredDefinition {
  readonly vmId: VmId;
  readonly version: number;
  /** libvirt domain XML, or the simulated datacenter's own text. */
  readonly text: string;
  readonly readFrom: HostId;
  readonly readAt: Timestamp;
}

export interface Reservation extends Capacity {
  readonly vmId: VmId;
  readonly hostId: HostId;
  readonly incidentId: IncidentId;
}

export type IncidentOutcome =
  | 'recovered'
  | 'partially-recovered'
  | 'dismissed'
  | 'aborted'
  | 'rehearsed'
  | 'stuck'
  /** Of a volume's move. */
  | 'moved'
  | 'not-moved';

export type TriggerSource = 'operator' | 'api' | 'webhook' | 'watch';

export interface Trigger {
  readonly source: TriggerSource;
  readonly by: string;
  readonly reason: string;
  readonly at: Timestamp;
}

export interface IncidentRecord {
  readonly incidentId: IncidentId;
  readonly target: IncidentTarget;
  readonly clusterId: ClusterId;
  readonly epoch: number;
  readonly phase: string;
  readonly summary: string;
  /** What the operator can do now; empty when nothing is asked of them. */
  readonly nextCommand: string | undefined;
  readonly outcome: IncidentOutcome | undefined;
  readonly openedAt: Timestamp;
  readonly closedAt: Timestamp | undefined;
  readonly triggers: readonly Trigger[];
  readonly workflowId: string;
  readonly version: number;
}

/** One link of an incident's hash chain: `hash = sha256(previousHash + canonical JSON of the rest)`. */
export interface TimelineEntry {
  readonly incidentId: IncidentId;
  readonly seq: number;
  readonly at: Timestamp;
  readonly kind: 'phase' | 'observation' | 'act' | 'evidence' | 'decision' | 'attestation' | 'vm' | 'trigger';
  readonly sentence: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly previousHash: string;
  readonly hash: string;
}

export interface EvidenceRecord {
  readonly evidence: FenceEvidence;
  /** Set when the host was seen to answer after the evidence: it proves nothing any more. */
  readonly lapsedAt: Timestamp | undefined;
}

export interface AlertRecord {
  readonly key: string;
  readonly severity: 'info' | 'warning' | 'critical';
  readonly sentence: string;
  readonly nextCommand: string | undefined;
  readonly incidentId: IncidentId | undefined;
  readonly raisedAt: Timestamp;
  readonly clearedAt: Timestamp | undefined;
  /** A person has seen it; until then a critical one pages again. */
  readonly acknowledgedAt?: Timestamp | undefined;
  readonly acknowledgedBy?: string | undefined;
}

/** Who runs this fleet: one installation at a time. `id` is its Temporal namespace, so that a new store or a lost namespace is another owner. */
export interface FleetOwner {
  readonly id: string;
  /** For people: address, namespace and machine. */
  readonly name: string;
}

export interface FleetClaim {
  readonly owner: FleetOwner;
  /** Since when this owner has it: what was seen before is another's knowledge. */
  readonly claimedAt: Timestamp;
  readonly seenAt: Timestamp;
}

/** The switch that stops every new act: for the whole fleet, or for one cluster. */
export interface ArmSwitch {
  readonly scope: 'fleet' | ClusterId;
  readonly armed: boolean;
  readonly by: string;
  readonly reason: string;
  readonly at: Timestamp;
}
