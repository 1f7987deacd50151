/**
 * The shipped workflows on the run's Temporal server, the shipped activities on a simulated datacenter, the inventory in a database of its
 * own: everything a recovery is made of, but the hypervisors.
 */
import { randomUUID } from 'node:crypto';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { Context } from '@temporalio/activity';
import { type Activities, createActivities, type Supervision } from '../../activities';
import type { Ports } from '../../activities/ports';
import { clusterId, diskId, hostId, type HostId, incidentId, type VmId, workflowIds } from '../../domain/ids';
import { looseKey, looseName } from '../../domain/volume-move';
import type { Fleet } from '../../domain/fleet';
import type { FleetOwner, Trigger } from '../../domain/records';
import type { WorkerVersion } from '../../client/deployments';
import { watchDoor } from '../../client/watch-door';
import type { OpenInventory } from '../../drivers/postgres';
import type { CallHooks } from '../../drivers/simulated/call-desk';
import { controlsOf, type WorldControls } from '../../drivers/simulated/controls';
import { fleetOf, sampleWorld, type SampleOptions } from '../../drivers/simulated/sample-world';
import { simulatedPorts } from '../../drivers/simulated/simulated-ports';
import { World } from '../../drivers/simulated/world';
import type { WorldSpec } from '../../drivers/simulated/world-spec';
import {
  type MigrateVolumeInput,
  powerQueue,
  type FenceHostInput,
  type RecoverHostInput,
  type RecoverHostResult,
  type RestartVmInput,
  type RestartVmResult,
} from '../../workflows/inputs';
import type { fenceHost, migrateVolume, recoverHost, restartVm } from '../../workflows';
import { versionOptions } from '../../workers/worker';
import { freshInventory } from './inventory';
import { temporalAddress, workflowBundlePath } from './servers';

/** Policies in milliseconds: what takes a minute at a user's takes a moment here. */
export const quickPolicy = {
  confirmEveryMs: 20,
  fenceRetryMs: { first: 40, max: 200 },
  storageDeadlineMs: 300,
  readBackDeadlineMs: 400,
  watch: {
    suspectAfterMs: 400,
    vmGraceMs: 150,
    guestShutdown: 'respect',
    onIoError: 'resume',
    missingVms: 'restart',
    readinessEveryMs: 3_600_000,
    restartBudget: { restarts: 3, perMs: 60_000 },
  },
} as const;

export const quickPace = {
  preflightMs: 300,
  roundMs: { first: 20, max: 100 },
  settleMs: 30,
  readBackMs: 400,
  standStillMs: 60_000,
} as const;

export interface RecoverySystem {
  readonly prefix: string;
  readonly spec: WorldSpec;
  readonly fleet: Fleet;
  readonly world: World;
  readonly controls: WorldControls;
  readonly inventory: OpenInventory;
  readonly ports: Ports;
  readonly client: Client;
  readonly taskQueue: string;
  host(letter: string): HostId;
  vm(name: string): VmId;
  vmsOf(letter: string): VmId[];
  recoverHost(
    letter: string,
    options?: Partial<RecoverHostInput>,
  ): Promise<WorkflowHandle<typeof recoverHost>>;
  fenceHost(
    letter: string,
    options?: Pick<FenceHostInput, 'evenIf'>,
  ): Promise<WorkflowHandle<typeof fenceHost>>;
  restartVm(name: string, options?: Partial<RestartVmInput>): Promise<WorkflowHandle<typeof restartVm>>;
  /** Begins the watch over the cluster, which acts by itself from then on. */
  watch(everyMs?: number): Promise<void>;
  /** Moves the VM's first disk, or the disks named, to the second pool of the world. */
  migrateVolume(
    name: string,
    options?: Partial<MigrateVolumeInput>,
  ): Promise<WorkflowHandle<typeof migrateVolume>>;
  /** Of a disk that belongs to no VM, to the second pool. */
  moveFile(path: string): Promise<WorkflowHandle<typeof migrateVolume>>;
  /** Ends the worker as a crash would (nothing is waited for), or starts a new one. */
  stopWorker(): Promise<void>;
  startWorker(): Promise<void>;
  close(): Promise<void>;
}

export interface SystemOptions extends Partial<SampleOptions> {
  readonly hooks?: CallHooks;
  readonly spec?: (prefix: string) => WorldSpec;
  /** `discoverCluster` is run once at the start unless this is false. */
  readonly discover?: boolean;
  readonly maxCachedWorkflows?: number;
  /** Of the fleet, as another installation would know it. */
  readonly owner?: FleetOwner;
  /** Of the workers; the test makes it current. */
  readonly version?: WorkerVersion;
  /** Stands between the server and every activity: calls `act` when, and as often as, it likes. */
  readonly intercept?: Intercept;
  /** Stands between the activities and the simulated datacenter. */
  readonly wrap?: (ports: Ports) => Ports;
}

