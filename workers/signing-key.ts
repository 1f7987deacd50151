import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { KeyObject } from 'node:crypto';
import { dirname, join } from 'node:path';
import { newSigningKey, signingKey } from '../client/report';
import type { Installation } from './access';
import { secretOrThrow } from './config';

/** The key of the config, else one of this installation's own, made at its first use in the state folder. */
export function reportKey(
  { config, configPath, stateDir }: Pick<Installation, 'config' | 'configPath' | 'stateDir'>,
  env: NodeJS.ProcessEnv,
): KeyObject {
  if (config.signingKey !== undefined)
    return signingKey(secretOrThrow(config.signingKey, dirname(configPath), env), config.signingKey);
  const file = join(stateDir, 'report.key');
  if (!existsSync(file)) make(file);
  return signingKey(readFileSync(file, 'utf8'), file);
}

/** Linked when complete: of several that make one at once, one is kept, and nobody reads half of it. */
function make(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const part = `${file}.${process.pid}`;
  writeFileSync(part, newSigningKey(), { mode: 0o600 });
  try {
    linkSync(part, file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  } finally {
    rmSync(part, { force: true });
  }
}
