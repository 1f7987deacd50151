/** Builds the image of the storage lab where it is missing, with progress. Without it the tests that need it are left out and say so. */
import { storageImage } from './image';

async function main(): Promise<void> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const begun = Date.now();
    const told: string[] = [];
    await storageImage((line) => {
      told.push(line);
      say(line);
    });
    if (told.length > 0) say(`  done in ${Math.round((Date.now() - begun) / 1_000)} s`);
  } catch (cause) {
    say(
      `the image of the storage lab could not be built: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
    // In CI nothing may be left out.
    if (process.env['CI'] === 'true') process.exitCode = 1;
    else say('going on without: what needs a real NFS server is left out');
  }
}

void main();
