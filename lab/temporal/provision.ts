/**
 * `node dist/lab/temporal/provision.js`: Temporal's server for PostgreSQL, where Go is there; what needs it says so where it is missing. The
 * development server is obtained with it, because nearly all of both is the same code and is compiled once.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from '../../workers/embedded/cache-dir';
import { provisionTemporal } from '../../workers/embedded/temporal-binary';
import { obtainCluster } from './program';

const progress = (line: string): void => void process.stderr.write(`  ${line}\n`);

async function provision(): Promise<void> {
  const shared = join(cacheDir(), 'temporal-cluster', `go.${process.pid}.part`);
  process.env['VMEDIC_GO_CACHE'] = shared;
  try {
    await provisionTemporal({ progress });
    const got = await obtainCluster(progress);
    progress(
      'path' in got ? `Temporal on PostgreSQL: ${got.path}` : `no Temporal on PostgreSQL: ${got.reason}`,
    );
  } finally {
    rmSync(shared, { recursive: true, force: true });
  }
}

provision().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
