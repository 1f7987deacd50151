// What else the same Node process can still do: the question behind every measurement here.
import { pbkdf2 } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

export const PATIENCE_MS = 2000;

/** Milliseconds until `work` answers, or null when it has not within PATIENCE_MS. */
export async function answersIn(work) {
  const begun = performance.now();
  let timer;
  const silence = new Promise((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, null);
  });
  const answer = Promise.resolve(work()).then(() => performance.now() - begun);
  const waited = await Promise.race([answer, silence]);
  clearTimeout(timer);
  answer.catch(() => undefined); // it lost the race; its outcome no longer matters
  return waited;
}

const READS_A_FILE = `
  const { parentPort } = require('node:worker_threads');
  require('node:fs').readFile('/etc/hostname', () => parentPort.postMessage('read'));`;

function readInWorkerThread() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(READS_A_FILE, { eval: true });
    worker.once('message', resolve).once('error', reject);
    worker.unref();
  });
}

/** Each row is independent and they run at once, as the parts of a real service would. */
export async function probeProcess(otherHost) {
  const rows = {
    timer: () => new Promise((resolve) => setTimeout(resolve, 1)),
    'fs.readFile': () => readFile('/etc/hostname'),
    'dns.lookup': () => lookup('localhost'),
    'crypto.pbkdf2': () => promisify(pbkdf2)('secret', 'salt', 1000, 32, 'sha256'),
    'fs in a worker thread': readInWorkerThread,
    'another host': otherHost,
  };
  const measured = await Promise.all(Object.values(rows).map(answersIn));
  return Object.fromEntries(Object.keys(rows).map((name, index) => [name, measured[index]]));
}
