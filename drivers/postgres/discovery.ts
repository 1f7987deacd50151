/**
 * Theory of operation. A host's complete list is compared with what is stored, first without any lock: a fleet at rest costs two reads and
 * writes nothing. Only a difference opens a transaction, which locks the host's row (lists of one host are stored one after another) and
 * the rows of its VMs, compares anew, and writes what differs in bulk.
 *
 * INVARIANTS:
 * - Only the list of the host that the record names (or adopts) changes a VM's record and definition: a stale definition on another
 *   host must never become the stored one.
 * - A VM that room is kept for on the host stays sighted there: its start may have been sent, and no list read before that is carried out
 *   shows a transient VM.
 * - A list read before something newer was stored takes nothing of that back: neither a sighting nor an observed state.
 */
import { createHash } from 'node:crypto';
import { and, asc, eq, inArray, lt, lte, or, type Param, type Placeholder, sql } from 'drizzle-orm';
import type { DiscoveredVm, InventoryPort } from '../../activities/ports';
import type { HostId, VmId } from '../../domain/ids';
import { millisOf, type Timestamp } from '../../domain/observations';
import { canonicalJson } from '../../domain/timeline';
import { hasProcess } from '../../domain/watch-rules';
import type { Connections, Db } from './connection';
import { lockHost } from './host-rows';
import { prepared } from './prepared';
import { definitions, reservations, sightings, vms } from './schema';
import { storableText } from './storable';
import type { VmRow } from './vm-rows';

/** Older versions of a definition are of no use to a recovery; some are kept for people. */
const definitionVersionsKept = 20;

/** Rows per statement: 24 parameters each, and PostgreSQL takes 65,535 in one statement. */
const rowsPerStatement = 500;

interface Known {
  readonly row: VmRow;
  /** Of the current definition; null when none was ever read. */
  readonly digest: string | null;
}

interface Stored {
  readonly vms: ReadonlyMap<VmId, Known>;
  readonly sighted: readonly {
    readonly vmId: VmId;
    readonly seenAt: Timestamp;
    /** The VM that room is kept for here, if it is this one: a start of it may be on its way. */
    readonly keptFor: VmId | null;
  }[];
}

interface NewDefinition {
  readonly vmId: VmId;
  readonly version: number;
  readonly text: string;
  readonly digest: string;
}

export interface Difference {
  readonly added: readonly VmRow[];
  readonly changed: readonly VmRow[];
  readonly definitions: readonly NewDefinition[];
  readonly sighted: readonly VmId[];
  readonly gone: readonly VmId[];
}

interface Seen {
  readonly hostId: HostId;
  readonly at: Timestamp;
  readonly vms: ReadonlyMap<VmId, DiscoveredVm>;
  readonly adopt: ReadonlySet<VmId>;
}

export const discovery = (connections: Connections): Pick<InventoryPort, 'recordDiscovery'> => ({
  async recordDiscovery(hostId, at, discovered, adopt = []) {
    const seen: Seen = {
      hostId,
      at,
      vms: new Map(discovered.map((d) => [d.vm.vmId, d])),
      adopt: new Set(adopt),
    };
    const found = await connections.run(async (db) => difference(seen, await read(db, seen, false)));
    if (isEmpty(found)) return { added: [], redefined: [] };
    return connections.transact((db) => store(db, seen), { host: hostId });
  },
});

const isEmpty = (d: Difference): boolean =>
  d.added.length + d.changed.length + d.sighted.length + d.gone.length === 0;

async function store(db: Db, seen: Seen): Promise<{ added: VmId[]; redefined: VmId[] }> {
  await lockHost(db, seen.hostId);
  const found = difference(seen, await read(db, seen, true));
  const added = new Set<VmId>();
  for (const rows of batches(found.added))
    // Another host may have listed the same new VM a moment ago: the first one's record stands.
    for (const { vmId } of await db
      .insert(vms)
      .values(rows)
      .onConflictDoNothing()
      .returning({ vmId: vms.vmId }))
      added.add(vmId);
  for (const rows of batches(found.changed))
    await db.insert(vms).values(rows).onConflictDoUpdate({ target: vms.vmId, set: changedColumns });
  const changed = new Set(found.changed.map((r) => r.vmId));
  const redefined = found.definitions.filter((d) => changed.has(d.vmId)).map((d) => d.vmId);
  await storeDefinitions(
    db,
    seen,
    found.definitions.filter((d) => added.has(d.vmId) || changed.has(d.vmId)),
  );
  await storeSightings(db, seen, found);
  return { added: [...added], redefined };
}

