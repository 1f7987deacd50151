/** VMedic's own processes on a lab of machines with kernels of their own, and the front door to them. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { Client as PostgresClient } from 'pg';
import { stringify } from 'yaml';
import type { Ending, StartAnswer } from '../../client/answers';
import { follow } from '../../client/follow';
import { checkReadiness } from '../../client/readiness';
import { type ReleaseAnswer, releaseLocksOf } from '../../client/release-locks';
import { RecoveryClient } from '../../client/recovery-client';
import { ensureWatches } from '../../client/watches';
import type { Fleet } from '../../domain/fleet';
import type { IncidentId } from '../../domain/ids';
import type { Finding } from '../../domain/readiness';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import type { IpmiBmc } from '../../lab/bmc/ipmi';
import { runOrThrow } from '../../lab/run';
import { waitFor } from '../../lab/wait-for';
import { attestFencedUpdate } from '../../workflows/messages';
import { ConfigRefused, fleetOf, loadConfig } from '../../workers/config';
import { type OwnSystem, startOwnSystem } from './own-system';

export type Started = Exclude<StartAnswer, { answer: 'busy' }>;

/** Hosts of these labs are slow machines: what is decided in seconds elsewhere takes a minute here. */
const policy = {
  confirmEvery: '500ms',
  fenceRetry: { first: '1s', max: '3s' },
  readBackDeadline: '90s',
  storageDeadline: '90s',
} as const;
const settlesMs = 240_000;

interface SiteConfig {
  readonly clusters: readonly object[];
}

interface Parts {
  readonly folder: string;
  readonly system: OwnSystem;
  readonly fleet: Fleet;
  readonly client: Client;
  readonly inventory: OpenInventory;
}

interface Ways {
  /** `observe` by default: what is done is what the test asks for. */
  readonly mode?: 'observe' | 'automatic';
  readonly policy?: Readonly<Record<string, string>>;
}

/** Starts everything on what the config says. */
export async function startParts(
  folder: string,
  written: SiteConfig,
  { mode = 'observe', policy: further = {} }: Ways = {},
): Promise<Parts> {
  const configFile = join(folder, 'vmedic.yaml');
  const clusters = written.clusters.map((c) => ({ ...c, mode, policy: { ...policy, ...further } }));
  writeFileSync(configFile, stringify({ ...written, clusters }));
  const loaded = await loadConfig(configFile, { env: process.env });
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  const system = await startOwnSystem(configFile, join(folder, 'own'));
  const client = new Client({ connection: await Connection.connect({ address: system.address }) });
  const inventory = openInventory({ url: system.inventoryUrl });
  return { folder, system, fleet: fleetOf(loaded.config), client, inventory };
}

export class RecoverySite {
  private readonly recoveries: RecoveryClient;

  constructor(
    private readonly parts: Parts,
    private readonly bmcOf: (host: string) => IpmiBmc,
    private readonly closeLab: () => Promise<void>,
  ) {
    const { client, inventory, fleet, system } = parts;
    this.recoveries = new RecoveryClient({ client, inventory, fleet, address: system.address });
  }

  get inventory(): OpenInventory {
    return this.parts.inventory;
  }

  /** Its rows change behind VMedic's back. */
  async tamper(statement: string): Promise<void> {
    const postgres = new PostgresClient({ connectionString: this.parts.system.inventoryUrl });
    await postgres.connect();
    await postgres.query(statement).finally(() => postgres.end());
  }

  /** Until the watch knows every host's boot and sees these VMs run. */
  async discovered(names: readonly string[]): Promise<void> {
    const { client, fleet } = this.parts;
    await ensureWatches(client, fleet);
    const count = fleet.clusters.flatMap((c) => c.hosts).length;
    await waitFor('every VM to be known', settlesMs, async () => {
      const [hosts, vms] = await Promise.all([this.inventory.hosts(), this.inventory.vms()]);
      if (hosts.length < count || hosts.some((h) => h.bootId === undefined)) return false;
      return names.every((name) => vms.some((v) => v.name === name && v.observed.state === 'running'));
    });
  }

