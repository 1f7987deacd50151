/**
 * Plays one scenario: its world, its timeline of commands, and what the recovery says meanwhile, as one log. The log is taken where the
 * inventory is written, so that it has every phase, sentence and alert in the order in which they came to be.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { InventoryPort } from '../../activities/ports';
import { RecoveryClient } from '../../client/recovery-client';
import { fenceDeviceId, type IncidentId, workflowIds } from '../../domain/ids';
import type { FaultRule, SampleOptions, WorldSpec } from '../../drivers/simulated';
import { sampleWorld } from '../../drivers/simulated';
import type { MigrateVolumeResult, RecoverHostResult, RestartVmResult } from '../../workflows/inputs';
import type { StuckResolution } from '../../workflows/messages';
import {
  quickPace,
  quickPolicy,
  type RecoverySystem,
  recoverySystem,
  testTrigger,
} from '../support/recovery-system';

/** `world.json`: the sample datacenter's own options, and what it has no option for. */
interface WorldFile extends SampleOptions {
  /** A second fence level of two power feeds for every host. */
  readonly powerFeeds?: boolean;
  /** Memory of each host, in order; the sample has room for all VMs on any two hosts. */
  readonly hostMemoryMiB?: readonly number[];
}

/** One line of `timeline.json`. `when` waits until the log has a line with this text since the step before. */
type Step = { readonly when?: string; readonly note: string } & (
  | { readonly do: 'world'; readonly control: string; readonly args: readonly unknown[] }
  | { readonly do: 'rule'; readonly rule: FaultRule }
  | { readonly do: 'recover'; readonly host: string }
  /** The watch begins, and acts by itself from then on. */
  | { readonly do: 'watch' }
  /** Whatever run is started for this VM or host is followed to its end. */
  | { readonly do: 'follow'; readonly host?: string; readonly vm?: string }
  /** Every disk of the VM, to the second pool. */
  | { readonly do: 'move'; readonly vm: string }
  | { readonly do: 'reports'; readonly host: string; readonly count: number }
  | { readonly do: 'tell'; readonly host: string; readonly update: string; readonly reason: string }
  | {
      readonly do: 'decide';
      readonly vm: string;
      readonly resolution: StuckResolution;
      readonly reason: string;
    }
);

interface TimelineFile {
  /** VMs that do not run at the end, because the incident said so. */
  readonly down?: readonly string[];
  readonly steps: readonly Step[];
}

export const scenariosFolder = __dirname;

