/** A site's config as an operator would have it: written to a file, and read back with every check. */
import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { ConfigRefused, loadConfig, type VmedicConfig } from '../workers/config';

export interface SiteConfigOptions {
  readonly path: string;
  readonly stateDir: string;
  readonly concurrency: { readonly window: number; readonly perHost: number };
  /** Whether the watch may act by itself. */
  readonly mode?: 'observe' | 'automatic';
}

/** @throws ConfigRefused when the site's own config is not sound: a defect of the bench. */
export async function writeSiteConfig(
  made: { readonly clusters: readonly object[] },
  { path, stateDir, concurrency, mode = 'observe' }: SiteConfigOptions,
): Promise<VmedicConfig> {
  // Observing, unless said otherwise: what is measured begins when it is asked for, not when the watch notices.
  const clusters = made.clusters.map((cluster) => ({ ...cluster, mode, policy: { concurrency } }));
  writeFileSync(path, stringify({ ...made, clusters, stateDir }), { mode: 0o600 });
  const loaded = await loadConfig(path);
  if (!loaded.ok) throw new ConfigRefused(loaded.problems);
  return loaded.config;
}
