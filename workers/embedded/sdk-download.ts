import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { packageRoot } from './package-root';
import { type Progress, withProgress } from './progress';

const HOST = 'temporal.download';
const CLI_VERSION = 'v1.8.2';
const REACH_MS = 3_000;
const STALL_MS = 20_000;
const WHOLE_MS = 10 * 60_000;

/**
 * The SDK has a downloader, but only as a side effect of starting a test server; and native code that waits for the network cannot
 * be called off. So it runs as a child, which is killed when no byte has come for a while.
 */
export async function downloadBySdk(
  folder: string,
  progress: Progress,
): Promise<{ path: string } | { reason: string }> {
  if (!hasTestingPackage())
    return { reason: 'the SDK cannot download Temporal: its @temporalio/testing package is not installed' };
  if (!behindProxy() && !(await reaches(HOST)))
    return { reason: `the SDK cannot download Temporal: ${HOST} cannot be reached from here` };
  const failure = await withProgress(progress, `downloading Temporal ${CLI_VERSION} from ${HOST}`, () =>
    runChild(folder),
  );
  const path = existsSync(folder)
    ? readdirSync(folder)
        .map((name) => join(folder, name))
        .find((file) => /cli|temporal/.test(file) && !/\.(downloading|part)$/.test(file))
    : undefined;
  if (failure === undefined && path !== undefined) return { path };
  return { reason: `the SDK could not download Temporal: ${failure ?? 'it left no file behind'}` };
}

function hasTestingPackage(): boolean {
  return existsSync(join(packageRoot(), 'node_modules', '@temporalio', 'testing'));
}

function behindProxy(): boolean {
  return ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].some((name) => process.env[name]);
}

function reaches(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 443, timeout: REACH_MS });
    const answer = (reached: boolean) => () => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', answer(true)).once('error', answer(false)).once('timeout', answer(false));
    // `timeout` does not cover the look-up of the name.
    setTimeout(answer(false), REACH_MS).unref();
  });
}

/** Undefined when it worked, else why not. */
async function runChild(folder: string): Promise<string | undefined> {
  const script =
    "const { TestWorkflowEnvironment: T } = require('@temporalio/testing');" +
    "T.createLocal({ server: { executable: { type: 'cached-download', version: process.argv[1], downloadDir: process.argv[2] } } })" +
    '.then((e) => e.teardown()).then(() => process.exit(0), (e) => { console.error(e.message); process.exit(1); });';
  const child = spawn(process.execPath, ['-e', script, CLI_VERSION, folder], {
    cwd: packageRoot(),
    env: process.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2_000)));
  let code: number | null | undefined;
  child.once('error', () => (code = 1));
  child.once('close', (status) => (code = status));
  const startedAt = Date.now();
  let grewAt = startedAt;
  let size = 0;
  while (code === undefined) {
    await delay(200);
    const now = Date.now();
    const sizeNow = bytesIn(folder);
    if (sizeNow !== size) [size, grewAt] = [sizeNow, now];
    if (now - grewAt > STALL_MS || now - startedAt > WHOLE_MS) {
      child.kill('SIGKILL');
      return `nothing came for ${Math.round((now - grewAt) / 1000)} s after ${size} bytes`;
    }
  }
  return code === 0 ? undefined : said.trim().split('\n').at(-1) || `its process ended with ${String(code)}`;
}

function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}
