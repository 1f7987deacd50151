/** The person on call of a simulated cluster: sees what waits, looks at the real world, and says only what is true. */
import type { Client } from '@temporalio/client';
import { RecoveryClient } from '../../client/recovery-client';
import { hostId, type HostId, workflowIds } from '../../domain/ids';
import type { Fleet } from '../../domain/fleet';
import type { OpenInventory } from '../../drivers/postgres';
import type { WorldSnapshot } from '../../drivers/simulated/world-state';
import {
  abortUpdate,
  approveFencingUpdate,
  attestFencedUpdate,
  resolveStuckUpdate,
  resumeUpdate,
} from '../../workflows/messages';
import type { PlannedWorld } from './many-worlds';

export interface Desk {
  readonly client: Client;
  readonly inventory: OpenInventory;
  readonly fleet: Fleet;
  readonly taskQueue: string;
}

type HostSnapshot = WorldSnapshot['hosts'][number];

const said = { by: 'person on call', reason: 'seen with own eyes' };

/** A host that should run and does not answer. The watch will see this by itself; here the person asks for its recovery. */
const isDown = (h: HostSnapshot): boolean =>
  h.power === 'off' || h.frozen || h.daemon !== 'alive' || h.network === 'cut';

/** One round on call. Returns whether anything is still open or waiting. */
export async function round(desk: Desk, { plan, controls }: PlannedWorld, healed: boolean): Promise<boolean> {
  const front = new RecoveryClient({ ...desk, address: 'the test server' });
  const cluster = plan.spec.clusters[0]?.id;
  const incidents = await desk.inventory.incidents({
    ...(cluster === undefined ? {} : { clusterId: cluster }),
  });
  const open = incidents.filter((i) => i.closedAt === undefined);
  const records = await desk.inventory.hosts(cluster === undefined ? {} : { clusterId: cluster });
  const standing = new Map(records.map((r) => [r.hostId, r.standing]));
  const bootIds = new Map(records.map((r) => [r.hostId, r.bootId]));
  let busy = open.length > 0;
  for (const host of controls.snapshot().hosts) {
    const known = open.some((i) => i.target.kind === 'host' && i.target.hostId === host.id);
    const rebooted = host.power === 'on' && host.bootId !== bootIds.get(host.id);
    if (known || !(isDown(host) || rebooted) || standing.get(host.id) !== 'in-service') continue;
    busy = true;
    await front
      .recoverHost(host.id, { by: said.by, reason: 'it is down', source: 'operator' })
      .catch(() => undefined);
  }
  for (const incident of open) {
    if (incident.target.kind !== 'host' || incident.nextCommand === undefined) continue;
    await answer(
      desk,
      controls.snapshot().hosts,
      incident.target.hostId,
      incident.nextCommand,
      incident.phase,
      healed,
    );
  }
  // Each look at a run costs the server as much as a step of it: VMs are looked at when they are what is left, or what waits for a person.
  if (busy && !healed) return true;
  for (const vm of plan.spec.vms) {
    const handle = desk.client.workflow.getHandle(workflowIds.vm(vm.id));
    const status = await handle.describe().catch(() => undefined);
    if (status?.status.name !== 'RUNNING') continue;
    busy = true;
    if (!healed) continue;
    const args = [{ ...said, resolution: 'retry' }] as const;
    await handle.executeUpdate(resolveStuckUpdate, { args: [...args] }).catch(() => undefined);
  }
  return busy;
}

export async function answer(
  desk: Desk,
  hosts: readonly HostSnapshot[],
  id: HostId,
  nextCommand: string,
  phase: string,
  healed: boolean,
): Promise<void> {
  const host = hosts.find((h) => h.id === id);
  if (host === undefined) return;
  const incident = desk.client.workflow.getHandle(workflowIds.host(hostId(id)));
  const ask = (update: typeof resumeUpdate) =>
    incident.executeUpdate(update, { args: [said] }).catch(() => undefined);
  if (nextCommand.includes('attest-fenced') && host.power === 'off') await ask(attestFencedUpdate);
  else if (nextCommand.includes('approve') && (host.power === 'off' || host.frozen))
    await ask(approveFencingUpdate);
  else if (nextCommand.includes('resume')) await ask(resumeUpdate);
  else if (healed && phase === 'blocked-unfenced') await ask(resumeUpdate);
  else if (healed && phase === 'held') await ask(abortUpdate);
}
