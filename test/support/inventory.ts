import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openInventory, type OpenInventory } from '../../drivers/postgres';
import type { EmbeddedPostgres } from '../../workers/embedded/postgres';
import { migratedDatabase } from './databases';

export interface FreshInventory {
  readonly inventory: OpenInventory;
  /** For further connections, as other processes would have them. */
  readonly url: string;
  /** Closes the connections and drops the database. */
  close(): Promise<void>;
}

/**
 * An empty inventory of one's own, on the PostgreSQL server that the run shares (`VMEDIC_TEST_POSTGRES`), or, where no setup started one,
 * on a server of the test file's own.
 */
export async function freshInventory(server?: string): Promise<FreshInventory> {
  const database = await migratedDatabase(
    server ?? process.env['VMEDIC_TEST_POSTGRES'] ?? (await ownServer()),
  );
  const inventory = openInventory({ url: database.url });
  return {
    inventory,
    url: database.url,
    async close() {
      await inventory.close();
      await database.drop();
    },
  };
}

let started: Promise<EmbeddedPostgres> | undefined;

async function ownServer(): Promise<string> {
  started ??= startOwn();
  return (await started).url;
}

async function startOwn(): Promise<EmbeddedPostgres> {
  const { startEmbeddedPostgres } = await import('../../workers/embedded/postgres');
  const folder = mkdtempSync(join(tmpdir(), 'vmi-'));
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'pg'),
    socketDir: join(folder, 's'),
    durability: 'none',
    dieWithParent: true,
  });
  return {
    ...server,
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// Each test file loads this module anew, and so ends its own server; beyond jest the process's end has to do.
if (typeof afterAll === 'function')
  afterAll(async () => {
    await (await started)?.stop();
  });
