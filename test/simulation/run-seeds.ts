/** Runs many seeds at once on the shipped workflows, and says for each which laws were broken. */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import type { Activities } from '../../activities';
import type { Ports } from '../../activities/ports';
import { DriverFault } from '../../domain/faults';
import { workflowIds } from '../../domain/ids';
import type { Fleet } from '../../domain/fleet';
import type { IncidentRecord } from '../../domain/records';
import type { RecoverHostResult } from '../../workflows/inputs';
import { recoveryStatusQuery, vmStatusQuery } from '../../workflows/messages';
import { fleetOf } from '../../drivers/simulated/sample-world';
import { type Excuse, type InventoryRows, readInventoryRows } from '../checkers/facts';
import { asText, judge } from '../checkers/judge';
import { freshInventory } from '../support/inventory';
import { discover, type Intercept, quietRuntime, workerSet } from '../support/recovery-system';
import { temporalAddress } from '../support/servers';
import { manyWorlds, type PlannedWorld, turn } from './many-worlds';
import { round } from './person';
import type { Plan } from './plan';

export interface SeedVerdict {
  readonly plan: Plan;
  readonly findings: readonly string[];
}

export interface Mutant {
  readonly ports?: (ports: Ports) => Ports;
  readonly intercept?: Intercept;
}

/** After this the world is healed and the person decides about whatever waits. */
const troubleMs = 3_000;
/** How often the person on call looks round. */
const roundEveryMs = 300;
/** A seed that is not at rest by then has lost its way: that is a finding. */
const patienceMs = 480_000;

/** `waitMs`: how long its seeds may take to come to rest; in mutated code some never do. */
export async function runSeeds(
  plans: readonly Plan[],
  mutant: Mutant = {},
  waitMs = patienceMs,
): Promise<SeedVerdict[]> {
  quietRuntime();
  const { ports: datacenters, worlds } = manyWorlds(plans);
  const fleets = plans.map((p) => fleetOf(p.spec));
  const fleet: Fleet = { clusters: fleets.flatMap((f) => f.clusters), pools: fleets.flatMap((f) => f.pools) };
  const { inventory, close } = await freshInventory();
  const honest: Ports = { ...datacenters, inventory };
  await discover(honest, fleet);
  const ports = mutant.ports?.(honest) ?? honest;
  const address = temporalAddress();
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const taskQueue = `sim-${randomUUID()}`;
  const workers = workerSet(
    address,
    taskQueue,
    ports,
    fleet,
    mutant.intercept === undefined ? {} : { intercept: mutant.intercept },
  );
  await workers.start();
  try {
    for (const world of worlds) {
      const { plan, controls } = world;
      world.begun = true;
      for (const { control, args } of plan.beginning) turn(controls, control, args);
      for (const rule of plan.rules) controls.addRule(rule);
    }
    const desk = { client, inventory, fleet, taskQueue };
    // In the middle of everything the workers go away and others come: nothing may notice but the clock.
    const renewed = new Promise((resolve) => setTimeout(resolve, troubleMs / 2)).then(async () => {
      await workers.stop();
      await workers.start();
    });
    const atRest = await Promise.all(worlds.map((w) => untilAtRest(desk, w, waitMs)));
    await renewed;
    const journals = worlds.flatMap((w) => w.controls.journal());
    const rows = await readInventoryRows(inventory, journals);
    return await Promise.all(worlds.map((w, i) => verdict(client, rows, w, atRest[i] === true)));
  } finally {
    await workers.stop();
    await connection.close();
    await close();
  }
}

async function untilAtRest(
  desk: Parameters<typeof round>[0],
  world: PlannedWorld,
  waitMs: number,
): Promise<boolean> {
  const begun = Date.now();
  let healed = false;
  for (;;) {
    const age = Date.now() - begun;
    if (!healed && age > troubleMs) {
      healed = true;
      heal(world);
    }
    const busy = await lookRound(desk, world, healed);
    if (!busy && (healed || age > 200)) return true;
    if (age > waitMs) return false;
    await new Promise((resolve) => setTimeout(resolve, roundEveryMs));
  }
}

