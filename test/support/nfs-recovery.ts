/** A whole recovery on a real NFS server: the storage lab, VMedic's own processes on it, and the front door; one for all tests of a version. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import type { Ending, StartAnswer } from '../../client/answers';
import { follow } from '../../client/follow';
import { type ReleaseAnswer, releaseLocksOf } from '../../client/release-locks';
import { RecoveryClient } from '../../client/recovery-client';
import { ensureWatches } from '../../client/watches';
import type { Fleet } from '../../domain/fleet';
import type { IncidentId } from '../../domain/ids';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import { runOrThrow } from '../../lab/run';
import { nfsLabConfig } from '../../lab/storage/config';
import { type NfsLab, type NfsLabOptions, SERVER } from '../../lab/storage/nfs-lab';
import { waitFor } from '../../lab/wait-for';
import { ConfigRefused, fleetOf, loadConfig } from '../../workers/config';
import { type OwnSystem, startOwnSystem } from './own-system';
import { nfsLabUp } from './storage-lab';

export type Started = Exclude<StartAnswer, { answer: 'busy' }>;

/** Hosts of this lab are slow machines: what is decided in seconds elsewhere takes a minute here. */
const policy = {
  confirmEvery: '500ms',
  fenceRetry: { first: '1s', max: '3s' },
  readBackDeadline: '90s',
  storageDeadline: '90s',
} as const;
const settlesMs = 240_000;

export class NfsRecovery {
  private constructor(
    readonly nfs: NfsLab,
    readonly system: OwnSystem,
    readonly fleet: Fleet,
    readonly client: Client,
    readonly inventory: OpenInventory,
    readonly recoveries: RecoveryClient,
    private readonly closeLab: () => Promise<void>,
  ) {}

  static async open(options: Omit<NfsLabOptions, 'folder'>): Promise<NfsRecovery> {
    const lab = await nfsLabUp(options);
    try {
      return await NfsRecovery.on(lab.nfs, () => lab.close());
    } catch (cause) {
      await lab.close();
      throw cause;
    }
  }

  private static async on(nfs: NfsLab, closeLab: () => Promise<void>): Promise<NfsRecovery> {
    const configFile = join(nfs.lab.folder, 'vmedic.yaml');
    const written = nfsLabConfig(nfs);
    const config = {
      ...written,
      clusters: written.clusters.map((cluster) => ({ ...cluster, mode: 'observe', policy })),
    };
    writeFileSync(configFile, stringify(config));
    const loaded = await loadConfig(configFile, { env: process.env });
    if (!loaded.ok) throw new ConfigRefused(loaded.problems);
    const fleet = fleetOf(loaded.config);
    const system = await startOwnSystem(configFile, join(nfs.lab.folder, 'own'));
    const { address } = system;
    const client = new Client({ connection: await Connection.connect({ address }) });
    const inventory = openInventory({ url: system.inventoryUrl, poolMax: 4 });
    const recoveries = new RecoveryClient({ client, inventory, fleet, address });
    const opened = new NfsRecovery(nfs, system, fleet, client, inventory, recoveries, closeLab);
    await ensureWatches(client, fleet);
    await opened.discovered();
    return opened;
  }

  async close(): Promise<void> {
    await this.client.connection.close();
    await this.inventory.close();
    await this.system.stop();
    rmSync(join(this.nfs.lab.folder, 'own'), { recursive: true, force: true });
    await this.closeLab();
  }

  /** With ipmitool, as an operator would. */
  async cutPower(host: string): Promise<void> {
    const { address, port, username, passwordFile } = this.nfs.lab.bmc(host);
    const login = ['-H', address, '-p', String(port), '-U', username, '-f', passwordFile];
    const command = ['-I', 'lanplus', '-C', '3', ...login, 'chassis', 'power', 'off'];
    await runOrThrow('ipmitool', command, { timeoutMs: 30_000 });
  }

  async recover(host: string): Promise<Started> {
    const request = { source: 'operator', by: 'tester', reason: `${host} does not answer` } as const;
    const answer = await this.recoveries.recoverHost(host, request);
    if (answer.answer === 'busy') throw new Error(`busy: ${answer.summary}`);
    return answer;
  }

  releaseLocks(host: string): Promise<ReleaseAnswer> {
    const { client, inventory, fleet, system } = this;
    const request = { source: 'operator', by: 'tester', reason: 'the server is back' } as const;
    return releaseLocksOf({ client, inventory, fleet, address: system.address }, host, request);
  }

  /** To the run's own end, through waiting for people. */
  ending(run: Started): Promise<Ending> {
    const from = { client: this.client, inventory: this.inventory };
    const signal = AbortSignal.timeout(settlesMs);
    return follow(from, run, { throughWaiting: true, everyMs: 300, signal });
  }

  /** @throws with the whole timeline when the run ends otherwise. */
  async endsAs(run: Started, outcome: string): Promise<void> {
    const ending = await this.ending(run);
    const ended =
      ending.kind === 'finished' && 'outcome' in ending.result ? ending.result.outcome : undefined;
    if (ended === outcome) return;
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

  /** The server's own lines about the images of these VMs, without whose numbering changes. */
  async serverLocks(...names: readonly string[]): Promise<string[]> {
    const images = names.map((name) => `/srv/vm/${name}.qcow2`).join(' ');
    const line = `for f in ${images}; do grep ":$(stat -c %i $f) " /proc/locks | cut -d : -f 2-; done | sort`;
    return (await this.nfs.lab.guest(SERVER).run(line)).split('\n').filter((l) => l !== '');
  }

  private async discovered(): Promise<void> {
    const names = this.nfs.vms.map((vm) => vm.name);
    await waitFor('every VM to be known', settlesMs, async () => {
      const [hosts, vms] = await Promise.all([this.inventory.hosts(), this.inventory.vms()]);
      if (hosts.length < this.nfs.hosts.length || hosts.some((h) => h.bootId === undefined)) return false;
      return names.every((name) => vms.some((v) => v.name === name && v.observed.state === 'running'));
    });
  }
}
