/**
 * Prints the log of one scenario as it goes now: `record` keeps it as the scenario's `expected.log`. Whoever records one reads it before it
 * is committed: from then on it is what must happen.
 */
import { hasGolden, play, scenarioNames } from './play';
import { postgres, stopAll, temporal, bundle } from '../setup/servers';

async function main(): Promise<void> {
  const [name] = process.argv.slice(2);
  if (name === undefined || !scenarioNames().includes(name))
    throw new Error(`name one of: ${scenarioNames().join(', ')}`);
  if (hasGolden(name)) throw new Error(`${name} has a log already: remove it first, on purpose`);
  await Promise.all([temporal(), postgres(), bundle()]);
  try {
    const { log, system } = await play(name);
    await system.close();
    process.stdout.write(`${log.join('\n')}\n`);
  } finally {
    await stopAll();
  }
}

// Ended outright: the servers are stopped by now, and the Temporal runtime keeps a process alive that has nothing left to do.
main().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
