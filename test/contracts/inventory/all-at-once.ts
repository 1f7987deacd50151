import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import type { InventorySubject } from './samples';

const waitMs = 10_000;

/** Races are made, not hoped for: started on a busy machine, calls tend to run one after another and prove nothing. */
export const allAtOnce =
  (url: string): InventorySubject['allAtOnce'] =>
  async (rows, calls) => {
    const holder = new Client({ connectionString: url });
    await holder.connect();
    try {
      await holder.query('begin');
      await holder.query(rows);
      const running = Promise.allSettled(calls.map((call) => call()));
      await untilWaiting(holder, calls.length);
      await holder.query('rollback');
      return await running;
    } finally {
      await holder.end();
    }
  };

async function untilWaiting(holder: Client, count: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  const sql =
    "select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  let waiting = 0;
  while (waiting < count) {
    if (Date.now() > deadline)
      throw new Error(`${waiting} of ${count} calls came to wait for the locked rows`);
    await delay(10);
    // Within a transaction the view keeps showing what it showed first.
    await holder.query('select pg_stat_clear_snapshot()');
    waiting = (await holder.query<{ n: number }>(sql)).rows[0]?.n ?? 0;
  }
}
