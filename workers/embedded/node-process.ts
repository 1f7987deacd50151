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

/** Where a part of VMedic finds the others, and where it writes what it says. */
export interface PartOptions {
  readonly stateDir: string;
  readonly configPath: string;
  /** Undefined where the config or the environment names the server. */
  readonly temporalAddress: string | undefined;
  readonly inventoryUrl: string | undefined;
  readonly progress: Progress;
  readonly dieWithParent?: boolean;
}

export interface NodePart {
  /** For people: "worker 0". */
  readonly name: string;
  /** For files: "worker-0". */
  readonly fileName: string;
  /** What node runs, before the config and the ready file. */
  readonly program: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Between "it started" and "it does its work", for the sentence that reports its failure. */
  readonly work: string;
}

/** A cold start of Node, the SDK's native core and the drivers on a busy machine. */
const readyMs = 60_000;

/** A part of VMedic as a process of its own, at work when this returns. @throws with its last lines when it does not get there. */
export async function startNodePart(part: NodePart, options: PartOptions): Promise<ServerProcess> {
  const { stateDir, configPath, temporalAddress, inventoryUrl } = options;
  const readyFile = join(stateDir, `${part.fileName}.ready`);
  const launch: ServerLaunch = {
    name: part.name,
    command: process.execPath,
    args: [...part.program, configPath, readyFile],
    env: {
      ...process.env,
      ...(temporalAddress !== undefined && { TEMPORAL_ADDRESS: temporalAddress }),
      ...(inventoryUrl !== undefined && { VMEDIC_INVENTORY_URL: inventoryUrl }),
      ...part.env,
    },
    recordFile: join(stateDir, `${part.fileName}.process.json`),
    logFile: join(stateDir, `${part.fileName}.log`),
    stopSignal: 'SIGTERM',
    stopMs: 25_000,
    ...(options.dieWithParent && { dieWithParent: true }),
  };
  await stopLeftBehind(launch, options.progress);
  rmSync(readyFile, { force: true });
  const started = await launchServer(launch);
  const life = { ended: false };
  void started.exited.then(() => (life.ended = true));
  const deadline = Date.now() + readyMs;
  while (!saysReady(readyFile, started.pid)) {
    if (life.ended) throw new Error(`it ended before it ${part.work}:\n${logTail(launch.logFile)}`);
    if (Date.now() > deadline) {
      await started.stop();
      throw new Error(`it had not ${part.work} within ${readyMs / 1000} s:\n${logTail(launch.logFile)}`);
    }
    await delay(50);
  }
  return started;
}

function saysReady(file: string, pid: number): boolean {
  try {
    return readFileSync(file, 'utf8') === String(pid);
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return false;
    throw cause;
  }
}
