/** The command line without a process: what it prints, its exit code, and an installation that exists on paper only. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { stringify } from 'yaml';
import { Administration, type AdministrationRows } from '../../client/administration';
import { RecoveryClient } from '../../client/recovery-client';
import { main } from '../../client/cli/main';
import type { Io } from '../../client/cli/io';
import type { Inventory, OpenSession } from '../../client/cli/session';
import type { Fleet } from '../../domain/fleet';
import { clusterId, hostId, incidentId, vmId } from '../../domain/ids';
import { defaultPolicy } from '../../domain/limits';
import type { HostRecord, IncidentRecord, VmRecord } from '../../domain/records';

export const folder = mkdtempSync(join(tmpdir(), 'vmedic-cli-'));

export const hvA = hostId('hv-a');
export const now = (): string => new Date().toISOString();

export const fleet: Fleet = {
  pools: [],
  clusters: [
    {
      ...{ id: clusterId('one'), mode: 'automatic', policy: defaultPolicy, vms: {} },
      hosts: ['hv-a', 'hv-b'].map((name) => ({
        ...{ id: hostId(name), clusterId: clusterId('one'), capacity: { memoryMiB: 64, vcpus: 4 } },
        ...{ pools: [], networks: [], fenceLevels: [] },
      })),
    },
  ],
};

export const vm = (name: string, more: Partial<VmRecord> = {}): VmRecord => ({
  ...{
    vmId: vmId(`0000-${name}`),
    name,
    clusterId: clusterId('one'),
    hostId: hvA,
    desired: 'running',
    protected: true,
  },
  ...{ persistent: true, priority: 3, antiAffinity: undefined, definitionVersion: 1, epoch: 0, version: 1 },
  observed: { state: 'running', reason: 'booted', at: now() },
  shape: { memoryMiB: 4, vcpus: 1, disks: [], networks: [], consolePath: undefined },
  ...more,
});

export const incident = (more: Partial<IncidentRecord> = {}): IncidentRecord => ({
  ...{ incidentId: incidentId({ kind: 'host', hostId: hvA }, 1), target: { kind: 'host', hostId: hvA } },
  ...{
    clusterId: clusterId('one'),
    epoch: 1,
    phase: 'fencing',
    summary: 'switching off',
    triggers: [],
    version: 1,
  },
  ...{
    nextCommand: undefined,
    outcome: undefined,
    openedAt: now(),
    closedAt: undefined,
    workflowId: 'host:hv-a',
  },
  ...more,
});

export const host = (name: string, more: Partial<HostRecord> = {}): HostRecord => ({
  ...{
    hostId: hostId(name),
    clusterId: clusterId('one'),
    standing: 'in-service',
    bootId: 'b',
    lastSeenAt: now(),
    version: 1,
  },
  ...more,
});

export const inventory = (more: Partial<Inventory> = {}): Inventory => ({
  host: () => Promise.resolve(host('hv-a')),
  hosts: () => Promise.resolve([host('hv-a'), host('hv-b')]),
  vm: () => Promise.resolve(undefined),
  vms: () => Promise.resolve([vm('web'), vm('db')]),
  incident: () => Promise.resolve(undefined),
  incidents: () => Promise.resolve([]),
  timeline: () => Promise.resolve([]),
  alerts: () => Promise.resolve([]),
  evidenceFor: () => Promise.resolve(undefined),
  definition: () => Promise.resolve(undefined),
  sightings: () => Promise.resolve([]),
  readiness: () => Promise.resolve(undefined),
  attachTrigger: () => Promise.resolve(),
  switches: () => Promise.resolve([]),
  fleetClaim: () => Promise.resolve(undefined),
  createToken: () => Promise.resolve('created'),
  tokens: () => Promise.resolve([]),
  revokeToken: () => Promise.resolve('revoked'),
  noteAudit: () => Promise.resolve(1),
  noteAuditAnswer: () => Promise.resolve(),
  owedDeliveries: () => Promise.resolve([]),
  acknowledgeAlerts: () => Promise.resolve(1),
  ...more,
});

export interface Ran {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function run(
  argv: readonly string[],
  options: { env?: NodeJS.ProcessEnv; open?: OpenSession } = {},
): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const io: Io = {
    ...{ cwd: folder, live: false, color: false, env: { VMEDIC_HOME: folder, ...options.env } },
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
  };
  const exit = await (options.open === undefined ? main(argv, io) : main(argv, io, options.open));
  expect(stdout + stderr).not.toMatch(/\n\s+at .*:\d+:\d+/);
  return { exit, stdout, stderr };
}

/** A server that has one run of each ID, of some other incident. */
export const busyClient = (type: string, memo: object): Client =>
  ({
    withDeadline: (_: number, ask: () => Promise<unknown>) => ask(),
    workflow: {
      start: (asked: string, { workflowId }: { workflowId: string }) =>
        Promise.reject(new WorkflowExecutionAlreadyStartedError('started', workflowId, asked)),
      getHandle: (workflowId: string) => ({
        describe: () =>
          Promise.resolve({
            ...{
              workflowId,
              runId: 'run-1',
              type,
              memo,
              status: { name: 'RUNNING' },
              startTime: new Date(0),
            },
            staticSummary: () => Promise.resolve('Migrate volume of web'),
          }),
      }),
    },
  }) as unknown as Client;

/** What a command needs of an installation: `client` may be missing where nothing is started. */
export interface Installation {
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  readonly client?: Client;
  readonly taskQueue?: string;
  readonly writes?: Partial<AdministrationRows>;
}

export const sessionOn =
  ({ inventory: rows, fleet: of, client, taskQueue, writes }: Installation): OpenSession =>
  () => {
    const address = 'temporal:7233';
    const door = { client: client as Client, inventory: rows, fleet: of, address };
    return Promise.resolve({
      ...{ configPath: 'vmedic.yaml', fleet: of, inventory: rows },
      administration: new Administration({ ...rows, ...writes } as AdministrationRows, of),
      temporal: () =>
        Promise.resolve({
          client: door.client,
          settings: { address, namespace: 'default', uiUrl: 'http://ui' },
          close: () => Promise.resolve(),
        }),
      recoveries: () =>
        Promise.resolve(new RecoveryClient({ ...door, ...(taskQueue !== undefined && { taskQueue }) })),
      close: () => Promise.resolve(),
    });
  };

export const session = (
  reads: Inventory,
  client?: Client,
  writes: Partial<AdministrationRows> = {},
): OpenSession => sessionOn({ inventory: reads, fleet, writes, ...(client !== undefined && { client }) });

export const configFile = (name: string, more: object): string => {
  const path = join(folder, name);
  const config = {
    version: 1,
    clusters: [
      {
        id: 'one',
        hosts: [
          {
            ...{ id: 'hv-a', hypervisor: { driver: 'libvirt', uri: 'qemu:///system' } },
            ...{ commands: { driver: 'ssh', target: 'hv-a' }, capacity: { memoryMiB: 1, vcpus: 1 } },
          },
        ],
      },
    ],
    ...more,
  };
  writeFileSync(path, stringify(config));
  return path;
};