const changedColumns = {
  name: sql`excluded.name`,
  clusterId: sql`excluded.cluster_id`,
  hostId: sql`excluded.host_id`,
  desired: sql`excluded.desired`,
  observedState: sql`excluded.observed_state`,
  observedReason: sql`excluded.observed_reason`,
  observedAt: sql`excluded.observed_at`,
  protected: sql`excluded.protected`,
  declaredProtected: sql`excluded.declared_protected`,
  persistent: sql`excluded.persistent`,
  priority: sql`excluded.priority`,
  antiAffinity: sql`excluded.anti_affinity`,
  memoryMiB: sql`excluded.memory_mib`,
  vcpus: sql`excluded.vcpus`,
  disks: sql`excluded.disks`,
  networks: sql`excluded.networks`,
  consolePath: sql`excluded.console_path`,
  definitionVersion: sql`excluded.definition_version`,
  version: sql`${vms.version} + 1`,
};

async function storeDefinitions(db: Db, seen: Seen, made: readonly NewDefinition[]): Promise<void> {
  for (const some of batches(made)) {
    await db
      .insert(definitions)
      .values(some.map((d) => ({ ...d, readFrom: seen.hostId, readAt: seen.at })))
      .onConflictDoNothing();
    const outlived = some
      .filter((d) => d.version > definitionVersionsKept)
      .map((d) =>
        and(eq(definitions.vmId, d.vmId), lte(definitions.version, d.version - definitionVersionsKept)),
      );
    if (outlived.length > 0) await db.delete(definitions).where(or(...outlived));
  }
}

async function storeSightings(db: Db, seen: Seen, found: Difference): Promise<void> {
  for (const ids of batches(found.sighted))
    await db
      .insert(sightings)
      .values(ids.map((vmId) => ({ vmId, hostId: seen.hostId, seenAt: seen.at })))
      .onConflictDoNothing();
  for (const ids of batches(found.gone))
    await db
      .delete(sightings)
      .where(
        and(eq(sightings.hostId, seen.hostId), inArray(sightings.vmId, ids), lt(sightings.seenAt, seen.at)),
      );
}

const knownVms = (db: Db, ids: Param | Placeholder) =>
  db
    .select({ row: vms, digest: definitions.digest })
    .from(vms)
    .leftJoin(
      definitions,
      and(eq(definitions.vmId, vms.vmId), eq(definitions.version, vms.definitionVersion)),
    )
    .where(sql`${vms.vmId} = any(${ids})`)
    // One order for everybody who locks several: no deadlock.
    .orderBy(asc(vms.vmId));

const knownNow = prepared((db) => knownVms(db, sql.placeholder('ids')).prepare('known_vms'));

const sightedOn = prepared((db) =>
  db
    .select({ vmId: sightings.vmId, seenAt: sightings.seenAt, keptFor: reservations.vmId })
    .from(sightings)
    .leftJoin(
      reservations,
      and(eq(reservations.vmId, sightings.vmId), eq(reservations.hostId, sightings.hostId)),
    )
    .where(eq(sightings.hostId, sql.placeholder('hostId')))
    .prepare('sighted_on'),
);

async function read(db: Db, seen: Seen, lock: boolean): Promise<Stored> {
  const ids = [...seen.vms.keys()];
  const known = new Map<VmId, Known>();
  for (const some of batches(ids)) {
    const rows = lock
      ? await knownVms(db, sql.param(some)).for('no key update', { of: vms })
      : await knownNow(db).execute({ ids: some });
    for (const { row, digest } of rows) known.set(row.vmId, { row, digest });
  }
  const sighted = await sightedOn(db).execute({ hostId: seen.hostId });
  return { vms: known, sighted };
}

