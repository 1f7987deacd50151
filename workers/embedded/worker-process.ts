import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Progress } from './progress';
import {
  isCode,
  launchServer,
  logTail,
  type ServerLaunch,
  type ServerProcess,
  stopLeftBehind,
} from './server-process';

export interface WorkerProcessOptions {
  readonly stateDir: string;
  readonly number: number;
  readonly configPath: string;
  /** Undefined where the config or the environment names the server. */
  readonly temporalAddress: string | undefined;
  readonly inventoryUrl: string | undefined;
  readonly progress: Progress;
  /** What node runs, before the config and the ready file: the compiled entry when left out. */
  readonly program?: readonly string[];
  readonly dieWithParent?: boolean;
}

/** A cold start of Node, the SDK's native core and the drivers on a busy machine. */
const readyMs = 60_000;

/** A worker as a process of its own, taking work when this returns. @throws with its last lines when it does not get there. */
export async function startWorkerProcess(options: WorkerProcessOptions): Promise<ServerProcess> {
  const { stateDir, number, configPath, temporalAddress, inventoryUrl } = options;
  const { program = [join(__dirname, '..', 'worker-entry.js')] } = options;
  const readyFile = join(stateDir, `worker-${number}.ready`);
  const launch: ServerLaunch = {
    name: `worker ${number}`,
    command: process.execPath,
    args: [...program, configPath, readyFile],
    env: {
      ...process.env,
      ...(temporalAddress !== undefined && { TEMPORAL_ADDRESS: temporalAddress }),
      ...(inventoryUrl !== undefined && { VMEDIC_INVENTORY_URL: inventoryUrl }),
    },
    recordFile: join(stateDir, `worker-${number}.process.json`),
    logFile: join(stateDir, `worker-${number}.log`),
    stopSignal: 'SIGTERM',
    stopMs: 25_000,
    ...(options.dieWithParent && { dieWithParent: true }),
  };
  await stopLeftBehind(launch, options.progress);
  rmSync(readyFile, { force: true });
  const worker = await launchServer(launch);
  const life = { ended: false };
  void worker.exited.then(() => (life.ended = true));
  const deadline = Date.now() + readyMs;
  while (!saysReady(readyFile, worker.pid)) {
    if (life.ended) throw new Error(`it ended before it took work:\n${logTail(launch.logFile)}`);
    if (Date.now() > deadline) {
      await worker.stop();
      throw new Error(`it took no work within ${readyMs / 1000} s:\n${logTail(launch.logFile)}`);
    }
    await delay(50);
  }
  return worker;
}

function saysReady(file: string, pid: number): boolean {
  try {
    return readFileSync(file, 'utf8') === String(pid);
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return false;
    throw cause;
  }
}
