/**
 * The inventory's tables. `npm run migration` compares this file with the committed migrations and writes the difference as a new one;
 * a contract test fails while the two disagree.
 */
import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import type { FenceEvidence } from '../../domain/evidence';
import type { Priority } from '../../domain/fleet';
import type {
  ClusterId,
  EvidenceId,
  FenceDeviceId,
  HostId,
  IncidentId,
  IncidentTarget,
  VmId,
} from '../../domain/ids';
import type { Notice } from '../../activities/ports';
import type {
  AlertRecord,
  HostStanding,
  IncidentOutcome,
  TimelineEntry,
  Trigger,
  VmDisk,
  VmRecord,
} from '../../domain/records';
import { document, instant, words } from './columns';
import type { ReadinessReport } from '../../domain/readiness';

export const hosts = pgTable('hosts', {
  hostId: text('host_id').$type<HostId>().primaryKey(),
  clusterId: text('cluster_id').$type<ClusterId>().notNull(),
  standing: text('standing').$type<HostStanding>().notNull().default('in-service'),
  bootId: text('boot_id'),
  lastSeenAt: instant('last_seen_at'),
  version: integer('version').notNull().default(1),
});

export const vms = pgTable(
  'vms',
  {
    vmId: text('vm_id').$type<VmId>().primaryKey(),
    name: words('name').notNull(),
    clusterId: text('cluster_id').$type<ClusterId>().notNull(),
    hostId: text('host_id')
      .$type<HostId>()
      .notNull()
      .references(() => hosts.hostId),
    desired: text('desired').$type<VmRecord['desired']>().notNull(),
    observedState: text('observed_state').$type<VmRecord['observed']['state']>().notNull(),
    observedReason: words('observed_reason').notNull(),
    observedAt: instant('observed_at').notNull(),
    protected: boolean('protected').notNull(),
    /** What the config said last: only its change overrides what a person set since. */
    declaredProtected: boolean('declared_protected').notNull(),
    persistent: boolean('persistent').notNull(),
    priority: integer('priority').$type<Priority>().notNull(),
    antiAffinity: text('anti_affinity'),
    memoryMiB: integer('memory_mib').notNull(),
    vcpus: integer('vcpus').notNull(),
    disks: document('disks').$type<readonly VmDisk[]>().notNull(),
    networks: document('networks').$type<readonly string[]>().notNull(),
    consolePath: words('console_path'),
    definitionVersion: integer('definition_version').notNull().default(0),
    epoch: integer('epoch').notNull().default(0),
    version: integer('version').notNull().default(1),
  },
  (t) => [index('vms_by_host').on(t.hostId), index('vms_by_cluster').on(t.clusterId)],
);

