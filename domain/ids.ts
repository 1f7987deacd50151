/** Identifiers, one brand per kind, so that a host can never stand where a VM is asked for. */

declare const kind: unique symbol;
type Id<Kind extends string> = string & { readonly [kind]: Kind };

export type ClusterId = Id<'Cluster'>;
export type HostId = Id<'Host'>;
/** The hypervisor's own UUID of the VM: names are reused, UUIDs are not. */
export type VmId = Id<'Vm'>;
export type PoolId = Id<'Pool'>;
/** Of a disk that belongs to no VM: a UUID made of the name of its pool and its place there. */
export type DiskId = Id<'Disk'>;
export type IncidentId = Id<'Incident'>;
export type EvidenceId = Id<'Evidence'>;
export type FenceDeviceId = Id<'FenceDevice'>;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** What an identifier may look like, as a sentence for error messages. */
export const idRule =
  'starts with a letter or digit; then letters, digits, dots, dashes, underscores; 63 at most';

export const isId = (text: string): boolean => idPattern.test(text);

function checked<Kind extends string>(what: Kind, text: string): Id<Kind> {
  if (!isId(text)) throw new RangeError(`"${text}" is no ${what} id: it ${idRule}`);
  return text as Id<Kind>;
}

export const clusterId = (text: string): ClusterId => checked('Cluster', text);
export const hostId = (text: string): HostId => checked('Host', text);
export const vmId = (text: string): VmId => checked('Vm', text);
export const poolId = (text: string): PoolId => checked('Pool', text);
export const diskId = (text: string): DiskId => checked('Disk', text);
export const fenceDeviceId = (text: string): FenceDeviceId => checked('FenceDevice', text);

/** What an incident is about: a host, a lone VM, or a disk that belongs to none. */
export type IncidentTarget =
  { kind: 'host'; hostId: HostId } | { kind: 'vm'; vmId: VmId } | { kind: 'disk'; diskId: DiskId };

export function targetId(target: IncidentTarget): HostId | VmId | DiskId {
  switch (target.kind) {
    case 'host':
      return target.hostId;
    case 'vm':
      return target.vmId;
    case 'disk':
      return target.diskId;
  }
}

/** The same as a filter of incidents and as labels know it. */
export const targetFilter = (
  target: IncidentTarget,
): { readonly hostId?: HostId; readonly vmId?: VmId; readonly diskId?: DiskId } => {
  const { kind: _, ...id } = target;
  return id;
};

/** `(target, epoch)` is an incident's identity: at most one is open per target, and a new failure is a new epoch. */
export function incidentId(target: IncidentTarget, epoch: number): IncidentId {
  if (!Number.isInteger(epoch) || epoch < 1) throw new RangeError(`an epoch counts from 1, not ${epoch}`);
  return `${target.kind}-${targetId(target)}-${epoch}` as IncidentId;
}

export const evidenceId = (incident: IncidentId, seq: number): EvidenceId =>
  `${incident}-ev${seq}` as EvidenceId;

/** The workflow IDs. The ID is the lock: Temporal refuses a second run of the same one. */
export const workflowIds = {
  host: (id: HostId): string => `host:${id}`,
  fence: (id: HostId): string => `host:${id}:fence`,
  locks: (id: HostId): string => `host:${id}:locks`,
  vm: (id: VmId): string => `vm:${id}`,
  disk: (id: DiskId): string => `disk:${id}`,
  readiness: (cluster: ClusterId): string => `readiness:${cluster}`,
  watch: (shard: string): string => `watch:${shard}`,
  rehearsal: (target: string, n: string): string => `rehearsal:${target}:${n}`,
} as const;
