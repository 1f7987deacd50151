/** The simulated datacenter as a process of its own. Starts cost nothing: what is measured is VMedic. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hostId } from '../domain/ids';
import {
  connectSimulated,
  type JournalEntry,
  sampleWorld,
  type SimulatedConnection,
  type SimulatedProcess,
  startSimulatedProcess,
  type WorldSpec,
} from '../drivers/simulated';
import { simulatedConfig } from '../workers/simulated-datacenter';
import type { BenchSite, Ups } from './site';
import { type SiteConfigOptions, writeSiteConfig } from './site-config';

export interface SimulatedSiteOptions {
  readonly vms: number;
  /** Milliseconds that each start takes. */
  readonly startMs: number;
  readonly concurrency: SiteConfigOptions['concurrency'];
  readonly mode?: SiteConfigOptions['mode'];
  /** As many hosts, with the VMs spread over them; left out: three, and all VMs on the one that fails. */
  readonly spreadOver?: number;
}

const hosts = 3;
/** The peer's power switch takes as long; after a cut it is only read, and nothing of this is spent. */
const fenceMs = 400;
const lookEveryMs = 100;

export async function simulatedSite(options: SimulatedSiteOptions): Promise<BenchSite> {
  const folder = mkdtempSync(join(tmpdir(), 'vmb-'));
  const socket = join(folder, 'world');
  const world = worldOf(options);
  const failing = hostId('hv-a');
  const stateDir = join(folder, 'system');
  const configPath = join(folder, 'vmedic.yaml');
  const config = await writeSiteConfig(simulatedConfig(world, socket, stateDir), {
    ...{ path: configPath, stateDir, concurrency: options.concurrency },
    ...(options.mode !== undefined && { mode: options.mode }),
  });
  let running: SimulatedProcess = await startSimulatedProcess({ socket, world });
  let connection: SimulatedConnection = await connectSimulated(socket);
  const end = async (): Promise<void> => {
    await connection.close();
    await running.stop();
  };
  return {
    ...{ config, configPath, stateDir, failing },
    survivors: world.hosts.map((h) => h.id).filter((id) => id !== failing),
    vms: world.vms.map(({ id, name }) => ({ vmId: id, name })),
    pids: () => [running.pid],
    watch: () => watchWorld(connection, world.vms.length),
    async destroyVm({ vmId }) {
      const at = (await connection.control.snapshot()).processes.find((p) => p.vmId === vmId && isUp(p));
      if (at === undefined) throw new Error(`${vmId} runs nowhere`);
      await connection.control.destroyByHand(at.hostId, vmId);
      return Date.now();
    },
    async cutPower() {
      await connection.control.cutPower(failing);
      return Date.now();
    },
    async reset() {
      await end();
      running = await startSimulatedProcess({ socket, world });
      connection = await connectSimulated(socket);
    },
    complaints: () => complaintsOf(connection, world),
    async close() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As many VMs as asked, all on the first of three hosts; each other host has room for all of them. */
function worldOf({ vms, startMs, spreadOver }: SimulatedSiteOptions): WorldSpec {
  const count = spreadOver ?? hosts;
  const whole = sampleWorld({
    ...{ hosts: count, vmsPerHost: Math.ceil(vms / count), clusterId: 'bench', journal: 'effects' },
    costs: { startMs, fenceMs, silenceMs: 1_000 },
  });
  if (spreadOver !== undefined) return { ...whole, vms: whole.vms.slice(0, vms) };
  return { ...whole, vms: whole.vms.slice(0, vms).map((vm) => ({ ...vm, hostId: hostId('hv-a') })) };
}

const isUp = (process: { readonly endedSeq?: number | undefined }): boolean => process.endedSeq === undefined;

const isStart = (entry: JournalEntry): boolean =>
  entry.kind === 'effect' && entry.effect === 'process-started' && entry.by === 'port';

/** The world writes down when each process began, so looking seldom costs no precision. */
async function watchWorld({ control }: SimulatedConnection, expected: number): Promise<Ups> {
  const from = (await control.journal()).at(-1)?.seq ?? 0;
  const starts = async (): Promise<number[]> =>
    (await control.journal(from)).filter(isStart).map((entry) => Date.parse(entry.at));
  return {
    async all(timeoutMs) {
      for (const deadline = Date.now() + timeoutMs; ; await delay(lookEveryMs)) {
        const { processes } = await control.snapshot();
        const running = processes.filter((p) => p.endedSeq === undefined && p.startedSeq > from).length;
        if (running >= expected) return starts();
        if (Date.now() > deadline)
          throw new Error(`${running} of ${expected} VMs run again after ${timeoutMs / 1000} s`);
      }
    },
    count: async () => (await starts()).length,
    stop: () => undefined,
  };
}

async function complaintsOf({ control }: SimulatedConnection, world: WorldSpec): Promise<string[]> {
  const { processes } = await control.snapshot();
  return world.vms.flatMap(({ id, name }) => {
    const all = processes.filter((p) => p.vmId === id);
    const now = all.filter((p) => p.endedSeq === undefined);
    const found: string[] = [];
    if (now.length !== 1) found.push(`${name} runs ${now.length} times`);
    if (all.length !== 2) found.push(`${name} was started ${all.length} times in all, not twice`);
    if (now.some((p) => p.hostId === 'hv-a')) found.push(`${name} runs on the host without power`);
    return found;
  });
}