/** What a list changes in what is stored. Pure. */
function difference(seen: Seen, stored: Stored): Difference {
  const added: VmRow[] = [];
  const changed: VmRow[] = [];
  const made: NewDefinition[] = [];
  for (const id of [...seen.vms.keys()].sort()) {
    const found = seen.vms.get(id) as DiscoveredVm;
    const known = stored.vms.get(id);
    const mayTell = known === undefined || known.row.hostId === seen.hostId || adopts(seen, id, known.row);
    if (!mayTell) continue;
    const definition = newDefinition(found, known);
    if (definition !== undefined) made.push(definition);
    const next = nextRow(seen, found, known?.row, definition?.version);
    if (known === undefined) added.push(next);
    else if (!sameRow(known.row, next)) changed.push(next);
  }
  const sightedNow = new Set(stored.sighted.map((s) => s.vmId));
  return {
    added,
    changed,
    definitions: made,
    sighted: [...seen.vms.keys()].filter((id) => !sightedNow.has(id)),
    gone: stored.sighted
      .filter((s) => !seen.vms.has(s.vmId) && s.keptFor === null && millisOf(s.seenAt) < millisOf(seen.at))
      .map((s) => s.vmId),
  };
}

/** A record that was written since the list was read knows better: its VM may have been started elsewhere meanwhile. */
const adopts = (seen: Seen, id: VmId, known: VmRow): boolean =>
  seen.adopt.has(id) && millisOf(seen.at) > millisOf(known.observedAt);

function newDefinition(found: DiscoveredVm, known: Known | undefined): NewDefinition | undefined {
  if (found.definitionText === undefined) return undefined;
  const text = storableText(found.definitionText);
  const digest = createHash('sha256').update(text).digest('hex');
  if (known?.digest === digest) return undefined;
  return { vmId: found.vm.vmId, version: (known?.row.definitionVersion ?? 0) + 1, text, digest };
}

function nextRow(
  seen: Seen,
  found: DiscoveredVm,
  known: VmRow | undefined,
  definitionVersion: number | undefined,
): VmRow {
  const { vm } = found;
  const takesOver = known === undefined || adopts(seen, vm.vmId, known);
  // Where trouble has stopped it, it was running: it is wanted as much as it was.
  const wanted = takesOver && hasProcess(vm.observed) ? 'running' : known?.desired;
  return {
    vmId: vm.vmId,
    name: vm.name,
    clusterId: vm.clusterId,
    hostId: takesOver ? seen.hostId : known.hostId,
    desired: wanted ?? 'stopped',
    ...observedColumns(vm.observed, known),
    protected: known?.declaredProtected === vm.protected ? known.protected : vm.protected,
    declaredProtected: vm.protected,
    persistent: vm.persistent,
    priority: vm.priority,
    antiAffinity: vm.antiAffinity ?? null,
    memoryMiB: vm.shape.memoryMiB,
    vcpus: vm.shape.vcpus,
    disks: vm.shape.disks,
    networks: vm.shape.networks,
    consolePath: vm.shape.consolePath ?? null,
    definitionVersion: definitionVersion ?? known?.definitionVersion ?? 0,
    epoch: known?.epoch ?? 0,
    version: known?.version ?? 1,
  };
}

/** A state keeps the time when it was first seen: seen again it is no news, and an older list's is none either. */
function observedColumns(
  now: DiscoveredVm['vm']['observed'],
  known: VmRow | undefined,
): Pick<VmRow, 'observedState' | 'observedReason' | 'observedAt'> {
  const same = known?.observedState === now.state && known.observedReason === storableText(now.reason);
  if (known !== undefined && (same || millisOf(now.at) <= millisOf(known.observedAt)))
    return {
      observedState: known.observedState,
      observedReason: known.observedReason,
      observedAt: known.observedAt,
    };
  return { observedState: now.state, observedReason: now.reason, observedAt: now.at };
}

const sameRow = (a: VmRow, b: VmRow): boolean => canonicalJson(a) === canonicalJson(b);

function* batches<T>(all: readonly T[]): Generator<T[]> {
  for (let from = 0; from < all.length; from += rowsPerStatement)
    yield all.slice(from, from + rowsPerStatement);
}