export type Intercept = (called: {
  readonly name: keyof Activities;
  readonly workflowId: string;
  readonly input: unknown;
  readonly attempt: number;
  readonly act: () => Promise<unknown>;
}) => Promise<unknown>;

function intercepted(activities: Activities, intercept: Intercept | undefined): Activities {
  if (intercept === undefined) return activities;
  const wrap = ([name, act]: [string, unknown]) => [
    name,
    (input: unknown) =>
      intercept({
        ...{ name: name as keyof Activities, input, attempt: Context.current().info.attempt },
        workflowId: Context.current().info.workflowExecution?.workflowId ?? '',
        act: () => (act as (i: unknown) => Promise<unknown>)(input),
      }),
  ];
  return Object.fromEntries(
    Object.entries(activities).map((e) => wrap(e) as [string, unknown]),
  ) as Activities;
}

export const testTrigger = (reason = 'test'): Trigger => ({
  source: 'operator',
  by: 'tester',
  reason,
  at: new Date().toISOString(),
});

let runtimeInstalled = false;
/** Once per test file, before anything else of the SDK. */
export function quietRuntime(): void {
  if (runtimeInstalled) return;
  runtimeInstalled = true;
  const logger = new DefaultLogger('ERROR');
  Runtime.install({
    logger,
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } },
  });
}

export async function recoverySystem(options: SystemOptions = {}): Promise<RecoverySystem> {
  quietRuntime();
  // One Temporal server serves many test files, and a process several files one after another.
  const prefix = `t${randomUUID().slice(0, 8)}-`;
  const spec =
    options.spec?.(prefix) ??
    sampleWorld({
      hosts: 3,
      vmsPerHost: 2,
      ...options,
      prefix,
      seed: options.seed ?? Math.floor(Math.random() * 2 ** 31),
      policy: { ...quickPolicy, ...options.policy },
    });
  const fleet = fleetOf(spec);
  const world = new World(spec);
  const { inventory, close: closeInventory } = await freshInventory();
  const plain: Ports = { ...simulatedPorts(world, options.hooks ?? {}), inventory };
  const ports = options.wrap?.(plain) ?? plain;
  const taskQueue = `test-${randomUUID()}`;
  const address = temporalAddress();
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  const recoveries = watchDoor({ client, inventory, fleet, address, taskQueue });
  const workers = workerSet(address, taskQueue, ports, fleet, {
    ...options,
    supervision: { recoveries, owner: options.owner },
  });
  const watches: WorkflowHandle[] = [];
  await workers.start();
  if (options.discover !== false) await discover(ports, fleet);
  return {
    ...{ prefix, spec, fleet, world, controls: controlsOf(world), inventory, ports, client, taskQueue },
    ...asking(client, taskQueue, spec, prefix),
    stopWorker: workers.stop,
    startWorker: workers.start,
    async watch(everyMs = 40) {
      for (const { id } of fleet.clusters)
        watches.push(
          await client.workflow.start('watchFleet', {
            ...{ workflowId: workflowIds.watch(`${prefix}${id}`), taskQueue },
            args: [{ clusterId: id, everyMs }],
          }),
        );
    },
    async close() {
      for (const run of watches) await run.terminate('the test is over');
      await workers.stop();
      await closeInventory();
      await connection.close();
    },
  };
}

/** What the watch does, once, without a workflow: so that the world is known before anything fails. */
export async function discover(ports: Ports, fleet: Fleet): Promise<void> {
  const { MockActivityEnvironment } = await import('@temporalio/testing');
  const activities = createActivities(ports, fleet);
  for (const cluster of fleet.clusters)
    await new MockActivityEnvironment().run(
      activities.discoverCluster as never,
      { clusterId: cluster.id } as never,
    );
}

/** The workers of one task queue and its power queue; stopped as abruptly as a worker can be within its process. */
export function workerSet(
  address: string,
  taskQueue: string,
  ports: Ports,
  fleet: Fleet,
  {
    maxCachedWorkflows,
    intercept,
    supervision,
    version,
  }: Pick<SystemOptions, 'maxCachedWorkflows' | 'intercept' | 'version'> & {
    readonly supervision?: Supervision;
  },
) {
  let running: { workers: Worker[]; done: Promise<unknown>; connection: NativeConnection } | undefined;
  return {
    async start(): Promise<void> {
      const connection = await NativeConnection.connect({ address });
      const shared = {
        connection,
        shutdownForceTime: '10s',
        shutdownGraceTime: 0,
        ...versionOptions(version),
      } as const;
      const activities = intercepted(createActivities(ports, fleet, supervision), intercept);
      const main = await Worker.create({
        ...shared,
        taskQueue,
        activities,
        workflowBundle: { codePath: workflowBundlePath() },
        stickyQueueScheduleToStartTimeout: '1s',
        ...(maxCachedWorkflows === undefined ? {} : { maxCachedWorkflows }),
      });
      const power = await Worker.create({ ...shared, taskQueue: powerQueue(taskQueue), activities });
      const workers = [main, power];
      running = { workers, connection, done: Promise.allSettled(workers.map((w) => w.run())) };
    },
    async stop(): Promise<void> {
      if (running === undefined) return;
      const { workers, done, connection } = running;
      running = undefined;
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await done;
      await connection.close();
    },
  };
}

