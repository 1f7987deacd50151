import type { FencingPort } from './fencing';
import type { GuestRepairPort } from './guest-repair';
import type { HeartbeatsPort } from './heartbeats';
import type { HintsPort } from './hints';
import type { HostCommandsPort } from './host-commands';
import type { HypervisorPort } from './hypervisor';
import type { InventoryPort } from './inventory';
import type { NotifierPort } from './notifier';
import type { StorageAccessPort, StorageLocksPort, VolumesPort } from './storage';
import type { VolumeMovesPort } from './volume-moves';
import type { SurveyPort } from './survey';

/** Everything activities may touch outside the process. Built by `workers/`, from drivers or from the simulated datacenter. */
export interface Ports {
  readonly fencing: FencingPort;
  readonly hypervisor: HypervisorPort;
  readonly hostCommands: HostCommandsPort;
  readonly storageLocks: StorageLocksPort;
  readonly storageAccess: StorageAccessPort;
  readonly volumes: VolumesPort;
  readonly volumeMoves: VolumeMovesPort;
  readonly survey: SurveyPort;
  readonly hints: HintsPort;
  readonly heartbeats: HeartbeatsPort;
  readonly guestRepair: GuestRepairPort;
  readonly inventory: InventoryPort;
  readonly notifier: NotifierPort;
}

export type { ActOutcome, HypervisorPort, ReadDefinition } from './hypervisor';
export type { DiskSight, HealthMark, HostClaim, HostCommandsPort } from './host-commands';
export type { DeliveriesPort, Delivery, Notice, OutcomeFigures } from './deliveries';
export type { AnswerClaim, FrontDoorPort, KeptAnswer } from './front-door';
export type { FencingPort } from './fencing';
export type { GuestRepairPort, RepairPreflight } from './guest-repair';
export type { HeartbeatSight, HeartbeatsPort } from './heartbeats';
export type { HintsPort } from './hints';
export type {
  DeviceHealth,
  DiscoveredVm,
  IncidentChange,
  IncidentPlace,
  InventoryPort,
  Sighting,
} from './inventory';
export type { AlertSubject, NotifierPort, StandingNotifierPort, Told } from './notifier';
export type {
  HeldLock,
  LockListing,
  StorageAccess,
  StorageAccessPort,
  StorageLocksPort,
  StorageReadiness,
  VolumesPort,
} from './storage';
export type {
  FoundTask,
  MoveDirection,
  MoveKnown,
  Preflight,
  Submitted,
  VolumeMovesPort,
} from './volume-moves';
export type { SurveyPort } from './survey';
export type { RecoveriesPort, RecoveryAnswer, RecoveryOrder } from './recoveries';
export type { SupervisionRows } from './supervision';
