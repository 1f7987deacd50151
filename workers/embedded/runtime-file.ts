/** What a running embedded system says of itself in its state folder, for command lines that look for it. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, isCode, type ProcessIdentity } from './server-process';

export interface RuntimeFile {
  readonly version: 1;
  readonly stage: 'starting' | 'running';
  readonly supervisor: ProcessIdentity;
  readonly configPath: string;
  readonly startedAt: string;
  readonly temporal: {
    readonly address: string;
    readonly namespace: string;
    readonly uiUrl?: string;
    /** Undefined when the server is somebody else's. */
    readonly pid?: number;
  };
  /** A local URL without a secret, or the reference that the config gives. */
  readonly inventory: { readonly url: string; readonly pid?: number };
  readonly workers: readonly { readonly pid: number }[];
  /** Left out while it is not there yet. */
  readonly api?: { readonly url: string; readonly listen: string; readonly pid: number };
}

const pathIn = (stateDir: string): string => join(stateDir, 'runtime.json');

/** The file as it is, whether or not its system still runs; undefined when there is none. */
export function readRuntime(stateDir: string): RuntimeFile | undefined {
  let text: string;
  try {
    text = readFileSync(pathIn(stateDir), 'utf8');
  } catch (cause) {
    if (isCode(cause, 'ENOENT') || isCode(cause, 'ENOTDIR')) return undefined;
    throw cause;
  }
  return JSON.parse(text) as RuntimeFile;
}

/** Whether the process that supervises the system lives; servers that it left behind may answer all the same. */
export const isSupervised = (runtime: RuntimeFile): boolean => isAlive(runtime.supervisor);

/** Replaces the file in one step: a reader sees the old or the new one, never half. */
export function writeRuntime(stateDir: string, runtime: RuntimeFile): void {
  const scratch = `${pathIn(stateDir)}.${process.pid}`;
  writeFileSync(scratch, `${JSON.stringify(runtime, null, 2)}\n`, { mode: 0o600 });
  renameSync(scratch, pathIn(stateDir));
}
