/** VMedic at work on a site, as `vmedic up` has it, with every VM of the site known. */
import { setTimeout as delay } from 'node:timers/promises';
import { connectTemporal, type TemporalSession } from '../client/temporal';
import { ensureWatches } from '../client/watches';
import { type OpenInventory, openInventory } from '../drivers/postgres';
import { fleetOf } from '../workers/config';
import { type EmbeddedSystem, startEmbeddedSystem } from '../workers/embedded/system';
import type { BenchSite } from './site';

export interface RunningSystem {
  readonly system: EmbeddedSystem;
  readonly session: TemporalSession;
  readonly inventory: OpenInventory;
}

export async function withSystem<T>(
  site: BenchSite,
  { timeoutMs, progress }: { readonly timeoutMs: number; readonly progress: (line: string) => void },
  work: (running: RunningSystem) => Promise<T>,
): Promise<T> {
  const { config, configPath, stateDir } = site;
  const system = await startEmbeddedSystem({ config, configPath, stateDir, progress });
  try {
    const session = await connectTemporal(system.runtime.temporal);
    const inventory = openInventory({ url: system.runtime.inventory.url, poolMax: 2 });
    try {
      await ensureWatches(session.client, fleetOf(config));
      await untilKnown(inventory, site, timeoutMs);
      return await work({ system, session, inventory });
    } finally {
      await inventory.close();
      await session.close();
    }
  } finally {
    await system.stop();
  }
}

/** A dead host has no definition to give: VMedic must know every VM before. */
async function untilKnown(inventory: OpenInventory, site: BenchSite, timeoutMs: number): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; ; await delay(200)) {
    const [hosts, vms] = await Promise.all([inventory.hosts(), inventory.vms()]);
    const seen = hosts.filter((h) => h.lastSeenAt !== undefined).length;
    const known = vms.filter((vm) => vm.observed.state === 'running').length;
    if (seen > site.survivors.length && known === site.vms.length) return;
    if (Date.now() > deadline) throw new Error(`${known} of ${site.vms.length} VMs were discovered`);
  }
}
