/**
 * The API as a process of its own, for the embedded system: `api-entry.js CONFIG READY-FILE`. Where Temporal and the inventory are, and where
 * to listen, comes by the environment. The ready file gets this process's id once it answers.
 */
import { writeFileSync } from 'node:fs';
import { inventoryUrl, openInstallation, temporalSettings } from './access';
import { startApi } from './api-server';
import { openLog } from './open-log';

/** Answers until it is told to stop (SIGTERM, SIGINT). */
export async function runApi(configPath: string, readyFile: string): Promise<void> {
  const env = process.env;
  const installation = await openInstallation(configPath, env);
  const temporal = temporalSettings(installation, env);
  const url = inventoryUrl(installation, env);
  if (temporal === undefined || url === undefined)
    throw new Error('no Temporal server or no inventory was named');
  const api = await startApi({ installation, inventoryUrl: url, temporal, log: openLog(env), env });
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => void api.stop().then(resolve, resolve));
  });
  writeFileSync(readyFile, String(process.pid));
  await ended;
}

if (require.main === module) {
  const [configPath = '', readyFile = ''] = process.argv.slice(2);
  runApi(configPath, readyFile).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      process.exit(1);
    },
  );
}
