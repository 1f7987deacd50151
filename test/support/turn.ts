/**
 * One after another, also across jest's worker processes: suites whose guests take all the cores there are would only make each other late. The
 * turn is a lock of the kernel's, held by a child that ends when this process does, however that ends.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

const waitSeconds = 900;

/** @returns what gives the turn back. @throws when nobody gave it back in a quarter of an hour. */
export async function takeTurn(file: string): Promise<() => Promise<void>> {
  mkdirSync(dirname(file), { recursive: true });
  const hold = ['-x', '-w', String(waitSeconds), file, 'sh', '-c', 'echo mine; exec cat >/dev/null'];
  const child = spawn('flock', hold, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.stdout.once('data', () => resolve());
    child.once('close', () => reject(new Error(`${file} was held by another for ${waitSeconds} s`)));
  });
  return () => {
    child.stdin.end();
    return ended;
  };
}
