/** A whole recovery on real hosts: a lab, VMedic's own processes on it, and the front door; one for all tests of a file. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import type { Ending, StartAnswer } from '../../client/answers';
import { follow } from '../../client/follow';
import { giveOrder, type Order } from '../../client/orders';
import { RecoveryClient } from '../../client/recovery-client';
import { ensureWatches } from '../../client/watches';
import type { ClusterMode, Fleet } from '../../domain/fleet';
import { fenceDeviceId, hostId, type IncidentId, vmId, workflowIds } from '../../domain/ids';
import type { IncidentRecord, TimelineEntry } from '../../domain/records';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import { labConfig } from '../../lab/config';
import { createLab, type Lab, type LabOptions } from '../../lab/lab';
import { removeLab } from '../../lab/remove';
import { runOrThrow } from '../../lab/run';
import { waitFor } from '../../lab/wait-for';
import { ConfigRefused, fleetOf, loadConfig } from '../../workers/config';
import type { PoolConfig, VmConfig } from '../../workers/config/types';
import { newLabFolder } from '../lab/real-lab';
import { type OwnSystem, startOwnSystem } from './own-system';
import { resetInventory, resetLab } from './real-reset';
import { brokenPromises, type Expectation, readWorld } from './real-world';
import { type WrittenDown, writtenDown } from './written-down';

export interface RealRecoveryOptions extends Pick<LabOptions, 'hosts' | 'vms' | 'transient'> {
  readonly vmConfig?: Record<string, VmConfig>;
  /** The host whose own small store is a pool as well. */
  readonly smallStoreOf?: string;
  /** Made beside the numbered ones, on hv-a. */
  readonly rawVms?: readonly string[];
  /** `observe` by default: a test that starts its recoveries itself must not find them over. */
  readonly mode?: ClusterMode;
}

/** Beats of a guest come four a second: often enough to see a second writer, seldom enough that a ring lasts for the whole file. */
const ticks = 4;
/** What takes people minutes takes seconds here; a deadline's reason is in `domain/limits.ts`. */
const policy = {
  confirmEvery: '200ms',
  fenceRetry: { first: '500ms', max: '2s' },
  readBackDeadline: '40s',
} as const;
/** How long an agent waits for its device to do as told, in seconds: 20 by default. */
const agentWaits = { power_timeout: 3 } as const;
const settlesMs = 120_000;

export class RealRecovery {
  private home: Readonly<Record<string, string>> = {};
  private bootsBefore: Readonly<Record<string, number>> = {};
  private known: ReadonlySet<string> = new Set();

  private constructor(
    readonly lab: Lab,
    readonly system: OwnSystem,
    readonly fleet: Fleet,
    readonly client: Client,
    readonly inventory: OpenInventory,
    readonly recoveries: RecoveryClient,
  ) {}

  static async open(options: RealRecoveryOptions = {}): Promise<RealRecovery> {
    const lab = await createLab({ folder: newLabFolder(), ticks, vms: 6, ...options });
    try {
      for (const name of options.rawVms ?? []) await lab.addVm({ name, format: 'raw', ticks });
      await lab.up();
      return await RealRecovery.on(lab, options);
    } catch (cause) {
      await removeLab(lab.folder);
      throw cause;
    }
  }

  private static async on(lab: Lab, options: RealRecoveryOptions): Promise<RealRecovery> {
    const fleet = await writeConfig(lab, options);
    const system = await startOwnSystem(lab.configFile, join(lab.folder, 'own'));
    const { address } = system;
    const client = new Client({ connection: await Connection.connect({ address }) });
    const inventory = openInventory({ url: system.inventoryUrl });
    const recoveries = new RecoveryClient({ client, inventory, fleet, address });
    const opened = new RealRecovery(lab, system, fleet, client, inventory, recoveries);
    await ensureWatches(client, fleet);
    await opened.discovered();
    return opened;
  }

  async close(): Promise<void> {
    await this.client.connection.close();
    await this.inventory.close();
    await this.system.stop();
    rmSync(join(this.lab.folder, 'own'), { recursive: true, force: true });
    await this.lab.down();
  }

  /** What its own processes, histories and inventory hold by now. */
  writtenDown(): Promise<WrittenDown> {
    const folder = join(this.lab.folder, 'own');
    return writtenDown({ folder, client: this.client, inventoryUrl: this.system.inventoryUrl });
  }

  /** Every host has power, every VM runs at home, every BMC is whole, and the record says so. */
  async reset(): Promise<void> {
    // What is destroyed and powered on meanwhile is nobody's failure.
    await this.arm(false);
    await this.endOpenWork();
    await resetLab(this.lab);
    await resetInventory(this.inventory, this.lab);
    await this.discovered();
    this.home = Object.fromEntries(this.lab.vms.map((vm) => [vm.name, vm.home.id]));
    const verdicts = await this.lab.judgeDisks();
    this.bootsBefore = Object.fromEntries(
      verdicts.map(({ name, verdict }) => [name, 'runs' in verdict ? verdict.runs.length : 0]),
    );
    this.known = new Set((await this.inventory.incidents()).map((i) => i.incidentId));
    await this.arm(true);
  }

