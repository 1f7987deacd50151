import { join } from 'node:path';
import { type PartOptions, startNodePart } from './node-process';
import type { ServerProcess } from './server-process';

export interface WorkerProcessOptions extends PartOptions {
  readonly number: number;
  /** What node runs, before the config and the ready file: the compiled entry when left out. */
  readonly program?: readonly string[];
}

/** A worker as a process of its own, taking work when this returns. @throws with its last lines when it does not get there. */
export function startWorkerProcess(options: WorkerProcessOptions): Promise<ServerProcess> {
  const { number, program = [join(__dirname, '..', 'worker-entry.js')] } = options;
  return startNodePart(
    { name: `worker ${number}`, fileName: `worker-${number}`, program, work: 'took work' },
    options,
  );
}
