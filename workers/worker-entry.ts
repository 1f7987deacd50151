/**
 * The worker as a process of its own, for the embedded system: `worker-entry.js CONFIG READY-FILE`. Where Temporal and the inventory are
 * comes by the environment. The ready file gets this process's id once work is taken.
 */
import { writeFileSync } from 'node:fs';
import { inventoryUrl, openInstallation, temporalSettings } from './access';
import { installRuntime, openLog } from './log';
import { runWorker } from './worker';

/** @param bundle File of the workflow bundle; the build's own when left out. */
export async function startWorker(configPath: string, readyFile: string, bundle?: string): Promise<void> {
  const log = openLog();
  installRuntime(log);
  const installation = await openInstallation(configPath, process.env);
  const temporal = temporalSettings(installation, process.env);
  const url = inventoryUrl(installation, process.env);
  if (temporal === undefined || url === undefined)
    throw new Error('no Temporal server or no inventory was named');
  await runWorker({
    config: installation.config,
    configPath: installation.configPath,
    inventoryUrl: url,
    temporal,
    log,
    ...(bundle !== undefined && { bundle }),
    onReady: () => writeFileSync(readyFile, String(process.pid)),
  });
}

if (require.main === module) {
  const [configPath = '', readyFile = ''] = process.argv.slice(2);
  startWorker(configPath, readyFile).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
}
