/** Obtains, with progress, what the embedded system needs besides npm packages: `node dist/workers/embedded/provision.js`. */
import { postgresBinaries } from './postgres-binaries';
import { provisionTemporal } from './temporal-binary';

async function provision(): Promise<void> {
  const progress = (line: string): void => void process.stderr.write(`  ${line}\n`);
  const temporal = await provisionTemporal({ progress });
  progress(
    temporal.kind === 'address'
      ? `Temporal: the server at ${temporal.address}`
      : `Temporal: ${temporal.path}`,
  );
  const { postgres } = await postgresBinaries(progress);
  progress(`PostgreSQL: ${postgres}`);
}

provision().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