function asking(client: Client, taskQueue: string, spec: WorldSpec, prefix: string) {
  const host = (letter: string): HostId => hostId(`${prefix}hv-${letter}`);
  const vm = (name: string): VmId => {
    const found = spec.vms.find((v) => v.name === name);
    if (found === undefined) throw new Error(`no VM ${name} in this world`);
    return found.id;
  };
  const cluster = spec.clusters[0]?.id ?? clusterId('sim');
  const memo = (id: string) => ({ incidentId: id, requestedBy: 'tester', reason: 'test' });
  return {
    host,
    vm,
    vmsOf: (letter: string): VmId[] => spec.vms.filter((v) => v.hostId === host(letter)).map((v) => v.id),
    recoverHost(letter: string, more: Partial<RecoverHostInput> = {}) {
      const epoch = more.epoch ?? 1;
      const input: RecoverHostInput = {
        ...{ hostId: host(letter), clusterId: cluster, epoch, mode: 'act', trigger: testTrigger() },
        incidentId: incidentId({ kind: 'host', hostId: host(letter) }, epoch),
        ...more,
      };
      const workflowId =
        input.mode === 'act'
          ? workflowIds.host(host(letter))
          : workflowIds.rehearsal(host(letter), randomUUID());
      return client.workflow.start<typeof recoverHost>('recoverHost', {
        ...{ workflowId, taskQueue, args: [input], memo: memo(input.incidentId) },
      });
    },
    fenceHost(letter: string, more: Pick<FenceHostInput, 'evenIf'> = { evenIf: 'alive' }) {
      const id = incidentId({ kind: 'host', hostId: host(letter) }, 1);
      const order = {
        hostId: host(letter),
        clusterId: cluster,
        incidentId: id,
        epoch: 1,
        mode: 'act',
      } as const;
      return client.workflow.start<typeof fenceHost>('fenceHost', {
        workflowId: workflowIds.fence(host(letter)),
        taskQueue,
        args: [{ ...order, trigger: testTrigger(), ...more, brief: undefined }],
        memo: memo(id),
      });
    },
    migrateVolume(name: string, more: Partial<MigrateVolumeInput> = {}) {
      const epoch = more.epoch ?? 1;
      const id = incidentId({ kind: 'vm', vmId: vm(name) }, epoch);
      const hostOfVm = spec.vms.find((v) => v.name === name)?.hostId ?? host('a');
      const input: MigrateVolumeInput = {
        ...{ vmId: vm(name), name, clusterId: cluster, hostId: hostOfVm, incidentId: id, epoch, mode: 'act' },
        ...{ trigger: testTrigger(), disks: [{ disk: 'vda', to: spec.pools[1]!.id }], pace: quickPace },
        ...more,
      };
      const workflowId =
        input.mode === 'act' ? workflowIds.vm(vm(name)) : workflowIds.rehearsal(vm(name), randomUUID());
      return client.workflow.start<typeof migrateVolume>('migrateVolume', {
        ...{ workflowId, taskQueue, args: [input], memo: memo(id) },
      });
    },
    moveFile(path: string) {
      const loose = { diskId: diskId(randomUUID()), path };
      const id = incidentId({ kind: 'disk', diskId: loose.diskId }, 1);
      const input: MigrateVolumeInput = {
        ...{ vmId: undefined, loose, name: looseName(path), clusterId: cluster, hostId: host('a') },
        ...{ incidentId: id, epoch: 1, mode: 'act', trigger: testTrigger(), pace: quickPace },
        disks: [{ disk: looseKey(path), to: spec.pools[1]!.id }],
      };
      return client.workflow.start<typeof migrateVolume>('migrateVolume', {
        ...{ workflowId: workflowIds.disk(loose.diskId), taskQueue, args: [input], memo: memo(id) },
      });
    },
    restartVm(name: string, more: Partial<RestartVmInput> = {}) {
      const id = incidentId({ kind: 'vm', vmId: vm(name) }, 1);
      const input: RestartVmInput = {
        ...{ vmId: vm(name), name, clusterId: cluster, incidentId: id, mode: 'act', cause: 'operator' },
        ...{
          trigger: testTrigger(),
          incidentBeganAt: undefined,
          epoch: 1,
          failed: undefined,
          target: undefined,
        },
        ...more,
      };
      return client.workflow.start<typeof restartVm>('restartVm', {
        ...{ workflowId: workflowIds.vm(vm(name)), taskQueue, args: [input], memo: memo(id) },
      });
    },
  };
}

export type { RecoverHostResult, RestartVmResult };
