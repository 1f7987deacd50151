/** The shapes of what the API takes and gives. Each named one becomes a component of the OpenAPI description. */
import { z } from 'zod';
import { roles } from '../../domain/access';
import { idRule, isId } from '../../domain/ids';
import type {
  AlertRecord,
  HostRecord,
  IncidentRecord,
  TimelineEntry,
  Trigger,
  VmRecord,
} from '../../domain/records';
import { problemSchema } from './problems';

export const components = z.registry<{ id: string }>();

export function named<T extends z.ZodType>(id: string, schema: T): T {
  components.add(schema, { id });
  return schema;
}

export const problem = named('Problem', problemSchema);

/** Names from outside end up in logs, SQL and terminals: no control characters. */
const plainText = (max: number) =>
  z
    .string()
    .min(1, { error: 'must not be empty' })
    .max(max, { error: `is longer than ${max} characters` })
    .regex(/^[\u0020-\u007e\u0080-\uffff]+$/, { error: 'holds control characters' });

export const nameText = plainText(255);
export const idField = z
  .string()
  .refine(isId, { error: idRule })
  .meta({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' });
const reason = plainText(1_000)
  .refine((text) => text.trim() !== '', { error: 'must say something' })
  .meta({ description: 'Becomes part of the incident report.', example: 'rack 4 has no power' });
const onBehalfOf = plainText(120).optional().meta({ description: 'The person that a bot speaks for.' });

export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

export const pageQuery = {
  limit: z
    .string()
    .regex(/^[1-9]\d{0,2}$/, { error: 'is a whole number from 1 to 500' })
    .refine((text) => Number(text) <= 500, { error: 'is at most 500' })
    .transform(Number)
    .optional()
    .meta({ description: '1 to 500; 100 when left out.' }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,512}$/, { error: 'is no cursor of a page before' })
    .optional()
    .meta({ description: '`next` of the page before.' }),
};

export const startBody = named(
  'Start',
  z.strictObject({
    reason,
    onBehalfOf,
    rehearse: z.boolean().optional().meta({
      description: 'Every check for real, every act replaced by the sentence that says what it would do.',
    }),
  }),
);
export const restartBody = named(
  'StartVm',
  z.strictObject({
    ...startBody.shape,
    target: idField.optional().meta({ description: 'Only on this host.' }),
  }),
);
export const moveBody = named(
  'MoveVolume',
  z.strictObject({
    ...startBody.shape,
    disk: z.union([nameText, z.array(nameText).min(1).max(64)]).meta({
      description: 'Which disk, or which disks: device names or UUIDs, as the VM shows them.',
      example: 'vda',
    }),
    to: idField.meta({ description: 'The pool of the config that it goes to.' }),
  }),
);
export const moveFileBody = named(
  'MoveFile',
  z.strictObject({
    ...startBody.shape,
    disk: z.string().min(1).max(4096).meta({
      description: 'The whole path of a file or logical volume in a declared pool.',
      example: '/srv/pool/old.qcow2',
    }),
    to: idField.meta({ description: 'The pool of the config that it goes to.' }),
    host: idField.optional().meta({ description: 'Through this host; else one that both pools are on.' }),
  }),
);
export const saidBody = named('Said', z.strictObject({ reason, onBehalfOf }));
export const acknowledgeBody = named(
  'Acknowledgement',
  z.strictObject({
    ...saidBody.shape,
    key: nameText.meta({ description: 'As GET /v1/alerts and each message tell it.', example: 'blind:lab' }),
  }),
);
export const resolveBody = named(
  'Resolution',
  z.strictObject({
    reason,
    onBehalfOf,
    resolution: z.enum(['retry', 'give-up']),
    vm: nameText.optional().meta({ description: 'Which VM, by name or UUID, when several are stuck.' }),
  }),
);

const at = z.iso.datetime();
const target = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('host'), hostId: z.string() }),
  z.object({ kind: z.literal('vm'), vmId: z.string() }),
  z.object({ kind: z.literal('disk'), diskId: z.string() }),
]);

export const trigger = named(
  'Trigger',
  z.object({
    source: z.enum(['operator', 'api', 'webhook', 'watch']),
    by: z.string(),
    reason: z.string(),
    at,
  }) satisfies z.ZodType<Trigger>,
);

export const host = named(
  'Host',
  z.object({
    hostId: z.string(),
    clusterId: z.string(),
    standing: z.enum(['in-service', 'excluded', 'fenced', 'quarantined', 'maintenance', 'not-seen-yet']),
    bootId: z.string().optional(),
    lastSeenAt: at.optional(),
    capacity: z.object({ memoryMiB: z.int(), vcpus: z.int() }),
    fenceLevels: z.array(z.string()),
    vmsRunning: z.int(),
    incidentId: z.string().optional().meta({ description: 'The open incident of this host.' }),
  }),
);

