import { createServer } from 'node:net';
import { join } from 'node:path';
import type { VmedicConfig } from '../config';
import { defaultListen } from '../listen';
import { type PartOptions, startNodePart } from './node-process';
import type { ServerProcess } from './server-process';

export interface ApiProcessOptions extends PartOptions {
  readonly listen: string;
  readonly program?: readonly string[];
}

/** The API as a process of its own, answering when this returns. @throws with its last lines when it does not get there. */
export function startApiProcess(options: ApiProcessOptions): Promise<ServerProcess> {
  const { listen, program = [join(__dirname, '..', 'api-entry.js')] } = options;
  const env = { VMEDIC_API_LISTEN: listen };
  return startNodePart({ name: 'API', fileName: 'api', program, env, work: 'answered' }, options);
}

/** What the config says; else the usual port, or another one where two systems share a machine. */
export async function chooseListen(config: VmedicConfig, before: string | undefined): Promise<string> {
  if (config.api?.listen !== undefined) return config.api.listen;
  for (const listen of [before, defaultListen])
    if (listen !== undefined && (await isFree(listen))) return listen;
  return `127.0.0.1:${await freePort()}`;
}

function isFree(listen: string): Promise<boolean> {
  const port = Number(listen.slice(listen.lastIndexOf(':') + 1));
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      );
    });
  });
}
