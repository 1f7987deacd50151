/** What every activity works with, and the small questions they share. */
import { Context } from '@temporalio/activity';
import { type Cluster, clusterOf, findHost, type Fleet, type Host } from '../domain/fleet';
import { DriverFault } from '../domain/faults';
import type { ClusterId, HostId, IncidentId, VmId } from '../domain/ids';
import type { Timestamp } from '../domain/observations';
import type { TimelineEntry, VmRecord } from '../domain/records';
import { HostLists } from './host-lists';
import type { Ports } from './ports';
import type { OrdersUnderWay } from './start-order';

export interface Environment extends Ports {
  readonly fleet: Fleet;
  readonly lists: HostLists;
  /** Starts that were ordered and are not answered yet. */
  readonly orders: OrdersUnderWay;
}

export function environment(ports: Ports, fleet: Fleet): Environment {
  return { ...ports, fleet, lists: new HostLists(ports.hypervisor), orders: new Map() };
}

/** Between two looks at something that is waited for. */
export const lookEveryMs = 250;

export const nowIso = (): Timestamp => new Date().toISOString();

/** Aborted when the activity is cancelled or its worker shuts down: drivers end what they started. */
export const signal = (): AbortSignal => Context.current().cancellationSignal;

/**
 * Waits, or throws at once when the activity is cancelled. The SDK's own `sleep` would leave something behind at the activity's cancellation
 * each time, and a watch pauses some million times a day.
 *
 * @param unless End the wait early when one of them is aborted.
 */
export async function pause(ms: number, ...unless: readonly AbortSignal[]): Promise<void> {
  const { cancelled, cancellationSignal } = Context.current();
  const enders = [cancellationSignal, ...unless];
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      for (const ender of enders) ender.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const ender of enders) ender.addEventListener('abort', done, { once: true });
    if (enders.some((e) => e.aborted)) done();
  });
  if (cancellationSignal.aborted) await cancelled;
}

export function declaredHost(env: Environment, id: HostId): Host {
  const host = findHost(env.fleet, id);
  if (host !== undefined) return host;
  const known = env.fleet.clusters.flatMap((c) => c.hosts.map((h) => h.id)).join(', ');
  throw new DriverFault('UNKNOWN_HOST', { host: id, known });
}

export function declaredCluster(env: Environment, id: HostId): Cluster {
  declaredHost(env, id);
  return clusterOf(env.fleet, id) as Cluster;
}

export function clusterById(env: Environment, id: ClusterId): Cluster {
  const cluster = env.fleet.clusters.find((c) => c.id === id);
  if (cluster === undefined)
    throw new DriverFault('UNKNOWN_HOST', {
      host: `(cluster ${id})`,
      known: env.fleet.clusters.map((c) => c.id).join(', '),
    });
  return cluster;
}

export async function recordedVm(env: Environment, id: VmId): Promise<VmRecord> {
  const record = await env.inventory.vm(id);
  if (record === undefined) throw new DriverFault('UNKNOWN_VM', { vm: id });
  return record;
}

/** One line of the incident's timeline. `key` makes a repeat by a retried activity harmless, and `already` says that it was one. */
export async function tell(
  env: Environment,
  incident: IncidentId,
  key: string,
  kind: TimelineEntry['kind'],
  sentence: string,
  facts: Readonly<Record<string, unknown>> = {},
): Promise<'told' | 'already'> {
  const before = await env.inventory.appendTimeline(incident, [{ key, kind, sentence, facts, at: nowIso() }]);
  return before.length > 0 ? 'already' : 'told';
}
