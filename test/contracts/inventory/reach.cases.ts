/** A database that is away, hangs or was never made ready: each call ends in time, says so, and leaves nothing broken behind. */
import { createServer } from 'node:net';
import { Client } from 'pg';
import { migrateInventory, openInventory, type OpenInventory } from '../../../drivers/postgres';
import { emptyDatabase, query, withDatabase } from '../../support/databases';
import { declareHosts, faultCode, hostIncident, hvA, incident, line, trigger } from './samples';

interface ReachCase {
  readonly name: string;
  readonly run: (url: string) => Promise<void>;
}

const shortDeadlines = { connectMs: 1_000, statementMs: 600, lockMs: 300, answerMs: 800 };
/** Connecting and one statement, with room for a busy machine. */
const endsWithinMs = 5_000;

async function inTime<T>(call: Promise<T>): Promise<T> {
  const begun = Date.now();
  const result = await call;
  expect(Date.now() - begun).toBeLessThan(endsWithinMs);
  return result;
}

/** The only backend of this inventory stops answering, and lives. Returned: let it go on. */
async function hang(url: string): Promise<() => void> {
  const found = (await query(
    url,
    "select pid from pg_stat_activity where datname = current_database() and application_name = 'vmedic'",
  )) as { pid: number }[];
  expect(found).toHaveLength(1);
  const pid = found[0]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  let hangs = true;
  return () => {
    // Once: gone on, it finds its connection closed and ends.
    if (hangs) process.kill(pid, 'SIGCONT');
    hangs = false;
  };
}

async function withOneConnection(
  url: string,
  use: (inventory: OpenInventory) => Promise<void>,
): Promise<void> {
  const inventory = openInventory({ url, poolMax: 1, deadlines: shortDeadlines });
  try {
    await use(inventory);
  } finally {
    await inventory.close();
  }
}

export const reachCases: readonly ReachCase[] = [
  {
    name: 'a server that does not exist is unreachable, by the name of the cause',
    run: (url) => {
      const nowhere = new URL(url);
      nowhere.searchParams.set('host', '/nonexistent');
      return withOneConnection(nowhere.toString(), async (inventory) => {
        await expect(inventory.ping()).rejects.toMatchObject({
          fault: { code: 'INVENTORY_UNREACHABLE', class: 'transient' },
          cause: { code: 'ENOENT' },
        });
        expect(await faultCode(inventory.openIncident(hostIncident(), trigger(0)))).toBe(
          'INVENTORY_UNREACHABLE',
        );
        expect(await faultCode(inventory.appendTimeline(incident, [line('a')]))).toBe(
          'INVENTORY_UNREACHABLE',
        );
        expect(await faultCode(migrateInventory(nowhere.toString()))).toBe('INVENTORY_UNREACHABLE');
      });
    },
  },
  {
    name: 'a server that takes a connection and never says a word is unreachable in time',
    run: async () => {
      const mute = createServer();
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
      const address = mute.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      try {
        await withOneConnection(`postgresql://vmedic@127.0.0.1:${port}/x`, async (inventory) => {
          expect(await inTime(faultCode(inventory.hosts()))).toBe('INVENTORY_UNREACHABLE');
        });
      } finally {
        mute.close();
      }
    },
  },
  {
    name: 'a read from a server that hangs ends in time, and the next one has a connection of its own',
    run: (url) =>
      withOneConnection(url, async (inventory) => {
        await declareHosts(inventory);
        const goOn = await hang(url);
        try {
          expect(await inTime(faultCode(inventory.hosts()))).toBe('INVENTORY_UNREACHABLE');
          expect(await inTime(inventory.hosts())).toHaveLength(2);
        } finally {
          goOn();
        }
      }),
  },
  {
    name: 'a transaction on a server that hangs ends in time, and repeated it makes no second entry',
    run: (url) =>
      withOneConnection(url, async (inventory) => {
        await inventory.openIncident(hostIncident(), trigger(0));
        const goOn = await hang(url);
        try {
          const append = () => inventory.appendTimeline(incident, [line('once')]);
          expect(await inTime(faultCode(append()))).toBe('INVENTORY_UNREACHABLE');
          await inTime(append());
          goOn();
          expect(await inventory.timeline(incident)).toHaveLength(1);
        } finally {
          goOn();
        }
      }),
  },
  {
    name: 'a row that somebody keeps locked is waited for only so long',
    run: (url) =>
      withOneConnection(url, async (inventory) => {
        await declareHosts(inventory);
        const holder = new Client({ connectionString: url });
        await holder.connect();
        try {
          await holder.query("begin; select 1 from hosts where host_id = 'hv-a' for update");
          const change = () => inventory.updateHost(hvA, 1, { standing: 'excluded' });
          await expect(inTime(change())).rejects.toThrow('a row stayed locked by another transaction');
          await holder.query('rollback');
          expect(await change()).toMatchObject({ standing: 'excluded', version: 2 });
        } finally {
          await holder.end();
        }
      }),
  },
  {
    name: 'a connection that the server closed while idle costs no call',
    run: (url) =>
      withOneConnection(url, async (inventory) => {
        await inventory.ping();
        await query(
          url,
          "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name = 'vmedic'",
        );
        // The pool hears of it with the next turn of the event loop, as it would between two calls.
        await new Promise(setImmediate);
        await inventory.ping();
      }),
  },
  {
    name: 'an empty database is told apart from one that is away, and made ready by several at once',
    run: async (url) => {
      const empty = await emptyDatabase(url);
      try {
        await withOneConnection(empty.url, async (inventory) => {
          await expect(inventory.hosts()).rejects.toThrow('its tables are missing; run vmedic setup');
          await Promise.all(Array.from({ length: 4 }, () => migrateInventory(empty.url)));
          await migrateInventory(empty.url);
          await declareHosts(inventory);
          expect(await inventory.hosts()).toHaveLength(2);
        });
      } finally {
        await empty.drop();
      }
    },
  },
  {
    name: 'a database that does not exist is named as the cause',
    run: (url) =>
      withOneConnection(withDatabase(url, 'never_made'), async (inventory) => {
        await expect(inventory.hosts()).rejects.toThrow('the database does not exist');
      }),
  },
];