  async close(): Promise<void> {
    const { client, inventory, system, folder } = this.parts;
    await client.connection.close();
    await inventory.close();
    await system.stop();
    rmSync(join(folder, 'own'), { recursive: true, force: true });
    await this.closeLab();
  }

  /** With ipmitool, as an operator would. */
  async cutPower(host: string): Promise<void> {
    const { address, port, username, passwordFile } = this.bmcOf(host);
    const login = ['-H', address, '-p', String(port), '-U', username, '-f', passwordFile];
    const command = ['-I', 'lanplus', '-C', '3', ...login, 'chassis', 'power', 'off'];
    await runOrThrow('ipmitool', command, { timeoutMs: 30_000 });
  }

  recover(host: string): Promise<Started> {
    return started(this.recoveries.recoverHost(host, requestFor(`${host} does not answer`)));
  }

  restart(vm: string, target: string): Promise<Started> {
    return started(this.recoveries.restartVm(vm, requestFor(`${vm} is to run again`), target));
  }

  async attest(run: Started, reason: string): Promise<void> {
    const handle = this.parts.client.workflow.getHandle(run.workflowId);
    await handle.executeUpdate(attestFencedUpdate, { args: [{ by: 'tester', reason }] });
  }

  releaseLocks(host: string): Promise<ReleaseAnswer> {
    const { client, inventory, fleet, system } = this.parts;
    const request = { source: 'operator', by: 'tester', reason: 'the server is back' } as const;
    return releaseLocksOf({ client, inventory, fleet, address: system.address }, host, request);
  }

  /** All that `vmedic readiness` finds now, in every cluster. */
  async findings(options: { readonly retryLogins?: boolean } = {}): Promise<Finding[]> {
    const { client, inventory, fleet, system } = this.parts;
    const door = { client, inventory, address: system.address, patienceMs: settlesMs, ...options };
    const reports = await Promise.all(fleet.clusters.map((c) => checkReadiness(door, c.id)));
    return reports.flatMap((r) => [...r.findings]);
  }

  /** To the run's own end, through waiting for people. */
  ending(run: Started): Promise<Ending> {
    const from = { client: this.parts.client, inventory: this.inventory };
    const signal = AbortSignal.timeout(settlesMs);
    return follow(from, run, { throughWaiting: true, everyMs: 300, signal });
  }

  /** A host's incident by its outcome, a VM's by its phase. @throws with the whole timeline when the run ends otherwise. */
  async endsAs(run: Started, outcome: string): Promise<void> {
    const ending = await this.ending(run);
    if (ending.kind === 'finished' && howItEnded(ending.result) === outcome) return;
    throw new Error(`not ${outcome}, but ${JSON.stringify(ending)}\n${await this.story(run.incidentId)}`);
  }

  async untilPhase(run: Started, phase: string): Promise<void> {
    await waitFor(
      `${run.incidentId} to be ${phase}`,
      settlesMs,
      async () => (await this.inventory.incident(run.incidentId))?.phase === phase,
    );
  }

  /** When the timeline said so. */
  async told(incident: IncidentId, what: RegExp): Promise<number> {
    const entry = await waitFor(`the timeline to tell ${String(what)}`, settlesMs, async () =>
      (await this.inventory.timeline(incident)).find((e) => what.test(e.sentence)),
    );
    return Date.parse(entry.at);
  }

  async story(incident: IncidentId): Promise<string> {
    return (await this.inventory.timeline(incident))
      .map((e) => `${e.at} ${e.kind}: ${e.sentence}`)
      .join('\n');
  }
}

const requestFor = (reason: string) => ({ source: 'operator', by: 'tester', reason }) as const;

async function started(asked: Promise<StartAnswer>): Promise<Started> {
  const answer = await asked;
  if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
  return answer;
}

function howItEnded(result: object): unknown {
  if ('outcome' in result) return result.outcome;
  return 'phase' in result ? result.phase : undefined;
}