/** Many worlds share one inventory: a look that it was too busy to answer is taken again. */
async function lookRound(...asked: Parameters<typeof round>): Promise<boolean> {
  try {
    return await round(...asked);
  } catch (error) {
    if (error instanceof DriverFault && error.fault.code === 'INVENTORY_UNREACHABLE') return true;
    throw error;
  }
}

/** What people in the data centre do in the end: nothing hangs, lies or is cut off any more. A host that is off stays off. */
function heal({ controls, events }: PlannedWorld): void {
  events.length = 0;
  controls.clearRules();
  for (const host of controls.snapshot().hosts) {
    controls.setNetwork(host.id, 'up');
    controls.setCommands(host.id, 'reachable');
    if (host.power === 'off') continue;
    if (host.frozen) controls.thaw(host.id);
    if (host.daemon === 'hung') controls.resumeDaemon(host.id);
    if (host.daemon === 'dead') controls.startDaemon(host.id);
  }
  for (const device of controls.spec().devices)
    controls.setDevice(device.id, { mode: 'works', passwordOk: true });
}

async function verdict(
  client: Client,
  all: InventoryRows,
  { plan, controls }: PlannedWorld,
  atRest: boolean,
): Promise<SeedVerdict> {
  const journal = controls.journal();
  const cluster = plan.spec.clusters[0]?.id;
  const vms = all.vms.filter((v) => v.clusterId === cluster);
  const ids = new Set<string>(vms.map((v) => v.vmId));
  const told = await toldWhyNot(client, plan);
  const findings = judge({
    world: controls.snapshot(),
    journal,
    excused: told,
    inventory: {
      vms,
      hosts: all.hosts.filter((h) => h.clusterId === cluster),
      reservations: all.reservations.filter((r) => ids.has(r.vmId)),
      incidents: all.incidents.filter((i) => i.clusterId === cluster),
      evidence: all.evidence.filter((e) => e.evidence.hostId.startsWith(plan.prefix)),
    },
  });
  return {
    plan,
    findings: [...(atRest ? [] : await restless(client, all.incidents, plan)), ...asText(findings)],
  };
}

/** What is still open, and what it says of itself. */
async function restless(client: Client, incidents: readonly IncidentRecord[], plan: Plan): Promise<string[]> {
  const open = incidents.filter((i) => i.closedAt === undefined && i.incidentId.includes(plan.prefix));
  const runs = [
    ...plan.spec.hosts.map((h) => workflowIds.host(h.id)),
    ...plan.spec.vms.map((v) => workflowIds.vm(v.id)),
  ];
  const said = await Promise.all(
    runs.map(async (id) => {
      const handle = client.workflow.getHandle(id);
      const run = await handle.describe().catch(() => undefined);
      if (run?.status.name !== 'RUNNING') return [];
      const answer = await (
        id.startsWith('vm:') ? handle.query(vmStatusQuery) : handle.query(recoveryStatusQuery)
      ).catch(String);
      const pending = run.raw.pendingActivities?.map(
        (a) => `${a.activityType?.name} ${a.lastFailure?.message ?? ''}`,
      );
      return [`open: ${id} ${JSON.stringify(answer)} ${JSON.stringify(pending)}`];
    }),
  );
  return [
    'it never came to rest',
    ...open.map(
      (i) => `open: ${i.incidentId} ${i.phase}: ${i.summary} (${i.nextCommand ?? 'nothing asked'})`,
    ),
    ...said.flat(),
  ];
}

/** VMs that some incident has named as not running, with its cause: a VM that is down and not among them was lost silently. */
async function toldWhyNot(client: Client, plan: Plan): Promise<Record<string, Excuse>> {
  const told: Record<string, Excuse> = {};
  for (const host of plan.spec.hosts) {
    const handle = client.workflow.getHandle(workflowIds.host(host.id));
    const run = await handle.describe().catch(() => undefined);
    if (run?.status.name !== 'COMPLETED') continue;
    const result: unknown = await handle.result();
    for (const vm of (result as RecoverHostResult | undefined)?.vms ?? [])
      if (vm.phase !== 'running') told[vm.vmId] = vm.phase === 'stuck' ? 'stuck' : 'compensated';
  }
  return told;
}

export type { Activities };
