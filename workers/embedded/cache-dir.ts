import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where `make install`, run as root, keeps what everyone on the machine may use. */
export const SYSTEM_CACHE = '/var/cache/vmedic';

/**
 * The folder for what was built or downloaded and can be had again: `VMEDIC_CACHE`, else the system's for root, else the user's own.
 * Nothing in it is state.
 */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env['VMEDIC_CACHE']) return env['VMEDIC_CACHE'];
  if (process.getuid?.() === 0) return SYSTEM_CACHE;
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'vmedic');
}

/** Every cache to look into, the one to write to first. A `VMEDIC_CACHE` that was set is the only one. */
export function cachesToRead(env: NodeJS.ProcessEnv = process.env): string[] {
  const own = cacheDir(env);
  return env['VMEDIC_CACHE'] || own === SYSTEM_CACHE ? [own] : [own, SYSTEM_CACHE];
}