export const vm = named(
  'Vm',
  z.object({
    vmId: z.string(),
    name: z.string(),
    clusterId: z.string(),
    hostId: z.string().meta({ description: 'Where the record says that it runs, or ran last.' }),
    desired: z.enum(['running', 'stopped']),
    observed: z.object({ state: z.string(), reason: z.string(), at }),
    protected: z.boolean(),
    persistent: z.boolean(),
    priority: z.int(),
    memoryMiB: z.int(),
    vcpus: z.int(),
    disks: z.array(
      z.object({ device: z.string(), path: z.string(), format: z.string(), poolId: z.string().optional() }),
    ),
  }),
);

export const incident = named(
  'Incident',
  z.object({
    incidentId: z.string(),
    target,
    clusterId: z.string(),
    epoch: z.int(),
    phase: z.string(),
    summary: z.string(),
    nextCommand: z
      .string()
      .optional()
      .meta({ description: 'What is asked of a person; absent when nothing is.' }),
    outcome: z.string().optional(),
    openedAt: at,
    closedAt: at.optional(),
    triggers: z.array(trigger),
    workflowId: z.string(),
  }),
);

export const timelineEntry = named(
  'TimelineEntry',
  z.object({
    incidentId: z.string(),
    seq: z.int(),
    at,
    kind: z.string(),
    sentence: z.string(),
    facts: z.record(z.string(), z.unknown()),
    previousHash: z.string(),
    hash: z.string(),
  }),
);

export const alert = named(
  'Alert',
  z.object({
    key: z.string(),
    severity: z.enum(['info', 'warning', 'critical']),
    sentence: z.string(),
    nextCommand: z.string().optional(),
    incidentId: z.string().optional(),
    raisedAt: at,
    clearedAt: at.optional(),
    acknowledgedAt: at.optional(),
    acknowledgedBy: z.string().optional(),
  }),
);

export const audit = named(
  'AuditEntry',
  z.object({
    id: z.int(),
    at,
    who: z.string(),
    via: z.enum(['api', 'webhook', 'command-line']),
    origin: z.string(),
    action: z.string(),
    target: z.string(),
    reason: z.string(),
    answer: z.string(),
    requestId: z.string().optional(),
  }),
);

export const trouble = named(
  'Trouble',
  z.object({ what: z.string(), since: at.optional(), next: z.string() }),
);

const finding = named(
  'Finding',
  z.object({
    check: z.string(),
    severity: z.enum(['blocks', 'risks']),
    sentence: z.string(),
    next: z.string(),
  }),
);
export const readiness = named(
  'ReadinessReport',
  z.object({
    clusterId: z.string(),
    at,
    vms: z.array(
      z.object({
        vmId: z.string(),
        name: z.string(),
        hostId: z.string(),
        verdict: z.string(),
        target: z.string().optional(),
        because: z.array(finding),
        risks: z.array(finding),
      }),
    ),
    findings: z.array(finding),
  }),
);

export const started = named(
  'Started',
  z.object({
    answer: z.enum(['started', 'same']),
    incidentId: z.string(),
    workflowId: z.string(),
    runId: z.string().optional(),
    type: z.string(),
    rehearsal: z.boolean().optional(),
    open: z.boolean().optional(),
    sentence: z.string(),
  }),
);

export const locksReleased = named(
  'LocksReleased',
  z.object({
    answer: z.enum(['incident-resumed', 'released', 'rehearsed', 'blocked', 'under-way']),
    incidentId: z.string(),
    workflowId: z.string().optional(),
    sentences: z.array(z.string()),
    next: z.array(z.string()).optional().meta({ description: 'What moves each of them on, when blocked.' }),
  }),
);

export const stopping = named('Stopping', z.object({ workflowId: z.string(), runId: z.string() }));

export const acknowledged = named('Acknowledged', z.object({ key: z.string(), acknowledged: z.int() }));

export const ordered = named('Ordered', z.object({ incidentId: z.string(), answer: z.string() }));

export const page = <T extends z.ZodType>(name: string, item: T) =>
  named(
    `${name}Page`,
    z.object({
      items: z.array(item),
      next: z.string().optional().meta({ description: 'The cursor of the next page; absent on the last.' }),
    }),
  );

export const role = z.enum(roles);

/** Records as the API gives them: what is internal (versions, console paths) stays out. */
export const incidentView = ({ version: _, ...record }: IncidentRecord) => record;

export const vmView = (record: VmRecord) => ({
  vmId: record.vmId,
  name: record.name,
  clusterId: record.clusterId,
  hostId: record.hostId,
  desired: record.desired,
  observed: record.observed,
  protected: record.protected,
  persistent: record.persistent,
  priority: record.priority,
  memoryMiB: record.shape.memoryMiB,
  vcpus: record.shape.vcpus,
  disks: record.shape.disks.map(({ device, path, format, poolId }) => ({ device, path, format, poolId })),
});

export type { AlertRecord, HostRecord, TimelineEntry };
