import { join } from 'node:path';
import { type PartOptions, startNodePart } from './node-process';
import type { ServerProcess } from './server-process';

export interface WorkerProcessOptions extends PartOptions {
  readonly number: number;
  /** What node runs, before the config and the ready file: the compiled entry when left out. */
  readonly program?: readonly string[];
}

/** Made so that it takes effect in every thread, before the SDK is loaded there. */
export const preload = 'no-promise-stacks.js';

/**
 * Ahead of the entry. Where a worker is started otherwise (`deploy/systemd`, the Dockerfile), the same by `NODE_OPTIONS`. Young objects get 32 MiB before they are sorted out, instead of 16: a recovery makes many and keeps few, and sorting
 * them took a tenth of the worker's CPU.
 */
export const nodeOptions = ['--require', join(__dirname, preload), '--max-semi-space-size=32'];

/** A worker as a process of its own, taking work when this returns. @throws with its last lines when it does not get there. */
export function startWorkerProcess(options: WorkerProcessOptions): Promise<ServerProcess> {
  const { number, program = [...nodeOptions, join(__dirname, '..', 'worker-entry.js')] } = options;
  return startNodePart(
    { name: `worker ${number}`, fileName: `worker-${number}`, program, work: 'took work' },
    options,
  );
}