  private async arm(armed: boolean): Promise<void> {
    const at = new Date().toISOString();
    await this.inventory.setSwitch({ scope: 'fleet', armed, by: 'tester', reason: 'reset', at });
  }

  /** The incident that the watch has opened by itself, once it is there. */
  async noticed(
    of: { readonly host: string } | { readonly vm: string } | { readonly uuid: string },
    timeoutMs = 60_000,
  ): Promise<Started> {
    const target =
      'host' in of
        ? { hostId: hostId(of.host) }
        : { vmId: vmId('uuid' in of ? of.uuid : this.lab.vm(of.vm).uuid) };
    const { incidentId, workflowId } = await waitFor('the watch to open an incident', timeoutMs, async () => {
      const found = await this.inventory.incidents({ ...target, limit: 5 });
      return found.find((i) => !this.known.has(i.incidentId) && i.triggers[0]?.source === 'watch');
    });
    const type = 'host' in of ? 'recoverHost' : 'restartVm';
    return { answer: 'same', open: true, incidentId, workflowId, runId: undefined, type, sentence: '' };
  }

  /** With ipmitool, as an operator would. */
  async cutPower(host: string): Promise<void> {
    const { address, port, username, passwordFile } = this.lab.bmc(host).ipmi;
    const login = ['-H', address, '-p', String(port), '-U', username, '-f', passwordFile];
    const command = ['-I', 'lanplus', '-C', '3', ...login, 'chassis', 'power', 'off'];
    await runOrThrow('ipmitool', command, { timeoutMs: 30_000 });
  }

  vmsOf(host: string): string[] {
    return this.lab.vms.filter((vm) => vm.home.id === host).map((vm) => vm.name);
  }

  async recover(host: string, reason = `${host} does not answer`): Promise<Started> {
    const answer = await this.recoveries.recoverHost(host, { source: 'operator', by: 'tester', reason });
    if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
    return answer;
  }

  async restart(vm: string): Promise<Started> {
    const request = { source: 'operator', by: 'tester', reason: `${vm} is gone` } as const;
    const answer = await this.recoveries.restartVm(vm, request);
    if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
    return answer;
  }

  /** Runs of this type that the server has ever had for the incident. */
  async runsOf(type: string, incident: IncidentId): Promise<number> {
    const query = `WorkflowType = "${type}" AND IncidentId = "${incident}"`;
    return (await this.client.workflow.count(query)).count;
  }

  /** To the run's own end, through outages and through waiting for people. */
  ending(run: Started): Promise<Ending> {
    const from = { client: this.client, inventory: this.inventory };
    const signal = AbortSignal.timeout(settlesMs);
    return follow(from, run, { throughWaiting: true, everyMs: 200, signal });
  }

  /** @throws with the whole timeline when the run ends otherwise. */
  async endsAs(run: Started, outcome: string, notUp: Readonly<Record<string, string>> = {}): Promise<void> {
    const ending = await this.ending(run);
    const result = ending.kind === 'finished' && 'outcome' in ending.result ? ending.result : undefined;
    const down = result?.vms.filter((vm) => vm.phase !== 'running').map((vm) => [vm.name, vm.phase]) ?? [];
    // VMs settle in any order.
    const inOrder = (all: readonly unknown[]): string =>
      JSON.stringify(all.map((v) => JSON.stringify(v)).sort());
    const asWanted = inOrder(down) === inOrder(Object.entries(notUp));
    if (result?.outcome === outcome && asWanted) return;
    const told = (await this.inventory.timeline(run.incidentId)).map(
      (e) => `${e.at} ${e.kind}: ${e.sentence}`,
    );
    throw new Error(`not ${outcome}, but ${JSON.stringify(ending)}\n${told.join('\n')}`);
  }

  incidentWhen(
    { incidentId }: Started,
    what: string,
    is: (incident: IncidentRecord) => boolean,
  ): Promise<IncidentRecord> {
    let last: IncidentRecord | undefined;
    return waitFor(
      `${incidentId} to be ${what}`,
      settlesMs,
      async () => {
        last = await this.inventory.incident(incidentId);
        return last !== undefined && is(last) && last;
      },
      () => `it is ${last?.phase ?? 'unknown'}: ${last?.summary ?? ''}`,
    );
  }

  untilPhase(run: Started, phase: string): Promise<IncidentRecord> {
    return this.incidentWhen(run, phase, (incident) => incident.phase === phase);
  }

  /** Until the timeline says so. */
  told(incidentId: IncidentId, what: RegExp, timeoutMs = settlesMs): Promise<TimelineEntry> {
    return waitFor(`${incidentId} to tell ${String(what)}`, timeoutMs, async () =>
      (await this.inventory.timeline(incidentId)).find((entry) => what.test(entry.sentence)),
    );
  }