export const definitions = pgTable(
  'definitions',
  {
    vmId: text('vm_id')
      .$type<VmId>()
      .notNull()
      .references(() => vms.vmId),
    version: integer('version').notNull(),
    text: words('text').notNull(),
    /** sha256 of the text, so that a storm of comparisons does not read the texts. */
    digest: text('digest').notNull(),
    readFrom: text('read_from').$type<HostId>().notNull(),
    readAt: instant('read_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.vmId, t.version] })],
);

export const sightings = pgTable(
  'sightings',
  {
    vmId: text('vm_id')
      .$type<VmId>()
      .notNull()
      .references(() => vms.vmId),
    hostId: text('host_id')
      .$type<HostId>()
      .notNull()
      .references(() => hosts.hostId),
    seenAt: instant('seen_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.vmId, t.hostId] }), index('sightings_by_host').on(t.hostId)],
);

export const reservations = pgTable(
  'reservations',
  {
    vmId: text('vm_id')
      .$type<VmId>()
      .primaryKey()
      .references(() => vms.vmId),
    hostId: text('host_id')
      .$type<HostId>()
      .notNull()
      .references(() => hosts.hostId),
    incidentId: text('incident_id').$type<IncidentId>().notNull(),
    memoryMiB: integer('memory_mib').notNull(),
    vcpus: integer('vcpus').notNull(),
  },
  (t) => [index('reservations_by_host').on(t.hostId)],
);

export const incidents = pgTable(
  'incidents',
  {
    incidentId: text('incident_id').$type<IncidentId>().primaryKey(),
    targetKind: text('target_kind').$type<IncidentTarget['kind']>().notNull(),
    targetId: text('target_id').notNull(),
    clusterId: text('cluster_id').$type<ClusterId>().notNull(),
    epoch: integer('epoch').notNull(),
    phase: text('phase').notNull().default('suspect'),
    summary: words('summary').notNull().default(''),
    nextCommand: words('next_command'),
    outcome: text('outcome').$type<IncidentOutcome>(),
    openedAt: instant('opened_at').notNull(),
    closedAt: instant('closed_at'),
    triggers: document('triggers').$type<readonly Trigger[]>().notNull(),
    /** Triggers that came after the last one kept. */
    triggersDropped: integer('triggers_dropped').notNull().default(0),
    workflowId: text('workflow_id').notNull(),
    version: integer('version').notNull().default(1),
  },
  (t) => [
    uniqueIndex('incidents_one_open')
      .on(t.targetKind, t.targetId)
      .where(sql`closed_at is null`),
    index('incidents_newest').on(t.openedAt),
  ],
);

export const timeline = pgTable(
  'timeline',
  {
    incidentId: text('incident_id').$type<IncidentId>().notNull(),
    seq: integer('seq').notNull(),
    key: text('key').notNull(),
    at: instant('at').notNull(),
    kind: text('kind').$type<TimelineEntry['kind']>().notNull(),
    sentence: words('sentence').notNull(),
    facts: document('facts').$type<Readonly<Record<string, unknown>>>().notNull(),
    previousHash: text('previous_hash').notNull(),
    hash: text('hash').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.incidentId, t.seq] }),
    unique('timeline_key').on(t.incidentId, t.key),
    foreignKey({ columns: [t.incidentId], foreignColumns: [incidents.incidentId] }),
  ],
);

export const evidence = pgTable(
  'evidence',
  {
    evidenceId: text('evidence_id').$type<EvidenceId>().primaryKey(),
    hostId: text('host_id').$type<HostId>().notNull(),
    observedAt: instant('observed_at').notNull(),
    body: document('body').$type<FenceEvidence>().notNull(),
    lapsedAt: instant('lapsed_at'),
  },
  (t) => [index('evidence_by_host').on(t.hostId, t.observedAt)],
);

export const fenceDevices = pgTable('fence_devices', {
  deviceId: text('device_id').$type<FenceDeviceId>().primaryKey(),
  lastRefusedAt: instant('last_refused_at'),
  lastAnswerAt: instant('last_answer_at'),
});

/** One row per refused login that counts: a repeated report of the same one must not use up the budget. */
export const fenceRefusals = pgTable(
  'fence_refusals',
  { deviceId: text('device_id').$type<FenceDeviceId>().notNull(), at: instant('at').notNull() },
  (t) => [primaryKey({ columns: [t.deviceId, t.at] })],
);

export const alerts = pgTable(
  'alerts',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    key: text('key').notNull(),
    severity: text('severity').$type<AlertRecord['severity']>().notNull(),
    sentence: words('sentence').notNull(),
    nextCommand: words('next_command'),
    incidentId: text('incident_id').$type<IncidentId>(),
    raisedAt: instant('raised_at').notNull(),
    clearedAt: instant('cleared_at'),
    /** A person has seen it: nobody is paged again. */
    acknowledgedAt: instant('acknowledged_at'),
    acknowledgedBy: words('acknowledged_by'),
  },
  (t) => [
    uniqueIndex('alerts_one_open')
      .on(t.key)
      .where(sql`cleared_at is null`),
    unique('alerts_once').on(t.key, t.raisedAt),
  ],
);

/** One row per alert, channel and notice: written before anything is sent, so that a sender that dies leaves work and not silence. */
export const alertDeliveries = pgTable(
  'alert_deliveries',
  {
    alertId: bigint('alert_id', { mode: 'number' })
      .notNull()
      .references(() => alerts.id, { onDelete: 'cascade' }),
    channel: text('channel').notNull(),
    notice: text('notice').$type<Notice>().notNull(),
    /** Counts pages of one raise: 0 is the first, more come while nobody acknowledges. */
    round: integer('round').notNull().default(0),
    dueAt: instant('due_at').notNull(),
    attempts: integer('attempts').notNull().default(0),
    lastError: words('last_error'),
    deliveredAt: instant('delivered_at'),
  },
  (t) => [
    primaryKey({ columns: [t.alertId, t.channel, t.notice, t.round] }),
    index('alert_deliveries_due')
      .on(t.dueAt)
      .where(sql`delivered_at is null`),
  ],
);

export { apiTokens, auditTrail, idempotentAnswers, removedIncidents, webhookReceipts } from './front-schema';

/** The newest report of each cluster. */
export const readiness = pgTable('readiness', {
  clusterId: text('cluster_id').$type<ClusterId>().primaryKey(),
  at: instant('at').notNull(),
  body: document('body').$type<ReadinessReport>().notNull(),
});
export { armSwitches, fleetOwner } from './supervision-schema';
