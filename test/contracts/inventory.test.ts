/** The inventory's contract on both servers: the embedded one that the run shares, and a cluster of Debian's package. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openInventory } from '../../drivers/postgres';
import { startEmbeddedPostgres } from '../../workers/embedded/postgres';
import { query } from '../support/databases';
import { debianPostgres, type OwnCluster, startDebianCluster } from '../support/debian-postgres';
import { freshInventory } from '../support/inventory';
import { describeIf } from '../support/optional';
import { allAtOnce } from './inventory/all-at-once';
import { inventoryCases } from './inventory.contract';
import { reachCases } from './inventory/reach.cases';
import { losesNothingWhenKilled } from './inventory/crash';

/** @param server undefined: the run's own. */
function runCases(server: () => string | undefined): void {
  it.each(inventoryCases.map((c) => [c.name, c] as const))('%s', async (_, { run }) => {
    const fresh = await freshInventory(server());
    const other = openInventory({ url: fresh.url });
    try {
      const behind = (sql: string) => query(fresh.url, sql);
      await run({ inventory: fresh.inventory, other, behind, allAtOnce: allAtOnce(fresh.url) });
    } finally {
      await other.close();
      await fresh.close();
    }
  });

  it.each(reachCases.map((c) => [c.name, c] as const))('%s', async (_, { run }) => {
    const fresh = await freshInventory(server());
    try {
      await run(fresh.url);
    } finally {
      await fresh.close();
    }
  });
}

async function embeddedCluster(): Promise<OwnCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'vmc-'));
  const start = () =>
    startEmbeddedPostgres({ dataDir: join(folder, 'pg'), socketDir: join(folder, 's'), dieWithParent: true });
  let server = await start();
  return {
    url: server.url,
    async crash() {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      server = await start();
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe('the inventory on the embedded PostgreSQL', () => {
  runCases(() => undefined);

  it('loses no acknowledged row when its server is killed in the middle of appends', async () => {
    await losesNothingWhenKilled(await embeddedCluster());
  });
});

const debian = debianPostgres();

describeIf(debian !== undefined, "Debian's postgresql package is not installed")(
  "the inventory on Debian's PostgreSQL",
  () => {
    let cluster: OwnCluster;
    beforeAll(async () => {
      cluster = await startDebianCluster(debian ?? '', { fsync: false });
    });
    afterAll(() => cluster.stop());
    runCases(() => cluster.url);

    it('loses no acknowledged row when its server is killed in the middle of appends', async () => {
      await losesNothingWhenKilled(await startDebianCluster(debian ?? ''));
    });
  },
);
