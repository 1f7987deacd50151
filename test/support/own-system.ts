/** All that VMedic consists of, each part a process of the test's own that is kept running, so that it can be killed in the middle. */
import { join } from 'node:path';
import { migrateInventory } from '../../drivers/postgres';
import { startEmbeddedPostgres } from '../../workers/embedded/postgres';
import { keepRunning } from '../../workers/embedded/supervisor';
import { provisionTemporal, startTemporalDevServer } from '../../workers/embedded/temporal-server';
import { startWorkerProcess } from '../../workers/embedded/worker-process';
import { isAlive, identify } from '../../workers/embedded/server-process';
import { waitFor } from '../../lab/wait-for';

export const parts = ['worker', 'temporal', 'inventory'] as const;
export type Part = (typeof parts)[number];

export interface OwnSystem {
  readonly address: string;
  readonly inventoryUrl: string;
  /** SIGKILL to this one process. Done when its successor is at work. */
  kill(part: Part): Promise<void>;
  /** When a process was last killed. */
  readonly killedAt: number;
  stop(): Promise<void>;
}

const loadTypeScript = ['-r', join(__dirname, 'typescript-child.cjs'), join(__dirname, 'worker-main.ts')];
const backAgainMs = 60_000;

/** @param folder For its state; a short path, because a socket lies in it. */
export async function startOwnSystem(configPath: string, folder: string): Promise<OwnSystem> {
  const heard: string[] = [];
  const progress = (line: string): void => void heard.push(line);
  const common = { progress, onRestart: () => undefined };
  const binary = await temporalBinary();
  const [temporal, inventory] = await Promise.all([
    keepRunning({
      name: 'temporal',
      start: () =>
        startTemporalDevServer({ stateDir: folder, binary, ui: false, durability: 'normal', ...bound }),
      ...common,
    }),
    keepRunning({
      name: 'inventory',
      start: () =>
        startEmbeddedPostgres({ dataDir: join(folder, 'pg'), socketDir: join(folder, 's'), ...bound }),
      ...common,
    }),
  ]);
  const { address } = temporal.current;
  const { url } = inventory.current;
  await migrateInventory(url);
  const worker = await keepRunning({
    name: 'worker',
    start: () =>
      startWorkerProcess({
        ...{ stateDir: folder, number: 0, configPath, program: loadTypeScript, ...bound, progress },
        ...{ temporalAddress: address, inventoryUrl: url },
      }),
    ...common,
  });
  const kept = { temporal, inventory, worker };
  let killedAt = 0;
  return {
    address,
    inventoryUrl: url,
    get killedAt() {
      return killedAt;
    },
    async kill(part) {
      const victim = identify(kept[part].current.pid);
      if (victim === undefined) throw new Error(`the ${part} does not run: ${heard.join('; ')}`);
      process.kill(victim.pid, 'SIGKILL');
      killedAt = Date.now();
      await waitFor(`the ${part} to be gone`, 10_000, () => !isAlive(victim));
      await waitFor(
        `the ${part} to run again`,
        backAgainMs,
        () => kept[part].current.pid !== victim.pid,
        () => heard.join('; '),
      );
    },
    async stop() {
      await worker.stop();
      await Promise.all([temporal.stop(), inventory.stop()]);
    },
  };
}

/** No server of these outlives the test, however that ends. */
const bound = { dieWithParent: true } as const;

/** A server that is there already cannot be killed, so it will not do here. */
async function temporalBinary(): Promise<string> {
  const source = await provisionTemporal();
  if (source.kind === 'binary') return source.path;
  throw new Error(
    'these tests kill the Temporal server: unset TEMPORAL_ADDRESS, so that they have one of their own',
  );
}