export const scenarioNames = (): string[] =>
  readdirSync(scenariosFolder, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort();

export const goldenOf = (name: string): string => join(scenariosFolder, name, 'expected.log');

export interface Played {
  readonly log: readonly string[];
  readonly system: RecoverySystem;
  readonly down: readonly string[];
}

/** The caller closes the system. */
export async function play(name: string): Promise<Played> {
  const read = (file: string): unknown => JSON.parse(readFileSync(join(scenariosFolder, name, file), 'utf8'));
  const world = read('world.json') as WorldFile;
  const timeline = read('timeline.json') as TimelineFile;
  const system = await recoverySystem({ spec: (prefix) => worldOf(world, prefix) });
  try {
    const player = new Player(system);
    for (const step of timeline.steps) await player.take(step);
    await player.end();
    return { log: player.log, system, down: timeline.down ?? [] };
  } catch (error) {
    await system.close();
    throw error;
  }
}

function worldOf({ powerFeeds, hostMemoryMiB, ...sample }: WorldFile, prefix: string): WorldSpec {
  // One start at a time: the order of the log is then the order of the plan.
  const concurrency = { window: 1, perHost: 1 };
  const plain = sampleWorld({
    ...sample,
    prefix,
    seed: 7,
    policy: { ...quickPolicy, concurrency, ...sample.policy },
  });
  const feeds = (host: string) =>
    powerFeeds === true ? ['1', '2'].map((n) => fenceDeviceId(`${host}-feed-${n}`)) : [];
  return {
    ...plain,
    hosts: plain.hosts.map((h, i) => ({
      ...h,
      capacity: { ...h.capacity, memoryMiB: hostMemoryMiB?.[i] ?? h.capacity.memoryMiB },
      fenceLevels: [
        ...h.fenceLevels,
        ...(powerFeeds === true ? [{ name: 'power feeds', devices: feeds(h.id) }] : []),
      ],
    })),
    devices: [
      ...plain.devices,
      ...plain.hosts.flatMap((h) => feeds(h.id).map((id) => ({ id, wiredTo: h.id, kind: 'feed' as const }))),
    ],
  };
}

const patienceMs = 40_000;

class Player {
  readonly log: string[] = [];
  private since = 0;
  private readonly endings: Promise<void>[] = [];
  private readonly phases = new Map<IncidentId, string>();
  private readonly told = new Set<string>();

  constructor(private readonly system: RecoverySystem) {
    this.listen(system.inventory);
  }

  private write(line: string): void {
    this.log.push(this.plain(line));
  }

  /** The same text whoever runs it and whenever. */
  private plain(text: string): string {
    let plain = text.replaceAll(this.system.prefix, '');
    for (const { id, name } of this.system.spec.vms) plain = plain.replaceAll(id, name);
    return plain
      .replace(/\bm[0-9a-f]{12}\b/g, '<move>')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
      .replace(/-ev\d+/g, '-ev<n>');
  }

  private listen(inventory: InventoryPort): void {
    const { openIncident, updateIncident, appendTimeline, raiseAlert, clearAlert } = inventory;
    Object.assign(inventory, {
      openIncident: async (...args) => {
        const row = await openIncident(...args);
        this.phase(row.incidentId, row.phase);
        return row;
      },
      updateIncident: async (id, change) => {
        const row = await updateIncident(id, change);
        this.phase(id, row.phase);
        return row;
      },
      appendTimeline: async (id, entries) => {
        const before = await appendTimeline(id, entries);
        for (const { key, kind, sentence } of entries) {
          if (this.told.has(`${id} ${key}`)) continue;
          this.told.add(`${id} ${key}`);
          this.write(`  ${kind.padEnd(11)} ${sentence}`);
        }
        return before;
      },
      raiseAlert: async (alert) => {
        const answer = await raiseAlert(alert);
        if (answer === 'raised') this.write(`  alert       ${alert.severity}: ${alert.key.split(':')[0]}`);
        return answer;
      },
      clearAlert: async (key, at) => {
        const answer = await clearAlert(key, at);
        if (answer === 'cleared') this.write(`  alert       cleared: ${key.split(':')[0]}`);
        return answer;
      },
    } satisfies Partial<InventoryPort>);
  }

  private phase(id: IncidentId, phase: string): void {
    if (this.phases.get(id) === phase) return;
    this.phases.set(id, phase);
    this.write(`[${phase}]`);
  }

  async take(step: Step): Promise<void> {
    if (step.when !== undefined) await this.until(step.when);
    this.since = this.log.length;
    this.write(`> ${step.note}`);
    const { system } = this;
    switch (step.do) {
      case 'world':
        return void this.turn(step.control, this.named(step.args) as unknown[]);
      case 'rule':
        return system.controls.addRule(this.named(step.rule) as FaultRule);
      case 'recover':
        return this.follow(`host ${system.host(step.host)}`, await system.recoverHost(step.host));
      case 'watch':
        return system.watch();
      case 'follow': {
        const { host, vm } = step;
        if (vm !== undefined) this.followLater(`VM ${vm}`, workflowIds.vm(system.vm(vm)));
        if (host !== undefined)
          this.followLater(`host ${system.host(host)}`, workflowIds.host(system.host(host)));
        return;
      }
      case 'move': {
        const to = system.spec.pools[1]!.id;
        const disks = system.spec.vms.find((v) => v.name === step.vm)?.disks ?? [];
        // A silent host is waited for as in production: longer than its recovery takes to say that it has failed.
        const pace = { ...quickPace, readBackMs: 60_000 };
        const order = { disks: disks.map((d) => ({ disk: d.device, to })), pace };
        return this.follow(`move of ${step.vm}`, await system.migrateVolume(step.vm, order));
      }
      case 'reports':
        return this.report(step.host, step.count);
      case 'tell':
        await system.client.workflow
          .getHandle(workflowIds.host(system.host(step.host)))
          .executeUpdate(step.update, { args: [{ by: 'alice', reason: step.reason }] });
        return;
      case 'decide': {
        const run = system.client.workflow.getHandle(workflowIds.vm(system.vm(step.vm)));
        const { resolution, reason } = step;
        await run.executeUpdate('resolveStuck', { args: [{ by: 'alice', reason, resolution }] });
        this.follow(`VM ${step.vm}`, run);
      }
    }
  }

  private turn(control: string, args: unknown[]): unknown {
    const turn = (this.system.controls as unknown as Record<string, (...a: unknown[]) => unknown>)[control];
    if (turn === undefined) throw new Error(`the simulated datacenter has no control ${control}`);
    return turn(...args);
  }

  private async report(letter: string, count: number): Promise<void> {
    const { client, inventory, fleet, taskQueue } = this.system;
    const door = new RecoveryClient({ client, inventory, fleet, taskQueue, address: 'the test server' });
    const host = this.system.host(letter);
    const { source, by, reason } = testTrigger('no answer for 30 s');
    const answers = await Promise.all(
      Array.from({ length: count }, () => door.recoverHost(host, { source, by, reason })),
    );
    const started = answers.filter((a) => a.answer === 'started').length;
    const same = answers.filter((a) => a.answer === 'same').length;
    const incidents = new Set(answers.map((a) => a.incidentId)).size;
    const run = client.workflow.getHandle(workflowIds.host(host));
    this.follow(`host ${host}`, run);
    await this.endings.at(-1);
    this.write(
      `${count} reports: ${started} started a run, ${same} were added to it; incidents: ${incidents}`,
    );
  }

  /** From whenever somebody starts it. */
  private followLater(what: string, workflowId: string): void {
    const run = this.system.client.workflow.getHandle(workflowId);
    const since = Date.now();
    const begun = async (): Promise<boolean> => {
      try {
        // Scenarios have their VMs in common, and the server their runs.
        return (await run.describe()).startTime.getTime() >= since;
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      }
    };
    const result = async (): Promise<unknown> => {
      while (!(await begun())) await delay(20);
      return run.result();
    };
    this.follow(what, { result } as WorkflowHandle);
  }

  private follow(what: string, run: WorkflowHandle): void {
    const ended = async (): Promise<void> => {
      try {
        const result = (await run.result()) as RecoverHostResult | RestartVmResult | MigrateVolumeResult;
        this.write(
          `= ${what}: ${'outcome' in result ? `${result.outcome}, ${result.sentence}` : result.phase}`,
        );
      } catch (error) {
        if (!(error instanceof WorkflowFailedError) || !(error.cause instanceof ApplicationFailure))
          throw error;
        this.write(`= ${what}: ${error.cause.type ?? ''}, ${error.cause.message}`);
      }
    };
    this.endings.push(ended());
  }

  private async until(text: string): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!this.log.slice(this.since).some((l) => l.includes(text))) {
      if (Date.now() > deadline)
        throw new Error(
          `no line with "${text}" in ${patienceMs} ms; the log so far:\n${this.log.join('\n')}`,
        );
      await delay(20);
    }
  }

  private missing(what: string): Error {
    return new Error(`waited ${patienceMs} ms for ${what}; the log so far:\n${this.log.join('\n')}`);
  }

  private async inVain(what: string): Promise<never> {
    await delay(patienceMs, undefined, { ref: false });
    throw this.missing(what);
  }

  /** Waits for every run, and for the VMs that went on after their incident, then adds where each VM runs. */
  async end(): Promise<void> {
    await Promise.race([Promise.all(this.endings), this.inVain('the end of every run')]);
    for (const { id } of this.system.spec.vms) {
      const run = this.system.client.workflow.getHandle(workflowIds.vm(id));
      const known = await run.describe().catch(() => undefined);
      if (known?.status.name === 'RUNNING') await run.result();
    }
    const { processes } = this.system.controls.snapshot();
    for (const { id, name } of this.system.spec.vms) {
      const on = processes.filter((p) => p.vmId === id && p.endedSeq === undefined).map((p) => p.hostId);
      this.write(`${name} ${on.length === 0 ? 'does not run' : `runs on ${on.join(' and ')}`}`);
    }
  }

  /** `host:a`, `vm:vm-001`, `disk:vm-001`, `device:a-bmc`, `pool` become this world's own names. */
  private named(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((v) => this.named(v));
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, this.named(v)]));
    if (typeof value !== 'string') return value;
    const { system } = this;
    if (value === 'pool') return system.spec.pools[0]?.id;
    const [kind, name] = value.split(':');
    if (name === undefined) return value;
    if (kind === 'host') return system.host(name);
    if (kind === 'vm') return system.vm(name);
    if (kind === 'device') return `${system.prefix}hv-${name}`;
    if (kind === 'disk') return system.spec.vms.find((v) => v.name === name)?.disks[0]?.path;
    return value;
  }
}

export const hasGolden = (name: string): boolean => existsSync(goldenOf(name));
