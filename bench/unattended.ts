/** What nobody asked for: a host loses power, a VM is destroyed, and the watch sees to it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { IncidentRecord } from '../domain/records';
import { type RunningSystem, withSystem } from './running-system';
import type { BenchSite } from './site';

export interface UnattendedResult {
  readonly name: string;
  readonly vms: number;
  /** Seconds after the VM was destroyed. */
  readonly vm: { readonly noticed: number; readonly back: number; readonly graceSeconds: number };
  /** Seconds after the power cut. */
  readonly host: {
    readonly noticed: number;
    readonly off: number;
    readonly first: number;
    readonly last: number;
    readonly closed: number;
  };
  readonly complaints: readonly string[];
}

export function measureUnattended(
  name: string,
  site: BenchSite,
  options: {
    readonly graceSeconds: number;
    readonly timeoutMs: number;
    readonly progress: (line: string) => void;
  },
): Promise<UnattendedResult> {
  return withSystem(site, options, async (running) => {
    const victim = site.vms[0];
    if (victim === undefined) throw new Error('there is no VM to destroy');
    const destroyedMs = await site.destroyVm(victim);
    const lost = await closed(running, options.timeoutMs, (i) => i.target.kind === 'vm');
    if (lost.outcome !== 'recovered') throw new Error(`${victim.name}: ${lost.summary}`);
    const ups = await site.watch();
    try {
      const cutMs = await site.cutPower();
      const incident = await closed(running, options.timeoutMs, (i) => i.target.kind === 'host');
      const upMs = [...(await ups.all(options.timeoutMs))].sort((a, b) => a - b);
      const since = (from: number, to: string | number | undefined): number =>
        ((typeof to === 'string' ? Date.parse(to) : (to ?? NaN)) - from) / 1000;
      const timeline = await running.inventory.timeline(incident.incidentId);
      return {
        ...{ name, vms: site.vms.length },
        vm: {
          noticed: since(destroyedMs, lost.openedAt),
          back: since(destroyedMs, lost.closedAt),
          graceSeconds: options.graceSeconds,
        },
        host: {
          noticed: since(cutMs, incident.openedAt),
          off: since(cutMs, timeline.find((e) => e.kind === 'evidence')?.at),
          first: since(cutMs, upMs[0]),
          last: since(cutMs, upMs.at(-1)),
          closed: since(cutMs, incident.closedAt),
        },
        complaints: (await site.complaints()).filter((c) => !c.startsWith(`${victim.name} was started`)),
      };
    } finally {
      ups.stop();
    }
  });
}

async function closed(
  { inventory }: RunningSystem,
  timeoutMs: number,
  wanted: (incident: IncidentRecord) => boolean,
): Promise<IncidentRecord> {
  for (const deadline = Date.now() + timeoutMs; ; await delay(50)) {
    const found = (await inventory.incidents()).find(wanted);
    if (found?.closedAt !== undefined) return found;
    if (Date.now() > deadline) throw new Error(found?.summary ?? 'nothing was noticed');
  }
}

export function unattendedText({ name, vms, vm, host, complaints }: UnattendedResult): string {
  const s = (seconds: number): string => seconds.toFixed(2);
  return [
    `${name}: ${vms} VMs, nobody asks for anything; seconds`,
    `  a VM destroyed:    noticed ${s(vm.noticed)}, back and checked ${s(vm.back)} (of which ${vm.graceSeconds} are its grace)`,
    `  a host's power cut: noticed ${s(host.noticed)}, off proven ${s(host.off)}, first VM ${s(host.first)}, last VM ${s(host.last)}, closed ${s(host.closed)}`,
    ...complaints.map((why) => `  WRONG: ${why}`),
  ].join('\n');
}
