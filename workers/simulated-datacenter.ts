/** The demo where real hosts cannot be had: a simulated datacenter as a process of its own, and the config for it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { hostId } from '../domain/ids';
import {
  connectSimulated,
  sampleWorld,
  type SimulatedConnection,
  startSimulatedProcess,
  type WorldSnapshot,
  type WorldSpec,
} from '../drivers/simulated';
import type { DemoDatacenter, SeenVm } from '../lab/demo/datacenter';
import type { VmedicConfig } from './config';

export interface SimulatedDatacenterOptions {
  readonly hosts: number;
  readonly vms: number;
  readonly progress: (line: string) => void;
  /** Ends what runs on it, before it goes. */
  readonly remove: (folder: string) => Promise<unknown>;
}

/** Times of the small guests that the real lab has, on an idle machine: what is shown should look like what it stands for. */
const costs = { startMs: 400, fenceMs: 200, silenceMs: 1_000 } as const;
const signOfLifeEveryMs = 50;

export async function simulatedDatacenter(options: SimulatedDatacenterOptions): Promise<DemoDatacenter> {
  const folder = mkdtempSync(join(tmpdir(), 'vmd-'));
  const socket = join(folder, 'world');
  const whole = sampleWorld({
    ...{ hosts: options.hosts, clusterId: 'demo', costs },
    vmsPerHost: Math.ceil(options.vms / options.hosts),
  });
  const world: WorldSpec = { ...whole, vms: whole.vms.slice(0, options.vms) };
  options.progress(`starting a simulated datacenter: ${world.hosts.length} hosts, ${world.vms.length} VMs`);
  const running = await startSimulatedProcess({ socket, world });
  const connection = await connectSimulated(socket);
  const bootsBefore = new Set((await connection.control.snapshot()).processes.map((p) => p.boot));
  const configPath = join(folder, 'vmedic.yaml');
  const stateDir = join(folder, 'system');
  writeFileSync(configPath, stringify(simulatedConfig(world, socket, stateDir)), { mode: 0o600 });
  return {
    configPath,
    stateDir,
    hosts: world.hosts.map((h) => h.id),
    vms: world.vms.map((v) => ({ name: v.name, host: v.hostId })),
    judge: "by the simulated world's own account of processes and disk writes; not from its own record",
    async cutPower(host) {
      await connection.control.cutPower(hostId(host));
      return `the simulated power of ${host} is cut`;
    },
    onSignOfLife: (vms, signal, back) => void watchWorld(connection, bootsBefore, world, vms, signal, back),
    look: async () => seenIn(await connection.control.snapshot(), world),
    async close() {
      await options.remove(folder);
      await connection.close();
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What an operator would write for this world. */
export function simulatedConfig(world: WorldSpec, socket: string, stateDir: string): VmedicConfig {
  return {
    version: 1,
    clusters: world.clusters.map(({ id, mode }) => ({
      id,
      mode,
      hosts: world.hosts
        .filter((h) => h.clusterId === id)
        .map((h) => ({
          id: h.id,
          hypervisor: { driver: 'simulated' },
          commands: { driver: 'simulated' },
          capacity: { ...h.capacity },
          pools: [...h.pools],
          networks: [...h.networks],
          fencing: h.fenceLevels.map((level) => ({
            name: level.name,
            devices: level.devices.map((device) => ({ id: device, agent: 'simulated' })),
          })),
        })),
    })),
    pools: world.pools.map(({ id, type, path, lockStrategy }) => ({ id, type, path, lockStrategy })),
    simulated: { socket },
    stateDir,
  };
}

const isUp = (process: WorldSnapshot['processes'][number]): boolean => process.endedSeq === undefined;

async function watchWorld(
  { control }: SimulatedConnection,
  bootsBefore: ReadonlySet<string>,
  world: WorldSpec,
  vms: readonly string[],
  signal: AbortSignal,
  back: (vm: string) => void,
): Promise<void> {
  const waited = new Map(world.vms.filter((v) => vms.includes(v.name)).map((v) => [v.id, v.name]));
  while (waited.size > 0 && !signal.aborted) {
    const { processes } = await control.snapshot();
    for (const process of processes.filter((p) => isUp(p) && !bootsBefore.has(p.boot))) {
      const name = waited.get(process.vmId);
      if (name === undefined) continue;
      waited.delete(process.vmId);
      back(name);
    }
    await delay(signOfLifeEveryMs);
  }
}

/** Two processes of one VM that overlap in time are two writers, whatever became of them. */
function seenIn(snapshot: WorldSnapshot, world: WorldSpec): SeenVm[] {
  return world.vms.map(({ id, name }) => {
    const runs = snapshot.processes.filter((p) => p.vmId === id).sort((a, b) => a.startedSeq - b.startedSeq);
    const overlaps = runs.some((run, i) => {
      const next = runs[i + 1];
      return next !== undefined && (run.endedSeq === undefined || run.endedSeq > next.startedSeq);
    });
    return {
      name,
      runsOn: runs.filter(isUp).map((p) => p.hostId),
      boots: runs.length,
      oracle: overlaps ? 'VIOLATION' : 'CLEAN',
      why: overlaps ? 'two processes of it ran at once' : undefined,
    };
  });
}
