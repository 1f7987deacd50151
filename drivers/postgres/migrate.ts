import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import { Client } from 'pg';
import { asFault } from './connection';

/** Any number, as long as it stays the same: whoever migrates this inventory waits for whoever does so already. */
const migrationLock = 7_316_420_951;

const connectMs = 5_000;
/** A migration may rewrite a table; another process's migration is waited for under the same limit. */
const migrationMs = 120_000;

/**
 * Brings the database's tables to this version. Idempotent, and safe when several processes start at once: one does it, the others wait
 * and find it done. Throws `INVENTORY_UNREACHABLE`.
 */
export async function migrateInventory(url: string): Promise<void> {
  const client = new Client({
    connectionString: url,
    application_name: 'vmedic-migrate',
    connectionTimeoutMillis: connectMs,
    statement_timeout: migrationMs,
    query_timeout: migrationMs + connectMs,
  });
  // A connection lost while idle is reported by the statement that comes next.
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select pg_advisory_lock($1)', [migrationLock]);
    // "already exists, skipping" at every start says nothing to anybody.
    await client.query('set client_min_messages = warning');
    await migrate(drizzle(client), { migrationsFolder: migrationsFolder() });
  } catch (error) {
    throw asFault(error);
  } finally {
    // Closing the connection gives the lock back.
    await client.end();
  }
}

/** From the sources and from `dist/` alike: the compiler does not copy SQL files, so they are found beside the sources in both cases. */
export function migrationsFolder(): string {
  for (let folder = __dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const migrations = join(folder, 'drivers', 'postgres', 'migrations');
    if (existsSync(join(migrations, 'meta', '_journal.json'))) return migrations;
  }
  throw new Error(
    `the inventory's migrations were not found above ${__dirname}; the installation is incomplete`,
  );
}
