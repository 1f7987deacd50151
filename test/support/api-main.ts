/** The API's own entry, as a process that tests start from TypeScript. */
import { runApi } from '../../workers/api-entry';

const [configPath = '', readyFile = ''] = process.argv.slice(2);

runApi(configPath, readyFile).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