  order({ incidentId }: Started, order: Order, reason = 'seen in the rack'): Promise<string> {
    const { client, inventory, system } = this;
    const by = 'tester';
    return giveOrder({ client, inventory, address: system.address }, incidentId, order, { by, reason });
  }

  /** Ends the wait of a stuck VM as a person does; done when its run is over. */
  async giveUp(run: Started, name: string): Promise<void> {
    const vm = vmId(this.lab.vm(name).uuid);
    await this.order(run, { update: 'resolveStuck', resolution: 'give-up', vm }, 'it runs where it was');
    const handle = this.client.workflow.getHandle(workflowIds.vm(vm));
    await expect(handle.result()).rejects.toThrow();
  }

  async loginRefusals(host: string): Promise<number[]> {
    const devices = [`${host}-ipmi`, `${host}-redfish`].map(fenceDeviceId);
    const health = await Promise.all(devices.map((device) => this.inventory.deviceHealth(device)));
    return health.map((h) => h.loginRefusals);
  }

  /** Until all levels of the fence were tried so many times more. */
  async retries({ workflowId }: Started, count: number): Promise<void> {
    const tries = async (): Promise<number> => {
      const { events } = await this.client.workflow.getHandle(`${workflowId}:fence`).fetchHistory();
      const scheduled = events?.map((e) => e.activityTaskScheduledEventAttributes?.activityType?.name) ?? [];
      return scheduled.filter((name) => name === 'fenceLevel').length;
    };
    const now = await tries();
    await waitFor('further attempts to fence', settlesMs, async () => (await tries()) >= now + count);
  }

  /** When the guest of each VM was first seen to beat under another boot than now. Ask for `seen` at the end. */
  watchBoots(names: readonly string[]): { readonly seen: () => ReadonlyMap<string, number> } {
    const bootNow = new Map(names.map((name) => [name, this.lab.vm(name).printed().at(-1)?.boot]));
    const seen = new Map<string, number>();
    const timer = setInterval(() => {
      for (const [name, boot] of bootNow) {
        const last = this.lab.vm(name).printed().at(-1);
        if (!seen.has(name) && last !== undefined && last.boot !== boot) seen.set(name, Date.now());
      }
    }, 30);
    return {
      seen: () => {
        clearInterval(timer);
        return seen;
      },
    };
  }

  /** The end of every test: one line per promise not kept. */
  async brokenPromises(
    expected: Pick<Expectation, 'restarted' | 'returned' | 'onItself'>,
  ): Promise<string[]> {
    const facts = await readWorld(this.lab, this.inventory, this.known);
    return brokenPromises(facts, { ...expected, home: this.home, bootsBefore: this.bootsBefore });
  }

  /** Until every VM and its definition, and every host's boot, are known. */
  private async discovered(): Promise<void> {
    const names = this.lab.vms.map((vm) => vm.name);
    await waitFor('every VM to be known', 60_000, async () => {
      const [hosts, vms] = await Promise.all([this.inventory.hosts(), this.inventory.vms()]);
      if (hosts.length < this.lab.hosts.length || hosts.some((h) => h.bootId === undefined)) return false;
      return names.every((name) => vms.some((v) => v.name === name && v.observed.state === 'running'));
    });
  }

  /** A test that failed leaves its runs behind. */
  private async endOpenWork(): Promise<void> {
    const open = await this.inventory.incidents({ open: true });
    const running = this.client.workflow.list({ query: 'ExecutionStatus = "Running"' });
    for await (const { workflowId } of running)
      if (!workflowId.startsWith('watch:')) await this.client.workflow.getHandle(workflowId).terminate();
    const closed = { phase: 'aborted', outcome: 'aborted', closedAt: new Date().toISOString() } as const;
    for (const { incidentId } of open) await this.inventory.updateIncident(incidentId, closed);
  }
}

export type Started = Exclude<StartAnswer, { answer: 'busy' }>;

async function writeConfig(
  lab: Lab,
  { vmConfig = {}, mode = 'observe', smallStoreOf }: RealRecoveryOptions,
): Promise<Fleet> {
  const written = labConfig(lab);
  const clusters = written.clusters.map((cluster) => ({
    ...{ ...cluster, mode, policy, vms: vmConfig },
    hosts: cluster.hosts.map((host) => ({
      ...host,
      pools: [...host.pools, ...(host.id === smallStoreOf ? ['small'] : [])],
      fencing: host.fencing.map((level) => ({
        ...level,
        devices: level.devices.map((d) => ({ ...d, options: { ...d.options, ...agentWaits } })),
      })),
    })),
  }));
  const pools = [...written.pools, ...(smallStoreOf === undefined ? [] : [smallPool(lab, smallStoreOf)])];
  writeFileSync(lab.configFile, stringify({ ...written, clusters, pools }));
  const loaded = await loadConfig(lab.configFile, { env: process.env });
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  return fleetOf(loaded.config);
}

const smallPool = (lab: Lab, host: string): PoolConfig => ({
  ...{ id: 'small', type: 'dir', lockStrategy: 'none' },
  path: join(lab.host(host).folder, 'run/small'),
});
