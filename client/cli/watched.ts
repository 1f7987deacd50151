/** After a start: every cluster is watched, and what the hosts run is known. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from '../../domain/fleet';
import { connectTemporal, type TemporalSettings } from '../temporal';
import { ensureWatches } from '../watches';
import { Refusal } from '../errors';
import type { Inventory } from './session';

export async function watchFleet(settings: TemporalSettings, fleet: Fleet): Promise<void> {
  const session = await connectTemporal(settings);
  try {
    await ensureWatches(session.client, fleet);
  } finally {
    await session.close();
  }
}

/**
 * Begins again, within a minute, a watch that somebody has ended: its end is nothing that anybody else would notice.
 *
 * @returns what ends it.
 */
export function keepWatched(
  ensure: () => Promise<void>,
  note: (line: string) => void,
  everyMs = 60_000,
): () => void {
  const over = new AbortController();
  const { signal } = over;
  void (async () => {
    let failing = false;
    for (;;) {
      await delay(everyMs, undefined, { signal });
      try {
        await ensure();
        failing = false;
      } catch (error) {
        // Asked again in a minute, for as long as that takes; the heartbeat stops meanwhile where there is no watch.
        if (!failing) note(`the watches could not be seen to: ${String(error)}`);
        failing = true;
      }
    }
    // Told to end: the pause is all that throws.
  })().catch(() => undefined);
  return () => over.abort();
}

/** Until every host was seen and so many VMs are known to run. */
export async function untilDiscovered(
  inventory: Inventory,
  fleet: Fleet,
  running: number,
  signal?: AbortSignal,
  deadlineMs = 60_000,
): Promise<void> {
  for (
    const deadline = Date.now() + deadlineMs;
    ;
    await delay(200, undefined, signal === undefined ? {} : { signal })
  ) {
    const [hosts, vms] = await Promise.all([inventory.hosts(), inventory.vms()]);
    const unseen = fleet.clusters
      .flatMap((c) => c.hosts)
      .filter((h) => hosts.find((r) => r.hostId === h.id)?.lastSeenAt === undefined)
      .map((h) => h.id);
    const known = vms.filter((v) => v.observed.state === 'running').length;
    if (unseen.length === 0 && known >= running) return;
    if (Date.now() > deadline)
      throw new Refusal(
        'refused',
        'NOT_DISCOVERED',
        `After ${deadlineMs / 1000} s ${known} of ${running} VMs are known${unseen.length === 0 ? '' : `, and ${unseen.join(', ')} never answered`}`,
        'vmedic status',
      );
  }
}
