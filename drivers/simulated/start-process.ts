import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { WorldSpec } from './world-spec';

/** A Unix socket's path has 108 bytes; beyond it `listen` fails with a message that does not say so. */
const socketPathBytesMax = 107;
/** A cold start of Node on a busy machine takes seconds, not minutes. */
const readyMsMax = 20_000;

export interface SimulatedProcess {
  readonly pid: number;
  /** Ends it and waits until it is gone. The world is gone with it. */
  stop(): Promise<void>;
}

/** Starts the world as a process of its own, detached, so that it outlives the one that started it. Returns once it answers. */
export async function startSimulatedProcess(options: {
  readonly socket: string;
  readonly world: WorldSpec;
  /** Options for Node, for instance a hook that loads TypeScript. */
  readonly execArgv?: readonly string[];
}): Promise<SimulatedProcess> {
  if (Buffer.byteLength(options.socket) > socketPathBytesMax)
    throw new Error(
      `the socket path ${options.socket} is longer than ${socketPathBytesMax} bytes: choose a shorter folder`,
    );
  const worldFile = `${options.socket}.world.json`;
  writeFileSync(worldFile, JSON.stringify(options.world), { mode: 0o600 });
  const script = join(__dirname, __filename.endsWith('.ts') ? 'server.ts' : 'server.js');
  const child = spawn(process.execPath, [...(options.execArgv ?? []), script, options.socket, worldFile], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        reject(new Error(`the simulated datacenter did not start: ${why} ${complaint.trim()}`));
      };
      const timer = setTimeout(() => fail(`no sign of it in ${readyMsMax} ms.`), readyMsMax);
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code) => fail(`it ended with code ${code}.`));
      child.stdout.once('data', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    rmSync(worldFile, { force: true });
  }
  child.stdout.destroy();
  child.stderr.destroy();
  child.unref();
  return {
    pid: child.pid as number,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await exited;
      clearTimeout(timer);
      rmSync(options.socket, { force: true });
    },
  };
}
