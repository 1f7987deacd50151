import { setTimeout as delay } from 'node:timers/promises';
import { faultOf } from '../../../activities/fault-boundary';
import { verifyTimeline } from '../../../domain/timeline';
import { openInventory, sha256 } from '../../../drivers/postgres';
import type { OwnCluster } from '../../support/debian-postgres';
import { migratedDatabase } from '../../support/databases';
import { hostIncident, incident, line, trigger } from './samples';

const writers = 8;
const killAfter = 200;
const linesPerWriter = 100;

/**
 * Several writers append, each line tried again until it is acknowledged, as activities do. The server is killed in the middle; afterwards
 * every acknowledged line is there, exactly once, in one unbroken chain.
 */
export async function losesNothingWhenKilled(cluster: OwnCluster): Promise<void> {
  const database = await migratedDatabase(cluster.url);
  const inventory = openInventory({ url: database.url });
  let acknowledged = 0;
  let refused = 0;
  let crashed: Promise<void> | undefined;

  async function write(key: string): Promise<void> {
    for (;;) {
      try {
        await inventory.appendTimeline(incident, [line(key)]);
        acknowledged += 1;
        if (acknowledged === killAfter) crashed = cluster.crash();
        return;
      } catch (error) {
        expect(faultOf(error)?.code).toBe('INVENTORY_UNREACHABLE');
        refused += 1;
        await delay(20);
      }
    }
  }

  try {
    await inventory.openIncident(hostIncident(), trigger(0));
    await Promise.all(
      Array.from({ length: writers }, async (_, w) => {
        for (let i = 0; i < linesPerWriter; i += 1) await write(`w${w}-${i}`);
      }),
    );
    await crashed;
    const entries = await inventory.timeline(incident);
    expect(crashed).toBeDefined();
    expect(refused).toBeGreaterThan(0);
    expect(acknowledged).toBe(writers * linesPerWriter);
    expect(new Set(entries.map((e) => e.sentence)).size).toBe(acknowledged);
    expect(entries).toHaveLength(acknowledged);
    expect(verifyTimeline(entries, sha256)).toEqual({ ok: true });
  } finally {
    await crashed;
    await inventory.close();
    await cluster.stop();
  }
}
