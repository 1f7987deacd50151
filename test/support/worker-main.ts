/** The worker's own entry, as a process that tests start from TypeScript, with the run's workflow bundle in place of the build's. */
import { workflowBundlePath } from './servers';
import { startWorker } from '../../workers/worker-entry';

const [configPath = '', readyFile = ''] = process.argv.slice(2);

startWorker(configPath, readyFile, workflowBundlePath()).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
